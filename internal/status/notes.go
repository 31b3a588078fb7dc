package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"envoy-circuit-breaker/internal/text"
)

// writeNotes tells of Envoys that could not be read, that keep another configuration than the last, and that have another version.
func (r *Report) writeNotes(b *strings.Builder) {
	failed, versions, invalid := map[string][]int{}, map[string][]int{}, []int(nil)
	unread := 0
	for i := range r.Envoys {
		e := &r.Envoys[i]
		switch {
		case e.Error != nil:
			unread++
			failed[*e.Error] = append(failed[*e.Error], i)
		case e.ConfigInvalid:
			invalid = append(invalid, i)
			fallthrough
		default:
			versions[e.Version] = append(versions[e.Version], i)
		}
	}
	if unread > 0 {
		fmt.Fprintf(b, "* %s could not be read:\n", text.Count(int64(unread), "Envoy"))
		r.list(b, failed)
	}
	if len(invalid) > 0 {
		fmt.Fprintf(b, "* The configuration that was loaded last does not hold, and the log says why: %s\n", text.Printable(r.name(invalid)))
	}
	if len(versions) > 1 {
		fmt.Fprintf(b, "* They have different versions of the plugin:\n")
		r.list(b, versions)
	}
}

// list tells what some Envoys have in common, most first.
func (r *Report) list(b *strings.Builder, having map[string][]int) {
	all := slices.SortedFunc(maps.Keys(having), func(a, b string) int {
		return cmp.Or(-cmp.Compare(len(having[a]), len(having[b])), cmp.Compare(having[a][0], having[b][0]))
	})
	for _, what := range all[:min(len(all), mostListed)] {
		fmt.Fprintf(b, "  %s: %s\n", text.Printable(r.name(having[what])), text.Cut(text.Printable(what), longestWhy))
	}
	if more := len(all) - mostListed; more > 0 {
		fmt.Fprintf(b, "  and %s more\n", text.Grouped(int64(more)))
	}
}
