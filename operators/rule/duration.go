package rule

import (
	"fmt"
	"strconv"
	"strings"
)

// Units of durations in ms; a day is 24 h.
const (
	second = 1000
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	week   = 7 * day
)

// maxDuration bounds every duration in a configuration: the span of event times, 1970 to 2200, in whole days. Beyond it a window is
// a typing error, and sums of times stay far from 64 bits.
const maxDuration = 84_006 * day

var units = []struct {
	name string
	ms   int64
}{{"ms", 1}, {"s", second}, {"m", minute}, {"h", hour}, {"d", day}, {"w", week}}

// parseDuration reads '10m', '72h', '90d', '1d12h': whole numbers with the units ms s m h d w. ok is false for a text that is no
// duration at all; err says what is wrong with one that is.
func parseDuration(s string) (ms int64, ok bool, err error) {
	rest := s
	if rest == "" {
		return 0, false, nil
	}
	beyond := false
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, false, nil
		}
		n, numErr := strconv.ParseInt(rest[:i], 10, 64)
		rest = rest[i:]
		j := strings.IndexFunc(rest, func(r rune) bool { return r < 'a' || r > 'z' })
		if j < 0 {
			j = len(rest)
		}
		unit := int64(0)
		for _, u := range units {
			if rest[:j] == u.name {
				unit = u.ms
			}
		}
		if unit == 0 {
			return 0, false, nil
		}
		rest = rest[j:]
		if beyond = beyond || numErr != nil || n > (maxDuration-ms)/unit; !beyond {
			ms += n * unit
		}
	}
	if beyond {
		return 0, true, fmt.Errorf("duration %q is longer than %s", s, formatDuration(maxDuration))
	}
	return ms, true, nil
}

// formatDuration is the shortest text that parseDuration reads back: hours up to three days (24h, 72h), then days (7d, 183d4h).
func formatDuration(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b []byte
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	for _, u := range []int{4, 3, 2, 1, 0} {
		size := units[u].ms
		if n := ms / size; n > 0 && (size < day || ms > 3*day) {
			b = append(strconv.AppendInt(b, n, 10), units[u].name...)
			ms -= n * size
		}
	}
	return string(b)
}

// coarse cuts a duration to its largest unit and the next smaller one: 399d18h of 399d18h31m22s940ms.
func coarse(ms int64) int64 {
	for i := len(units) - 1; i > 0; i-- {
		if units[i].ms <= day && abs(ms) >= units[i].ms {
			return ms - ms%units[i-1].ms
		}
	}
	return ms
}

func abs(v int64) int64 { return max(v, -v) }
