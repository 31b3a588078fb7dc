package config

import "strings"

// allKeys are the keys that there are, each with the object in which it stands: one that stands at a wrong place is shown the right
// one. It is a text, for its size.
const allKeys = "mode per failure_on min_requests failure_rate consecutive_failures ramp max_breakers invalid_config " +
	"window window.duration window.requests slow_call slow_call.duration slow_call.rate " +
	"open open.duration open.multiplier open.max_duration open.jitter open.honor_retry_after " +
	"half_open half_open.max_requests half_open.success_threshold half_open.permit_timeout " +
	"probe probe.path probe.method probe.host probe.headers probe.interval probe.timeout probe.status probe.on_success " +
	"reject reject.status reject.body reject.content_type reject.headers reject.retry_after reject.overloaded " +
	"fallback fallback.header fallback.value fallback.cluster fallback.route status status.path clusters clusters[].match clusters[].route"

// Keys are the keys that there are at the top level, or within the object of that name there.
func Keys(object string) (keys []string) {
	for _, path := range paths(func(within, _ string) bool { return within == object }) {
		_, key := split(path)
		keys = append(keys, key)
	}
	return keys
}

// paths returns those of the keys of which that is true, by object and key.
func paths(is func(object, key string) bool) (paths []string) {
	for path := range strings.SplitSeq(allKeys, " ") {
		if is(split(path)) {
			paths = append(paths, path)
		}
	}
	return paths
}

// split parts a path into an object and its key.
func split(path string) (object, key string) {
	i := strings.IndexByte(path, '.')
	return path[:max(0, i)], path[i+1:]
}

// Joined returns the path of the key that a word joins with its object, as slow_call_duration and slow_call.duration do; empty if it
// joins none.
func Joined(word string) string {
	if len(word) > mostName {
		return ""
	}
	word = plain(word)
	found := paths(func(object, key string) bool { return object != "" && plain(object+key) == word })
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// elsewhere returns the paths at which there is a key of that name.
func elsewhere(name string) []string {
	return paths(func(_, key string) bool { return key == name })
}

// mostName is how long a word can be that is meant to be a key.
const mostName = 40

// nearest returns the name that somebody who wrote word most likely meant, with at most so many slips; empty if none is near.
func nearest(word string, names []string, most int) (best string) {
	if word == "" || len(word) > mostName {
		return ""
	}
	word = plain(word)
	for _, name := range names {
		if d := distance(word, plain(name)); d <= most {
			most, best = d-1, name
		}
	}
	return best
}

// Nearest returns the name that somebody who wrote word most likely meant; empty if none is near.
func Nearest(word string, names []string) string { return nearest(word, names, slips(word)) }

// slips is how many are likely in a word.
func slips(word string) int { return (len(word) + 1) / 3 }

// plain leaves out what people mix up in names.
func plain(name string) string {
	var b []byte
	for _, c := range []byte(lower(name)) {
		if c != '_' && c != '-' && c != ' ' && c != '.' {
			b = append(b, c)
		}
	}
	return string(b)
}

// distance is how many letters have to be changed, added, left out or swapped with the next to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			changed := last[j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			row[j] = min(changed, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
