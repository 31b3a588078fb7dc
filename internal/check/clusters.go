package check

import (
	"bufio"
	"bytes"
	"errors"
	"slices"
	"strings"
)

// Clusters reads the names of clusters from what Envoy's admin interface says: /clusters, as text or as JSON, or /config_dump.
func Clusters(text []byte) ([]string, error) {
	names := map[string]bool{}
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
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	return sorted, nil
}
