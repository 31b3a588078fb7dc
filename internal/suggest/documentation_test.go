package suggest

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"envoy-circuit-breaker/filter/config"
	"envoy-circuit-breaker/internal/accesslog"
)

// The figures of the example in docs/suggest.md are those of the policies that it shows.
func TestDocumentation(t *testing.T) {
	file, err := os.ReadFile("../../docs/suggest.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(file)
	overrides := regexp.MustCompile(`(?m)^[1-4]  ({"match".*})$`).FindAllStringSubmatch(page, -1)
	if len(overrides) == 0 || strings.Count(page, overrides[0][1]) != 2 {
		t.Fatalf("%q are not suggested, or not in the configuration", overrides)
	}
	base := baseOf(t, "{}")
	entries := slices.Collect(example(t, "mixed").Requests(0, 0))
	slices.SortStableFunc(entries, func(a, b accesslog.Entry) int { return cmp.Compare(a.End(), b.End()) }) // as in the log
	l := NewLog(len(entries))
	for i := range entries {
		if err := l.Add(&entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	s := &search{history: l.inOrder()[0].look(base.rules("payments"), 0, 10*time.Second), base: base, cluster: "payments", limit: 5, played: func(int) {}}
	s.begin()
	for _, override := range overrides {
		c, err := config.Parse([]byte(`{"clusters": [` + override[1] + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		s.chosen = append(s.chosen, s.prepare(settingsOf(&c.For("payments", "").Policy)))
	}
	s.playAgain(append([]*trial{s.start}, s.chosen...))
	r := Report{Counts: l.counts, LeastOutage: 10}
	result := s.result()
	var b strings.Builder
	r.writeCluster(&b, &result)
	if !strings.Contains(page, strings.TrimSpace(b.String())) {
		t.Errorf("the page does not have\n%s", &b)
	}
}
