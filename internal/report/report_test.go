package report

import "testing"

func TestMedian(t *testing.T) {
	for want, all := range map[float64][]float64{5: {5}, 6.5: {8, 5}, 3: {9, 3, 1}, 4: {3, 9, 5, 1}} {
		var c Counts
		if c.setNoticed(all); *c.NoticedMedian != want {
			t.Errorf("%v have %v, want %v", all, *c.NoticedMedian, want)
		}
	}
}
