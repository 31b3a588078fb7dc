package suggest

import (
	"maps"

	"envoy-circuit-breaker/breaker"
	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/strictjson"
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

// override is what gives a cluster these settings and leaves all else as it is. One breaker is for the whole cluster, since that is what
// was played; and where breakers are switched off this one rejects nothing.
func (b *Base) override(cluster string, s settings) map[string]any {
	keys := b.own(cluster)
	keys["match"] = cluster
	s.write(keys, settingsOf(&b.config.Rules.Policy))
	if rules := b.rules(cluster); rules.PerRoute {
		keys["per"] = "cluster"
	}
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

// with is the configuration with some overrides. Each takes the place of the one for that very cluster, or stands before the one that has
// matched the cluster, or behind all others.
func (b *Base) with(overrides []map[string]any) []byte {
	before := make([][]any, len(b.overrides())+1)
	replaced := map[int]bool{}
	for _, o := range overrides {
		cluster := o["match"].(string)
		at := b.config.Match(cluster, "")
		if at < 0 {
			at = len(b.overrides())
		} else if b.config.Overrides[at].Match == cluster {
			replaced[at] = true
		}
		before[at] = append(before[at], o)
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
			text = strictjson.AppendQuoted(text, key)
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
