package oracle

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/streamgauge/streamgauge/schemas"
)

func TestAggregate_DeviationIsExactAndRoundedHalfEven(t *testing.T) {
	const most = schemas.MaxAmount
	for _, c := range []struct {
		amounts []int64
		want    int64
	}{
		{[]int64{7}, 0},
		{[]int64{2, 4, 4, 4, 5, 5, 7, 9}, 2},
		{[]int64{0, 1}, 0},  // ½, to the even neighbour
		{[]int64{0, 3}, 2},  // 1½
		{[]int64{0, 5}, 2},  // 2½
		{[]int64{-5, 0}, 2}, // the sign plays no part
		{[]int64{1_000_000, 2_000_000, 4_000_000}, 1_247_219}, // √14 / 3 = 1.2472191…
		{[]int64{most, -most}, most},
		{[]int64{most, most, most}, 0},
		{[]int64{most, most - 1}, 0}, // where a float64 sees no difference at all
		{[]int64{most, most - 3}, 2},
		{[]int64{most, most, most, most - 2}, 1}, // √3 / 2 = 0.866…
	} {
		var wide []schemas.Int128
		for _, a := range c.amounts {
			wide = append(wide, schemas.I128(a))
		}
		if got := deviation(wide); got != schemas.I128(c.want) {
			t.Errorf("deviation of %d: %s, want %d in millionths", c.amounts, got.Decimal(), c.want)
		}
	}
	wide := schemas.Int128{Hi: 1 << 40} // of daily sums, which are wider than an amount
	if got := deviation([]schemas.Int128{wide, wide.Neg()}); got != wide {
		t.Errorf("deviation of ±2¹⁰⁴ is %s", got.Decimal())
	}
}

func TestAggregate_FirstAndLastFollowTimeThenLog(t *testing.T) {
	l := newLog(t, plain(day,
		Feature{Name: "first", Func: First, Window: hour}, Feature{Name: "last", Func: Last, Window: hour},
		Feature{Name: "before", Func: Last, Window: hour, Prior: true}, Feature{Name: "in", Func: First, Window: hour, Side: schemas.SideIn}))
	w := l.step(pay("a", 10*minute, 1))
	for name, want := range map[string]string{"first": "1", "last": "1", "before": "ND", "in": "ND"} {
		l.feature("alone", w, name, want)
	}
	l.step(pay("b", 10*minute, 2))
	w = l.step(pay("c", 10*minute, 3))
	for name, want := range map[string]string{"first": "1", "last": "3", "before": "2"} {
		l.feature("a tie", w, name, want)
	}
	w = l.step(pay("late", 5*minute, 4))
	for name, want := range map[string]string{"first": "4", "last": "4", "before": "ND"} {
		l.feature("a late event sees nothing behind it", w, name, want)
	}
	w = l.step(pay("d", 65*minute, 5)) // the late one is exactly an hour away
	for name, want := range map[string]string{"first": "1", "last": "5", "before": "3"} {
		l.feature("an hour later", w, name, want)
	}
	foreign := with(pay("e", 66*minute, 9), schemas.FieldCurrency, "USD")
	l.feature("without a base amount it is neither", l.step(foreign), "last", "5")
}

func TestAggregate_DelayedWindowEndsBeforeTheEvent(t *testing.T) {
	l := newLog(t, plain(3*hour, Feature{Name: "d", Func: Sum, Window: hour, Delay: 2 * hour}, Feature{Name: "n", Func: Count, Window: hour, Delay: hour}))
	l.step(pay("a", 0, 1))
	l.step(pay("b", hour, 10))
	w := l.step(pay("c", 2*hour, 100))
	l.feature("right-closed at exactly the delay", w, "d", "1")
	l.feature("left-open", w, "n", "1")
	w = l.step(pay("d", 3*hour, 1000))
	l.feature("the first one leaves, the second comes in", w, "d", "10")
	w = l.step(pay("late", 3*hour-1, 1))
	l.feature("it would begin 1 ms behind the horizon", w, "d", "ND")
	l.feature("the shorter one does not", w, "n", "1") // of (1 h − 1 ms, 2 h − 1 ms]: b
}

