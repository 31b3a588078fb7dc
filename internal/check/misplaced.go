package check

import (
	"slices"

	"envoy-circuit-breaker/filter/config"
)

// lookAtPlaces tells which keys of a configuration hold it without being a part of it. at translates a line.
func (p *Plugin) lookAtPlaces(configuration *node, at func(line int) int) {
	for _, f := range configuration.fields {
		if isWrapper(f) {
			p.tell(&config.Error{Path: f.key, Text: "unknown key: the configuration is what is inside of it: leave " + f.key + " out"}, at(f.line), true)
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
