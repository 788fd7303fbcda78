package window

import "time"

const dayMillis = int64(24 * 3600 * 1000)

// Bounds returns the window (from, to] of a span as seen from τ.
func (s *Shape) Bounds(span int, at int64) (from, to int64) {
	sp := &s.Spans[span]
	zone := s.compile().zone
	switch sp.Unit {
	case NoUnit:
		return at - sp.Delay - sp.Length, at - sp.Delay
	case Daily:
		return localStart(at, zone, Day, int(sp.Length/dayMillis)) - 1, localStart(at, zone, Day, 0) - 1
	}
	return localStart(at, zone, sp.Unit, 0) - 1, at
}

// localStart is the first instant of the local unit that at lies in, or of the local day that many days before. A day begins at the
// first instant that has its date: where a clock change skips midnight, that is later than 00:00.
func localStart(at int64, zone *time.Location, unit Unit, daysBefore int) int64 {
	t := time.UnixMilli(at).In(zone)
	y, m, d := t.Date()
	switch unit {
	case Day:
		d -= daysBefore
	case Week:
		d -= (int(t.Weekday()) + 6) % 7
	case Month:
		d = 1
	case Quarter:
		m, d = m-(m-1)%3, 1
	case Year:
		m, d = time.January, 1
	}
	return firstInstant(y, m, d, zone)
}

// firstInstant is the first ms whose local date is y-m-d or later.
func firstInstant(y int, m time.Month, d int, zone *time.Location) int64 {
	date := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	y, m, d = date.Date()
	t := time.Date(y, m, d, 0, 0, 0, 0, zone)
	_, after := t.Zone()
	_, before := t.Add(-12 * time.Hour).Zone()
	if after == before && sameDate(t, y, m, d) {
		return t.UnixMilli()
	}
	// A change of the clock is near: look for the border itself.
	lo, hi := t.Add(-26*time.Hour).UnixMilli(), t.Add(26*time.Hour).UnixMilli()
	for lo < hi {
		mid := lo + (hi-lo)>>1
		if beforeDate(time.UnixMilli(mid).In(zone), date) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

func sameDate(t time.Time, y int, m time.Month, d int) bool {
	ty, tm, td := t.Date()
	return ty == y && tm == m && td == d
}

// beforeDate reports whether t's local date is before that of date, which is in UTC.
func beforeDate(t, date time.Time) bool {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Before(date)
}

// localNext is the start of the unit after the one that starts at start.
func localNext(start int64, zone *time.Location, unit Unit) int64 {
	y, m, d := time.UnixMilli(start).In(zone).Date()
	switch unit {
	case Day:
		d++
	case Week:
		d += 7
	case Month:
		m++
	case Quarter:
		m += 3
	case Year:
		y++
	}
	return firstInstant(y, m, d, zone)
}