func TestAggregate_ConditionsOnPastAndPresent(t *testing.T) {
	same := func(p, this *Past) bool {
		x, ok := this.Text(schemas.FieldCounterparty)
		return ok && p.Is(schemas.FieldCounterparty, x)
	}
	fraud := func(p *Past) bool { v, _ := p.Attr("fraud"); return v == "1" }
	l := newLog(t, plain(day,
		Feature{Name: "pair", Func: Count, Window: hour, With: same}, Feature{Name: "earlier", Func: Sum, Window: hour, With: same, Prior: true},
		Feature{Name: "fraud", Func: Count, Window: hour, Where: fraud}, Feature{Name: "device", Func: Distinct, Window: hour, Attr: "device"},
		Feature{Name: "more", Func: Count, Window: hour, Scan: true, With: func(p, this *Past) bool { return p.Amount > this.Amount }},
		Feature{Name: "pairs", Func: Since, With: same}))
	step := func(id string, at, units int64, to, device, isFraud string) Want {
		e := pay(id, at, units)
		if to != "" {
			e.SetText(schemas.FieldCounterparty, to)
		}
		e.Attributes = []schemas.Attribute{{Name: "device", Value: device}, {Name: "fraud", Value: isFraud}}
		return l.step(e)
	}
	expect := func(w Want, pair, earlier, frauds, devices, more, pairs string) {
		t.Helper()
		for name, want := range map[string]string{"pair": pair, "earlier": earlier, "fraud": frauds, "device": devices, "more": more, "pairs": pairs} {
			l.feature("event "+w.Event.ID, w, name, want)
		}
	}
	expect(step("a", 0, 5, "x", "d1", "1"), "1", "0", "1", "1", "0", "ND")
	expect(step("b", minute, 7, "y", "d1", "0"), "1", "0", "1", "1", "0", "ND")
	expect(step("c", 2*minute, 6, "x", "d2", "1"), "2", "5", "2", "2", "1", "120")
	expect(step("d", 3*minute, 1, "", "d3", "1"), "0", "0", "3", "3", "3", "ND")     // no counterparty: equal to none, not even its own
	expect(step("e", 61*minute, 1, "y", "d2", "0"), "1", "0", "2", "2", "1", "3600") // (1 min, 61 min]: since looks further back
}

// TestAggregate_ScanAndDistinctEndAtTheirBounds: 4,096 events of a scan, 65,536 values.
func TestAggregate_ScanAndDistinctEndAtTheirBounds(t *testing.T) {
	every := func(_, _ *Past) bool { return true }
	scan, values := Feature{Func: Count, Window: hour, Scan: true, With: every}, Feature{Func: Distinct, Window: hour, Field: schemas.FieldCounterparty}
	c := &customer{watermark: base}
	v := view{customer: c, tau: base, retention: day}
	for i := range maxDistinct + 1 {
		e := with(pay("", 0, 1), schemas.FieldCounterparty, fmt.Sprint(i))
		c.events = append(c.events, &Past{Time: base, Counted: true, seen: &e, first: &e})
		v.this = c.events[i]
		for _, at := range []struct {
			n    int
			f    *Feature
			want bool
		}{{maxScan, &scan, true}, {maxScan + 1, &scan, false}, {maxDistinct, &values, true}, {maxDistinct + 1, &values, false}} {
			if at.n != i+1 {
				continue
			}
			if got := v.measure(at.f); got.Known != at.want || at.want && got.Number != whole(int64(at.n)) {
				t.Errorf("%s of %d events: %s, known %v", at.f.Func, at.n, got.Number.Decimal(), got.Known)
			}
		}
	}
}

func TestAggregate_SinceKeepsWhatLeftTheHorizon(t *testing.T) {
	in := func(p *Past) bool { return p.Side == schemas.SideIn }
	every := func(_, _ *Past) bool { return true }
	l := newLog(t, plain(hour, Feature{Name: "quiet", Func: Since}, Feature{Name: "in", Func: Since, Where: in}, Feature{Name: "seen", Func: Since, With: every}))
	paid := pay("a", 0, 1)
	paid.Side = schemas.SideIn
	w := l.step(paid)
	l.feature("nothing before", w, "quiet", "ND")
	w = l.step(pay("b", 2*hour, 1))
	l.feature("what is gone answers a condition of its own", w, "quiet", "7200")
	l.feature("and none that asks for the current event", w, "seen", "ND")
	w = l.step(pay("c", 2*hour+500, 1))
	l.feature("ms as parts of a second", w, "quiet", "0.5")
	l.feature("a left the horizon with b", w, "in", "7200.5")
	l.feature("the same ms, before in the log", l.step(pay("d", 2*hour+500, 1)), "quiet", "0")
	l.feature("late: back from its own time", l.step(pay("e", 2*hour+100, 1)), "quiet", "0.1")
	l.step(with(pay("f", 9*hour, 1), schemas.FieldState, "DECLINED"))
	l.feature("a declined one is no event", l.step(pay("g", 9*hour+1000, 1)), "quiet", "25200.5")
}

