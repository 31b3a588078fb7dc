package version

import "testing"

func TestNumber(t *testing.T) {
	for version, want := range map[string]uint64{
		"0.0.1": 1, "0.10.0": 10_000, "1.0.0": 1_000_000, "1.2.3": 1_002_003, "v1.2.3": 1_002_003, "12.999.0": 12_999_000,
		"1.2.3-rc.1": 1_002_003, "1.2.3+build-5": 1_002_003, "v1.2.3-4-gdeadbee": 1_002_003,
		"": 0, "dev": 0, "1.2": 0, "1.2.3.4": 0, "1.2.x": 0, "1.-2.3": 0, "1.2.1000": 0, "1..3": 0, "v": 0, "vv1.2.3": 0, "+1.2.3": 0,
	} {
		if got := number(version); got != want {
			t.Errorf("%q: %d, want %d", version, got, want)
		}
	}
}
