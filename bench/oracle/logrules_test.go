package oracle_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/schemas"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// Conditions by hand. What a past event does not have makes a condition unknown, which is not met.

func is(f schemas.Field, value string) func(*oracle.Past) bool {
	return func(p *oracle.Past) bool { return p.Is(f, value) }
}

func attrIs(name, value string) func(*oracle.Past) bool {
	return func(p *oracle.Past) bool { v, ok := p.Attr(name); return ok && v == value }
}

func sameText(f schemas.Field) func(p, this *oracle.Past) bool {
	return func(p, this *oracle.Past) bool {
		v, ok := this.Text(f)
		return ok && p.Is(f, v)
	}
}

func sameAttr(name string) func(p, this *oracle.Past) bool {
	return func(p, this *oracle.Past) bool {
		v, ok := this.Attr(name)
		w, has := p.Attr(name)
		return ok && has && v == w
	}
}

func larger(p, this *oracle.Past) bool {
	return p.HasAmount && this.HasAmount && p.Amount > this.Amount
}

// logFeatures is every form of an aggregate, with windows of at most a week: over the log's retention of 8 days and an hour.
func logFeatures() []feature {
	const millionth, unit = 1, schemas.Micro
	return []feature{
		{oracle.Feature{Name: "n", Func: oracle.Count, Window: hour}, "count('1h')"},
		{oracle.Feature{Name: "n2d", Func: oracle.Count, Window: 2 * day}, "count('2d')"},
		{oracle.Feature{Name: "n7d", Func: oracle.Count, Window: 7*day + hour}, "count('169h')"},
		{oracle.Feature{Name: "sum", Func: oracle.Sum, Window: 6 * hour}, "sum('6h', amount)"},
		{oracle.Feature{Name: "avg", Func: oracle.Avg, Window: day}, "avg('1d', amount)"},
		{oracle.Feature{Name: "low", Func: oracle.Min, Window: 12 * hour}, "min('12h', amount)"},
		{oracle.Feature{Name: "high", Func: oracle.Max, Window: 3 * day, Side: schemas.SideIn}, "max('3d', amount, direction == 'IN')"},
		{oracle.Feature{Name: "sd", Func: oracle.Stddev, Window: day}, "stddev('1d', amount)"},
		{oracle.Feature{Name: "sd_out", Func: oracle.Stddev, Window: 2 * day, Side: schemas.SideOut}, "stddev('2d', amount, direction == 'OUT')"},
		{oracle.Feature{Name: "first", Func: oracle.First, Window: 12 * hour}, "first('12h', amount)"},
		{oracle.Feature{Name: "last", Func: oracle.Last, Window: day, Side: schemas.SideOut}, "last('1d', amount, direction == 'OUT')"},
		{oracle.Feature{Name: "before", Func: oracle.Last, Window: day, Prior: true}, "prior.last('1d', amount)"},
		{oracle.Feature{Name: "prior_n", Func: oracle.Count, Window: 10 * minute, Prior: true}, "prior.count('10m')"},
		{oracle.Feature{Name: "prior_sd", Func: oracle.Stddev, Window: day, Prior: true}, "prior.stddev('1d', amount)"},
		{oracle.Feature{Name: "prior_min", Func: oracle.Min, Window: day, Prior: true}, "prior.min('1d', amount)"},
		{oracle.Feature{Name: "names", Func: oracle.Distinct, Window: 2 * day, Field: schemas.FieldCounterparty}, "distinct('2d', counterparty)"},
		{oracle.Feature{Name: "places", Func: oracle.Distinct, Window: day, Field: schemas.FieldCountry, Side: schemas.SideOut, Prior: true}, "prior.distinct('1d', country, direction == 'OUT')"},
		{oracle.Feature{Name: "currencies", Func: oracle.Distinct, Window: day, Field: schemas.FieldCurrency}, "distinct('1d', currency)"},
		{oracle.Feature{Name: "devices", Func: oracle.Distinct, Window: day, Attr: "device"}, "distinct('1d', attr.device)"},
		{oracle.Feature{Name: "states", Func: oracle.Distinct, Window: 2 * day, Field: schemas.FieldState}, "distinct('2d', state)"},
		{oracle.Feature{Name: "delayed", Func: oracle.Count, Window: day, Delay: 2 * day}, "count(delay('1d', '2d'))"},
		{oracle.Feature{Name: "delayed_fraud", Func: oracle.Count, Window: day, Delay: 6 * day, Where: attrIs("fraud", "1")}, "count(delay('1d', '6d'), attr.fraud == '1')"},
		{oracle.Feature{Name: "delayed_max", Func: oracle.Max, Window: 3 * hour, Delay: hour}, "max(delay('3h', '1h'), amount)"},
		{oracle.Feature{Name: "quiet", Func: oracle.Since}, "since(true)"},
		{oracle.Feature{Name: "quiet_large", Func: oracle.Since, Where: func(p *oracle.Past) bool { return p.HasAmount && p.Amount >= 9_000*unit }}, "since(amount >= 9000)"},
		{oracle.Feature{Name: "refusal", Func: oracle.Since, Where: is(schemas.FieldState, "DECLINED"), States: true}, "since(state == 'DECLINED')"},
		{oracle.Feature{Name: "fraud", Func: oracle.Sum, Window: 2 * day, Where: attrIs("fraud", "1")}, "sum('2d', amount, attr.fraud == '1')"},
		{oracle.Feature{Name: "declined", Func: oracle.Count, Window: day, Where: is(schemas.FieldState, "DECLINED"), States: true}, "count('1d', state == 'DECLINED')"},
		{oracle.Feature{Name: "refunded", Func: oracle.Sum, Window: 3 * day, Where: is(schemas.FieldState, "REFUNDED"), States: true, Side: schemas.SideOut}, "sum('3d', amount, state == 'REFUNDED' && direction == 'OUT')"},
		{oracle.Feature{Name: "sent", Func: oracle.Count, Window: 2 * day, Where: is(schemas.FieldState, "SENT"), States: true}, "count('2d', state == 'SENT')"},
		{oracle.Feature{Name: "elsewhere", Func: oracle.Count, Window: day, Where: func(p *oracle.Past) bool {
			v, ok := p.Text(schemas.FieldCountry)
			return ok && v != "DE"
		}}, "count('1d', country != 'DE')"},
		{oracle.Feature{Name: "tiny", Func: oracle.Count, Window: 2 * day, Where: func(p *oracle.Past) bool { return p.HasAmount && p.Amount <= millionth }}, "count('2d', amount <= 0.000001)"},
		{oracle.Feature{Name: "pair", Func: oracle.Count, Window: 2 * day, With: sameText(schemas.FieldCounterparty)}, "count('2d', counterparty == this.counterparty)"},
		{oracle.Feature{Name: "pair_sd", Func: oracle.Stddev, Window: 2 * day, With: sameText(schemas.FieldCounterparty), Side: schemas.SideOut}, "stddev('2d', amount, counterparty == this.counterparty && direction == 'OUT')"},
		{oracle.Feature{Name: "pair_last", Func: oracle.Last, Window: 2 * day, Prior: true, With: sameText(schemas.FieldCounterparty)}, "prior.last('2d', amount, this.counterparty == counterparty)"},
		{oracle.Feature{Name: "pair_low", Func: oracle.Min, Window: 5 * day, With: sameText(schemas.FieldCounterparty)}, "min('5d', amount, counterparty == this.counterparty)"},
		{oracle.Feature{Name: "device", Func: oracle.Sum, Window: day, With: sameAttr("device")}, "sum('1d', amount, attr.device == this.attr.device)"},
		{oracle.Feature{Name: "device_names", Func: oracle.Distinct, Window: 2 * day, Field: schemas.FieldCounterparty, With: func(p, this *oracle.Past) bool {
			return sameAttr("device")(p, this) && sameText(schemas.FieldCountry)(p, this)
		}}, "distinct('2d', counterparty, attr.device == this.attr.device && country == this.country)"},
		{oracle.Feature{Name: "pair_declined", Func: oracle.Count, Window: 3 * day, States: true, Where: is(schemas.FieldState, "DECLINED"), With: sameText(schemas.FieldCounterparty)}, "count('3d', state == 'DECLINED' && counterparty == this.counterparty)"},
		{oracle.Feature{Name: "same_state", Func: oracle.Count, Window: day, States: true, With: sameText(schemas.FieldState)}, "count('1d', state == this.state)"},
		{oracle.Feature{Name: "larger", Func: oracle.Count, Window: day, Scan: true, With: larger}, "count('1d', amount > this.amount)"},
		{oracle.Feature{Name: "larger_in", Func: oracle.Avg, Window: 2 * day, Scan: true, Side: schemas.SideIn, With: larger, Prior: true}, "prior.avg('2d', amount, direction == 'IN' && amount > this.amount)"},
		{oracle.Feature{Name: "other_state", Func: oracle.Count, Window: day, Scan: true, States: true, With: func(p, this *oracle.Past) bool {
			a, ok := p.Text(schemas.FieldState)
			b, has := this.Text(schemas.FieldState)
			return ok && has && a != b
		}}, "count('1d', state != this.state)"},
		{oracle.Feature{Name: "day", Func: oracle.Count, Unit: oracle.Day}, "count('day')"},
		{oracle.Feature{Name: "day_sum", Func: oracle.Sum, Unit: oracle.Day, Prior: true, Side: schemas.SideOut}, "prior.sum('day', amount, direction == 'OUT')"},
		{oracle.Feature{Name: "week", Func: oracle.Stddev, Unit: oracle.Week}, "stddev('week', amount)"},
		{oracle.Feature{Name: "week_names", Func: oracle.Distinct, Unit: oracle.Week, Field: schemas.FieldCounterparty}, "distinct('week', counterparty)"},
		{oracle.Feature{Name: "mean_day", Func: oracle.DailyMean, Window: 5 * day}, "daily('5d', amount).mean"},
		{oracle.Feature{Name: "sd_day", Func: oracle.DailyStddev, Window: 5 * day}, "daily('5d', amount).stddev"},
		{oracle.Feature{Name: "max_day", Func: oracle.DailyMax, Window: 3 * day, Side: schemas.SideIn}, "daily('3d', amount, direction == 'IN').max"},
		{oracle.Feature{Name: "days", Func: oracle.DailyDays, Window: 6 * day}, "daily('6d', amount).days"},
		{oracle.Feature{Name: "n_day", Func: oracle.DailyMean, Window: 6 * day, Counts: true}, "daily('6d', count).mean"},
		{oracle.Feature{Name: "n_day_sd", Func: oracle.DailyStddev, Window: 2 * day, Counts: true}, "daily('2d', count).stddev"},
		{oracle.Feature{Name: "n_days", Func: oracle.DailyDays, Window: 4 * day, Counts: true, Where: is(schemas.FieldState, "DECLINED"), States: true}, "daily('4d', count, state == 'DECLINED').days"},
		{oracle.Feature{Name: "n_day_pair", Func: oracle.DailyMax, Window: 3 * day, Counts: true, With: sameText(schemas.FieldCounterparty)}, "daily('3d', count, counterparty == this.counterparty).max"},
	}
}

