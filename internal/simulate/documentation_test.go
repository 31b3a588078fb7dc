package simulate

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/report"
	"envoy-circuit-breaker/internal/text"
)

// The figures in docs/operations.md, and the example in docs/simulate.md, are what make fleet tells.
func TestDocumentation(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute of a core")
	}
	operations, page := file(t, "../../docs/operations.md"), file(t, "../../docs/simulate.md")
	r := simulated(t, "fleet.yaml", "*")
	for _, p := range r.Policies {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(p.Name) + "`.*? \\| (.*) \\|$").FindStringSubmatch(operations)
		if row == nil {
			t.Errorf("no row of %s", p.Name)
			continue
		}
		down, back := &p.Fleet[1], &p.Fleet[2]
		short := func(perSecond float64) string { return strings.TrimSuffix(fmt.Sprintf("%.3g", perSecond), ".0") }
		want := strings.Join([]string{
			short(down.Rate(down.Trials)), text.Grouped(down.MostTrials), short(down.Rate(down.Probes)), text.Grouped(back.MostTrials),
			text.Span(*back.Half), text.Span(*back.Most), text.Span(*back.AllClosed),
		}, " | ")
		if row[1] != want {
			t.Errorf("%s:\n%s\nis\n%s", p.Name, row[1], want)
		}
	}

	for _, p := range simulated(t, "outages.yaml", "defaults", "no-jitter", "max-15s").Policies {
		least, most := math.MaxFloat64, 0.0
		for i := range p.Fleet {
			if f := &p.Fleet[i]; strings.HasPrefix(f.Name, "recovery") {
				least, most = min(least, *f.Most), max(most, *f.Most)
			}
		}
		if want := fmt.Sprintf("%s to %s with `%s`", text.Span(least), text.Span(most), p.Name); !strings.Contains(operations, want) {
			t.Errorf("it is %s", want)
		}
	}

	r.Policies = r.Policies[:1]
	var written strings.Builder
	if err := r.WriteText(&written); err != nil {
		t.Fatal(err)
	}
	if example := strings.TrimSpace(written.String()); r.Policies[0].Name != "defaults" || !strings.Contains(page, "```\n"+example+"\n```") {
		t.Errorf("the example is\n%s", example)
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// simulated is what becomes of a scenario among the examples with policies there.
func simulated(t *testing.T, name string, configurations ...string) *report.Report {
	t.Helper()
	s := read(t, file(t, "../../examples/scenarios/"+name))
	var tried []replay.Policy
	for _, pattern := range configurations {
		files, _ := filepath.Glob("../../examples/fleet/" + pattern + ".json")
		for _, name := range files {
			p := policies(t, file(t, name))[0]
			p.Name = strings.TrimSuffix(filepath.Base(name), ".json")
			tried = append(tried, p)
		}
	}
	return Run(s, Options{Name: name, Policies: tried})
}
