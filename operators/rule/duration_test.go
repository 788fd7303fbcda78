package rule

import "testing"

// A reason speaks of days, not of milliseconds.
func TestCoarse_KeepsTheTwoLargestUnits(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"399d18h31m22s940ms", "399d18h"}, {"1h59m59s", "1h59m"}, {"61s5ms", "1m1s"}, {"999ms", "999ms"}, {"24h", "24h"}, {"180d59m", "180d"},
	} {
		ms, _, err := parseDuration(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := formatDuration(coarse(ms)); got != c.out {
			t.Errorf("%s is said as %s, want %s", c.in, got, c.out)
		}
	}
}
