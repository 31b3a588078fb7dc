package config

import (
	"slices"
	"strings"
)

// keysWithin are the keys of objects, each under its own, and those of the top level: a key that stands at a wrong place is shown the
// right one.
var keysWithin = map[string][]string{
	"": {"clusters", "consecutive_failures", "failure_on", "failure_rate", "fallback", "half_open", "max_breakers", "min_requests",
		"mode", "open", "probe", "ramp", "reject", "slow_call", "status", "window"},
	"window":     {"duration", "requests"},
	"slow_call":  {"duration", "rate"},
	"open":       {"duration", "multiplier", "max_duration", "jitter", "honor_retry_after"},
	"half_open":  {"max_requests", "success_threshold", "permit_timeout"},
	"probe":      {"path", "method", "host", "headers", "interval", "timeout", "status", "on_success"},
	"reject":     {"status", "body", "content_type", "headers", "retry_after", "overloaded"},
	"fallback":   {"header", "value", "cluster"},
	"status":     {"path"},
	"clusters[]": {"match"},
}

// elsewhere returns the paths at which there is a key of that name.
func elsewhere(key string) (paths []string) {
	for object, keys := range keysWithin {
		if slices.Contains(keys, key) {
			paths = append(paths, join(object, key))
		}
	}
	slices.Sort(paths) // the same text for the same configuration
	return paths
}

// nearest returns the name that somebody who wrote word most likely meant, with at most so many slips; empty if none is near.
func nearest(word string, names []string, most int) (best string) {
	if word == "" || len(word) > 40 {
		return ""
	}
	for _, name := range names {
		if d := distance(plain(word), plain(name)); d <= most {
			most, best = d-1, name
		}
	}
	return best
}

// NearestKey returns the key of the top level that somebody most likely meant; empty if none is near.
func NearestKey(word string) string { return nearest(word, keysWithin[""], slips(word)) }

// slips is how many are likely in a word.
func slips(word string) int { return (len(word) + 1) / 3 }

// plain leaves out what people mix up in names.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(name))
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
