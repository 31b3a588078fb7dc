package config

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func TestSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		texts, object := []string{}, map[string]any{}
		for range n {
			text := strconv.Itoa(r.IntN(2 * n))
			texts, object[text] = append(texts, text), nil
		}
		if want := slices.Sorted(maps.Keys(object)); !slices.Equal(sortedKeys(object), want) {
			t.Errorf("%d keys: %q, want %q", n, sortedKeys(object), want)
		}
		want := slices.Clone(texts)
		slices.Sort(want)
		if got := sorted(texts); !slices.Equal(got, want) {
			t.Errorf("%d texts: %q, want %q", n, got, want)
		}
	}
}