// at is a local time in ms.
func at(t *testing.T, zone *time.Location, local string) int64 {
	t.Helper()
	x, err := time.ParseInLocation("2006-01-02 15:04:05.999", local, zone)
	if err != nil {
		t.Fatal(err)
	}
	return x.UnixMilli()
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestCalendar_ADayBeginsWhereTheZoneSaysSo(t *testing.T) {
	for _, c := range []struct {
		zone, day, utc string
	}{
		{"UTC", "2018-04-01", "2018-04-01T00:00:00Z"},
		{"Europe/Berlin", "2018-03-25", "2018-03-24T23:00:00Z"},     // the day that loses an hour
		{"Europe/Berlin", "2018-03-26", "2018-03-25T22:00:00Z"},     // 23 h later
		{"Europe/Berlin", "2018-10-29", "2018-10-28T23:00:00Z"},     // 25 h after the day before
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"}, // there is no midnight: the clock goes from 23:59 to 01:00
		{"America/Havana", "2018-11-04", "2018-11-04T04:00:00Z"},    // midnight comes twice, at 01:00 again: the first one
		{"Asia/Kathmandu", "2018-04-01", "2018-03-31T18:15:00Z"},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z"}, // behind the day that never was
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"},
		{"Africa/Monrovia", "1971-06-01", "1971-06-01T00:44:30Z"}, // seconds
	} {
		x, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		cal := calendar{zone(t, c.zone), map[date]int64{}}
		y, m, d := x.Date()
		if got := time.UnixMilli(cal.start(date{y, m, d})).UTC().Format(time.RFC3339); got != c.utc {
			t.Errorf("%s in %s begins at %s, want %s", c.day, c.zone, got, c.utc)
		}
	}
	for _, c := range []struct {
		day  date
		unit Unit
		want date
	}{
		{date{2018, 4, 1}, Week, date{2018, 3, 26}}, // a Sunday
		{date{2018, 4, 2}, Week, date{2018, 4, 2}},
		{date{2016, 1, 3}, Week, date{2015, 12, 28}},
		{date{2018, 4, 30}, Month, date{2018, 4, 1}},
		{date{2018, 6, 30}, Quarter, date{2018, 4, 1}},
		{date{2018, 12, 31}, Quarter, date{2018, 10, 1}},
		{date{2018, 12, 31}, Year, date{2018, 1, 1}},
		{date{2018, 12, 31}, Day, date{2018, 12, 31}},
	} {
		if got := c.day.first(c.unit); got != c.want {
			t.Errorf("the %s of %v begins on %v, want %v", c.unit, c.day, got, c.want)
		}
	}
}

func TestCalendar_WindowsRunFromTheLocalStartToTheEvent(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	cfg := plain(367 * day)
	for _, u := range []Unit{Day, Week, Month, Quarter, Year} {
		cfg.Features = append(cfg.Features, Feature{Name: string(u), Func: Sum, Unit: u})
	}
	cfg.Zone = z
	l := newLog(t, cfg)
	for i, when := range []string{
		"2018-01-01 00:00:00", "2018-03-31 23:59:59.999", "2018-04-01 00:00:00", "2018-04-22 23:59:59.999", "2018-04-23 00:00:00", "2018-04-29 12:00:00",
	} {
		l.step(schemas.Event{Kind: schemas.KindPayment, Customer: "c", ID: when, Time: at(t, z, when), Amount: schemas.Micro << i, HasAmount: true})
	}
	w := l.step(schemas.Event{Kind: schemas.KindPayment, Customer: "c", ID: "now", Time: at(t, z, "2018-04-29 12:00:00"), Amount: 64 * schemas.Micro, HasAmount: true})
	for name, want := range map[string]string{"day": "96", "week": "112", "month": "124", "quarter": "124", "year": "127"} {
		l.feature("Sunday noon", w, name, want)
	}
	w = l.step(schemas.Event{Kind: schemas.KindPayment, Customer: "c", ID: "late", Time: at(t, z, "2018-04-23 00:00:00"), Amount: 128 * schemas.Micro, HasAmount: true})
	for name, want := range map[string]string{"day": "144", "week": "144", "month": "156", "year": "159"} {
		l.feature("late, the week's first ms", w, name, want)
	}
}

func TestCalendar_AUnitThatBeginsBehindTheHorizonIsNotDeterminable(t *testing.T) {
	cfg := plain(25*hour, Feature{Name: "day", Func: Count, Unit: Day})
	l := newLog(t, cfg)
	pays := func(id, when string) Want {
		return l.step(schemas.Event{Kind: schemas.KindPayment, Customer: "c", ID: id, Time: at(t, time.UTC, when)})
	}
	pays("a", "2018-04-03 00:59:59.999")
	w := pays("b", "2018-04-02 05:00:00") // the horizon is at 23:59:59.999 on the 1st
	l.feature("the day begins 1 ms inside", w, "day", "1")
	pays("c", "2018-04-03 01:00:00")
	w = pays("d", "2018-04-02 06:00:00")
	l.feature("the day's first ms has left", w, "day", "ND")
	l.feature("of today all is there", pays("e", "2018-04-03 00:30:00"), "day", "1")
}

func TestDaily_OverLocalDaysBeforeTodayThatHaveEvents(t *testing.T) {
	z := zone(t, "Europe/Berlin")
	cfg := plain(6*day,
		Feature{Name: "days", Func: DailyDays, Window: 4 * day}, Feature{Name: "mean", Func: DailyMean, Window: 4 * day},
		Feature{Name: "max", Func: DailyMax, Window: 4 * day}, Feature{Name: "sd", Func: DailyStddev, Window: 4 * day},
		Feature{Name: "n", Func: DailyMean, Window: 4 * day, Counts: true}, Feature{Name: "n max", Func: DailyMax, Window: 4 * day, Counts: true},
		Feature{Name: "n days", Func: DailyDays, Window: 4 * day, Counts: true},
		Feature{Name: "in", Func: DailyMax, Window: 4 * day, Side: schemas.SideIn}, Feature{Name: "yesterday", Func: DailyMean, Window: day})
	cfg.Zone = z
	l := newLog(t, cfg)
	pays := func(when string, units int64) Want {
		return l.step(schemas.Event{
			Kind: schemas.KindPayment, Customer: "c", ID: fmt.Sprint(l.offset), Side: schemas.SideOut, Time: at(t, z, when), Amount: units * schemas.Micro, HasAmount: true,
		})
	}
	w := pays("2018-03-22 23:59:59.999", 1000) // five days before the 27th
	for name, want := range map[string]string{"days": "0", "mean": "ND", "max": "ND", "sd": "ND", "n": "ND", "in": "ND", "yesterday": "ND"} {
		l.feature("today does not count", w, name, want)
	}
	pays("2018-03-23 00:00:00", 3)
	pays("2018-03-24 12:00:00", -5)
	pays("2018-03-25 01:59:59", 1) // of 23 hours
	pays("2018-03-25 23:59:59.999", 3)
	dollars := pays("2018-03-26 00:00:00", 0).Event
	dollars.ID, dollars.Origin.Offset = "dollars", 999
	dollars.SetText(schemas.FieldCurrency, "USD")
	l.step(dollars)
	dollars.ID, dollars.Origin.Offset, dollars.Time = "more dollars", 998, at(t, z, "2018-03-23 22:00:00")
	l.step(dollars)
	w = pays("2018-03-27 00:00:00", 77)
	// sums 3, −5, 4, 0 on four days; counts 2, 1, 2, 2
	for name, want := range map[string]string{
		"days": "4", "mean": "0.5", "max": "4", "sd": "3.5", "n": "1.75", "n max": "2", "n days": "4", "in": "ND", "yesterday": "0",
	} { // √(4·50 − 4) / 4 = 3.5
		l.feature("the 27th, at midnight", w, name, want)
	}
	w = pays("2018-03-26 23:00:00", 1)
	for name, want := range map[string]string{"days": "4", "max": "1000", "mean": "250.5", "yesterday": "4"} {
		l.feature("late: today is the 26th", w, name, want)
	}
	l.feature("a day later, with a day of none", pays("2018-03-28 22:00:00", 1), "days", "4")
}

func TestDaily_OnlyDollarsMakeNoDayOfSums(t *testing.T) {
	l := newLog(t, plain(6*day, Feature{Name: "sum", Func: DailyDays, Window: 2 * day}, Feature{Name: "n", Func: DailyDays, Window: 2 * day, Counts: true}))
	l.step(with(pay("a", 0, 1), schemas.FieldCurrency, "USD"))
	w := l.step(pay("b", day, 1))
	l.feature("no amount in the base currency", w, "sum", "0")
	l.feature("yet an event", w, "n", "1")
}
