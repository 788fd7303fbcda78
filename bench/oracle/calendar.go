package oracle

import "time"

// Unit is a calendar window: from its local start to τ.
type Unit string

// The units. A week begins on Monday (ISO 8601), a quarter in January, April, July and October.
const (
	Day     Unit = "day"
	Week    Unit = "week"
	Month   Unit = "month"
	Quarter Unit = "quarter"
	Year    Unit = "year"
)

// unitLength is how long a unit can be: a day that the clocks are set back in has 25 hours.
var unitLength = map[Unit]int64{
	Day: 25 * hour, Week: 7*day + hour, Month: 31*day + hour, Quarter: 92*day + hour, Year: 366*day + hour,
}

// date is a day of the calendar.
type date struct {
	year  int
	month time.Month
	day   int
}

func (d date) before(e date) bool {
	if d.year != e.year {
		return d.year < e.year
	}
	if d.month != e.month {
		return d.month < e.month
	}
	return d.day < e.day
}

// plus is the date n days later, by the calendar alone.
func (d date) plus(n int) date {
	y, m, dom := time.Date(d.year, d.month, d.day+n, 12, 0, 0, 0, time.UTC).Date()
	return date{y, m, dom}
}

// first is the first day of the unit that d lies in.
func (d date) first(u Unit) date {
	switch u {
	case Week:
		weekday := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC).Weekday()
		return d.plus(-(int(weekday) + 6) % 7)
	case Month:
		return date{d.year, d.month, 1}
	case Quarter:
		return date{d.year, d.month - (d.month-1)%3, 1}
	case Year:
		return date{d.year, 1, 1}
	}
	return d
}

// calendar knows the local days of a time zone.
type calendar struct {
	zone   *time.Location
	starts map[date]int64 // found already
}

// on is the local date at a time in ms.
func (c *calendar) on(ms int64) date {
	y, m, d := time.UnixMilli(ms).In(c.zone).Date()
	return date{y, m, d}
}

// start is the first ms of a local date, or of what follows where the zone leaves the date out (Apia, 30 December 2011). It asks the zone
// minute by minute, then second by second, instead of trusting anybody's arithmetic at midnights that do not exist or come twice.
func (c *calendar) start(d date) int64 {
	if ms, ok := c.starts[d]; ok {
		return ms
	}
	noon := time.Date(d.year, d.month, d.day, 12, 0, 0, 0, time.UTC).UnixMilli()
	at := noon + 2*day // so far east or west is no zone, whatever it skips
	for _, step := range []int64{minute, 1000} {
		at -= at % step
		for !c.on(at - step).before(d) {
			at -= step
		}
	}
	c.starts[d] = at
	return at
}
