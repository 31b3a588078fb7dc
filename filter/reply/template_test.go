package reply

import (
	"strings"
	"testing"
)

// Braces that are plain text do not make a long body, such as a page with its styles, take longer than its length.
func TestParseTemplateBraces(t *testing.T) {
	text := strings.Repeat("{ {a {", 10_000) + "{state}" + strings.Repeat("{", 10_000)
	var parsed Template
	allocs := testing.AllocsPerRun(1, func() {
		var err error
		if parsed, err = ParseTemplate(text); err != nil {
			t.Fatal(err)
		}
	})
	if len(parsed) != 3 || parsed.String() != text {
		t.Errorf("%d segments", len(parsed))
	}
	if allocs > 10 {
		t.Errorf("%v allocations", allocs)
	}
}
