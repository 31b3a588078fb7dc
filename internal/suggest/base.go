package suggest

import (
	"maps"
	"slices"
	"strings"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
)

// A Base is the configuration that a search starts from, as a tree and as it was read from that.
type Base struct {
	tree   map[string]any
	config *config.Config
}

// NewBase reads a configuration that has been parsed, as [config.Read] does. Nil is that of the defaults.
func NewBase(tree map[string]any) (*Base, error) {
	c, err := config.Read(tree)
	if tree == nil {
		tree = map[string]any{}
	}
	return &Base{tree, c}, err
}

// byRoute reports whether a cluster may have breakers of its routes.
func (b *Base) byRoute(cluster string) bool { return b.config.ByRoute(cluster) }

// rules are those of a cluster.
func (b *Base) rules(cluster string) *config.Rules { return b.config.For(cluster, "") }

// own are the keys of the override that a cluster has its rules from, but for what it matches; those that are given to it alone.
func (b *Base) own(cluster string) map[string]any {
	own := map[string]any{}
	if i := b.config.Match(cluster, ""); i >= 0 {
		for key, v := range b.overrides()[i].(map[string]any) {
			if key != "match" {
				own[key] = v
			}
		}
	}
	return own
}

func (b *Base) overrides() []any {
	overrides, _ := b.tree["clusters"].([]any)
	return overrides
}

// override is what gives a cluster these settings and leaves all else as it is. Where breakers are switched off this one rejects nothing.
func (b *Base) override(cluster string, s settings) map[string]any {
	keys := b.own(cluster)
	keys["match"] = cluster
	s.write(keys, settingsOf(&b.config.Rules.Policy))
	if mode := b.rules(cluster).Policy.Mode; mode != breaker.Enforce && mode != breaker.Shadow {
		keys["mode"] = breaker.Shadow.String()
	}
	return keys
}

// alone is the configuration of an override, as text: what it inherits, and no other override.
func (b *Base) alone(override map[string]any) []byte {
	tree := maps.Clone(b.tree)
	tree["clusters"] = []any{override}
	return appendJSON(nil, tree)
}

// place is where an override for a cluster counts, as late as can be: in the place of the one for that very cluster, or before the one
// that has matched the cluster, or behind all others.
func (b *Base) place(cluster string) (at int, replaces bool) {
	at = b.config.Match(cluster, "")
	if at < 0 {
		return len(b.overrides()), false
	}
	return at, b.config.Overrides[at].Match == cluster
}

// isGlob reports whether a cluster's name matches others, as an override has it.
func isGlob(cluster string) bool { return strings.Contains(cluster, "*") }

// with is the configuration with some overrides, each in its place. Those whose name matches other clusters come behind all other new ones.
func (b *Base) with(overrides []map[string]any) []byte {
	before := make([][]any, len(b.overrides())+1)
	replaced, exact := map[int]bool{}, map[int]int{}
	latest := len(b.overrides()) // for what is no glob
	for _, globs := range []bool{true, false} {
		for _, o := range overrides {
			cluster := o["match"].(string)
			if isGlob(cluster) != globs {
				continue
			}
			at, replaces := b.place(cluster)
			replaced[at] = replaced[at] || replaces
			if globs {
				latest = min(latest, at)
				before[at] = append(before[at], o)
			} else {
				at = min(at, latest)
				before[at] = slices.Insert(before[at], exact[at], any(o))
				exact[at]++
			}
		}
	}
	var all []any
	for i, news := range before {
		all = append(all, news...)
		if i < len(b.overrides()) && !replaced[i] {
			all = append(all, b.overrides()[i])
		}
	}
	var text []byte
	text = append(text, "{\n"...)
	for _, key := range sortedKeys(b.tree) {
		if key != "clusters" {
			text = append(text, "  "...)
			text = appendQuoted(text, key)
			text = append(text, ": "...)
			text = append(appendJSON(text, b.tree[key]), ",\n"...)
		}
	}
	text = append(text, "  \"clusters\": [\n"...)
	for i, o := range all {
		if i > 0 {
			text = append(text, ",\n"...)
		}
		text = appendJSON(append(text, "    "...), o)
	}
	return append(text, "\n  ]\n}\n"...)
}
