package check

import (
	"bufio"
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
)

// Running is what a running Envoy has, by what its admin interface says.
type Running struct {
	clusters []string // their names, in order
	routes   routeTable
	unknown  string // why its routes are not known; empty if they are
}

// ReadRunning reads what Envoy's admin interface says: /clusters, as text or as JSON, which has the names of clusters, or /config_dump,
// which has the routes too.
func ReadRunning(text []byte) (*Running, error) {
	envoy, names := &Running{unknown: "routes are not known, as only a whole /config_dump tells them"}, map[string]bool{}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		document, err := readJSON(text)
		if err != nil {
			return nil, err
		}
		for _, status := range document.get("cluster_statuses").list() {
			names[status.get("name").string()] = true
		}
		for _, dump := range document.get("configs").list() {
			for _, n := range slices.Concat(dump.get("static_clusters").list(), dump.get("dynamic_active_clusters").list()) {
				names[n.at("cluster", "name").string()] = true
			}
			if strings.HasSuffix(dump.get("@type").string(), ".RoutesConfigDump") {
				envoy.unknown = ""
			}
			for _, n := range slices.Concat(dump.get("static_route_configs").list(), dump.get("dynamic_route_configs").list()) {
				envoy.routes.add(n.get("route_config"))
			}
		}
		if envoy.routes.isPartial {
			envoy.unknown = "not all routes are known, as VHDS or matchers have more"
		}
	} else {
		// Each cluster has such a line. A name may have colons itself.
		lines := bufio.NewScanner(bytes.NewReader(text))
		for lines.Scan() {
			if name, _, ok := strings.Cut(lines.Text(), "::default_priority::"); ok {
				names[name] = true
			}
		}
	}
	delete(names, "")
	if len(names) == 0 {
		return nil, errors.New("no clusters are in it: it must be the output of Envoy's /clusters, /clusters?format=json or /config_dump")
	}
	envoy.clusters = slices.Sorted(maps.Keys(names))
	return envoy, nil
}
