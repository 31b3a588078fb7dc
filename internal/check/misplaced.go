package check

import (
	"fmt"
	"slices"
	"strings"

	"envoy-circuit-breaker/filter/config"
)

// lookAtPlaces tells which keys of a configuration are another's path in one word, and which hold the configuration
// without being a part of it. at translates a line.
func (p *Plugin) lookAtPlaces(configuration *node, at func(line int) int) {
	for _, f := range configuration.fields {
		if isWrapper(f) {
			p.tell(&config.Error{Path: f.key, Text: "unknown key: the configuration is what is inside of it: leave " + f.key + " out"}, at(f.line))
		}
	}
	p.lookAtPaths("", configuration, at)
	for i, override := range configuration.get("clusters").list() {
		p.lookAtPaths(fmt.Sprintf("clusters[%d]", i), override, at)
	}
}

func (p *Plugin) lookAtPaths(path string, n *node, at func(line int) int) {
	for _, f := range n.fields {
		if object, key := nested(f.key); object != "" {
			p.tell(&config.Error{Path: under(path, f.key), Text: fmt.Sprintf(`unknown key: did you mean {"%s": {"%s": …}}?`, object, key)}, at(f.line))
		}
	}
}

// isWrapper reports whether a key has a configuration inside, as those around it in the files of Envoy and Kubernetes have.
func isWrapper(f field) bool {
	names := []string{"configuration", "config", "plugin_config", "pluginConfig", "value", "circuit_breaker"}
	return slices.Contains(names, f.key) && slices.ContainsFunc(f.value.fields, func(inside field) bool {
		return slices.Contains(config.Keys(""), inside.key)
	})
}

// nested returns the object and the key in it that a word joins: slow_call.duration, or slow_call_duration. Both are empty if it
// joins none.
func nested(word string) (object, key string) {
	if !strings.ContainsAny(word, "._-") {
		return "", ""
	}
	joined := strings.NewReplacer(".", "_", "-", "_").Replace(word)
	for _, object := range config.Keys("") {
		for _, key := range config.Keys(object) {
			if joined == object+"_"+key {
				return object, key
			}
		}
	}
	return "", ""
}