// decided is a verdict where all that decides it is known.
func decided(hit bool, needs ...oracle.Value) schemas.Verdict {
	for _, v := range needs {
		if !v.Known {
			return schemas.ND
		}
	}
	if hit {
		return schemas.Hit
	}
	return schemas.NoHit
}

func units(n int64) schemas.Int128 { return schemas.I128(n * schemas.Micro) }

// logRules are rules over every kind of window, so that the second evaluation meets them all.
func logRules() []own {
	rule := func(id, when string, reads []oracle.Feature, judge func(this *oracle.Past, v []oracle.Value) schemas.Verdict) own {
		return own{oracle.Rule{ID: id, Reads: reads, Judge: judge}, when}
	}
	reads := func(list ...oracle.Feature) []oracle.Feature { return list }
	least := func(limit int64) func(*oracle.Past, []oracle.Value) schemas.Verdict {
		return func(_ *oracle.Past, v []oracle.Value) schemas.Verdict { return oracle.AtLeast(v[0], units(limit)) }
	}
	return []own{
		rule("SHORT", "count('10m') >= 3", reads(oracle.Feature{Func: oracle.Count, Window: 10 * minute}), least(3)),
		rule("PRIOR", "prior.sum('1h', amount) >= 9000", reads(oracle.Feature{Func: oracle.Sum, Window: hour, Prior: true}), least(9_000)),
		rule("PAIR", "count('6h', counterparty == this.counterparty) >= 3 && amount > 20",
			reads(oracle.Feature{Func: oracle.Count, Window: 6 * hour, With: sameText(schemas.FieldCounterparty)}),
			func(this *oracle.Past, v []oracle.Value) schemas.Verdict {
				return oracle.And(oracle.AtLeast(v[0], units(3)), decided(this.Amount > 20*schemas.Micro, this.Value()))
			}),
		rule("LARGER", "count('2h', amount > this.amount) >= 3", reads(oracle.Feature{Func: oracle.Count, Window: 2 * hour, Scan: true, With: larger}), least(3)),
		rule("REFUSED", "count('1d', state == 'DECLINED') >= 2 && count('1h') >= 2", reads(
			oracle.Feature{Func: oracle.Count, Window: day, Where: is(schemas.FieldState, "DECLINED"), States: true}, oracle.Feature{Func: oracle.Count, Window: hour}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
				return oracle.And(oracle.AtLeast(v[0], units(2)), oracle.AtLeast(v[1], units(2)))
			}),
		rule("PLACE", "last('1h', country) == 'IR'", reads(oracle.Feature{Func: oracle.LastText, Window: hour, Field: schemas.FieldCountry}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict { return decided(v[0].Text == "IR", v[0]) }),
		rule("FIRST_DEVICE", "prior.first('2h', attr.device) != attr.device", reads(oracle.Feature{Func: oracle.FirstText, Window: 2 * hour, Attr: "device", Prior: true}),
			func(this *oracle.Past, v []oracle.Value) schemas.Verdict {
				device, given := this.Attr("device")
				return decided(v[0].Text != device, v[0], oracle.Value{Known: given})
			}),
		rule("WOKEN", "since(true) >= duration('2h') && count('1d') >= 2", reads(oracle.Feature{Func: oracle.Since}, oracle.Feature{Func: oracle.Count, Window: day}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
				return oracle.And(oracle.AtLeast(v[0], units(7_200)), oracle.AtLeast(v[1], units(2)))
			}),
		rule("QUIET", "since(direction == 'IN') >= duration('6h')", reads(oracle.Feature{Func: oracle.Since, Side: schemas.SideIn}), least(6*3_600)),
		rule("SPREAD", "feature.sd > 3000 && feature.n < 40", reads(oracle.Feature{Func: oracle.Stddev, Window: day}, oracle.Feature{Func: oracle.Count, Window: hour}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
				return oracle.And(decided(v[0].Number.Cmp(units(3_000)) > 0, v[0]), decided(v[1].Number.Cmp(units(40)) < 0, v[1]))
			}),
		rule("TODAY", "count('day') >= 5", reads(oracle.Feature{Func: oracle.Count, Unit: oracle.Day}), least(5)),
		rule("DELAYED", "count(delay('6h', '30m')) >= 4", reads(oracle.Feature{Func: oracle.Count, Window: 6 * hour, Delay: 30 * minute}), least(4)),
		rule("ABOVE_DAYS", "sum('day', amount) > daily('5d', amount).max", reads(oracle.Feature{Func: oracle.Sum, Unit: oracle.Day}, oracle.Feature{Func: oracle.DailyMax, Window: 5 * day}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
				return decided(v[0].Number.Cmp(v[1].Number) > 0, v...)
			}),
		rule("DIVIDED", "20 / count('1h', direction == 'IN') < 8", reads(oracle.Feature{Func: oracle.Count, Window: hour, Side: schemas.SideIn}),
			func(_ *oracle.Past, v []oracle.Value) schemas.Verdict {
				n, _ := v[0].Number.Int64()
				switch {
				case !v[0].Known:
					return schemas.ND
				case n == 0:
					return schemas.Errored
				}
				return decided(20/(n/schemas.Micro) < 8)
			}),
		rule("PLAIN", "amount > 5000", nil, func(this *oracle.Past, _ []oracle.Value) schemas.Verdict {
			return decided(this.Amount > 5_000*schemas.Micro, this.Value())
		}),
	}
}
