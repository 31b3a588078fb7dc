package simulate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"envoy-circuit-breaker/internal/replay"
	"envoy-circuit-breaker/internal/scenario"
	"envoy-circuit-breaker/internal/text"
)

// The figures in docs/operations.md, and the example in docs/simulate.md, are what make fleet tells.
func TestDocumentation(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute of a core")
	}
	content, err := os.ReadFile("../../examples/scenarios/fleet.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Read("fleet.yaml", content)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("../../examples/fleet/*.json")
	var tried []replay.Policy
	for _, file := range files {
		configuration, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		p := policies(t, string(configuration))[0]
		p.Name = strings.TrimSuffix(filepath.Base(file), ".json")
		tried = append(tried, p)
	}
	r := Run(s, Options{Name: "fleet.yaml", Policies: tried})
	for _, p := range r.Policies {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(p.Name) + "`.*? \\| (.*) \\|$").FindStringSubmatch(string(page))
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

	if page, err = os.ReadFile("../../docs/simulate.md"); err != nil {
		t.Fatal(err)
	}
	r.Policies = r.Policies[:1]
	var written strings.Builder
	if err := r.WriteText(&written); err != nil {
		t.Fatal(err)
	}
	if example, _, _ := strings.Cut(written.String(), "\n*"); r.Policies[0].Name != "defaults" || !strings.Contains(string(page), "```\n"+strings.TrimSpace(example)+"\n```") {
		t.Errorf("the example is\n%s", example)
	}
}
