package generator

import "math/bits"

// busy is how much happens in an hour of the day, UTC, on weekdays and at weekends; no hour is empty.
var busy = [2][24]uint64{
	{6, 4, 3, 3, 4, 8, 20, 40, 62, 78, 88, 95, 100, 94, 88, 84, 86, 92, 90, 74, 54, 38, 24, 12},
	{9, 7, 5, 4, 4, 5, 9, 18, 34, 54, 72, 82, 84, 76, 70, 66, 64, 62, 58, 50, 42, 34, 24, 14},
}

// clock turns a share of a stretch's activity into event time. Asked in ascending order only.
type clock struct {
	from, to int64  // ms; the stretch
	total    uint64 // activity of the whole stretch: sum of busy times ms

	at   int64  // ms; start of the current hour's part
	done uint64 // activity before at
}

func newClock(from, to int64) clock {
	c := clock{from: from, to: to, at: from}
	for t := from; t < to; t = hourEnd(t, to) {
		c.total += activity(t) * uint64(hourEnd(t, to)-t)
	}
	return c
}

// share returns the event time at which i of n equal parts of the activity, and jitter ∈ [0, 2³²) of 2³² of the next part, have passed.
func (c *clock) share(i, n, jitter uint64) int64 {
	u := scale(i, c.total, n)
	u += scale(jitter, scale(i+1, c.total, n)-u, 1<<32)
	for {
		end := hourEnd(c.at, c.to)
		a := activity(c.at)
		all := a * uint64(end-c.at)
		if u < c.done+all || end == c.to {
			return min(c.at+int64((u-c.done)/a), c.to-1)
		}
		c.at, c.done = end, c.done+all
	}
}

// scale is a·b/n without overflow, a ≤ n.
func scale(a, b, n uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, n)
	return q
}

func activity(t int64) uint64 { return busy[weekend(t)][hourOf(t)] }

func hourEnd(t, to int64) int64 { return min(t-t%hour+hour, to) }

func hourOf(t int64) int { return int(t % day / hour) }

// weekend is 1 on Saturdays and Sundays; day 0 of 1970 was a Thursday.
func weekend(t int64) int {
	if d := (t/day + 4) % 7; d == 0 || d == 6 {
		return 1
	}
	return 0
}
