package oracle

import (
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// twice is a configuration that judges late events at the watermark too.
func twice(own ...Rule) Config {
	cfg := plain(10*day, Feature{Name: "n", Func: Count, Window: hour})
	cfg.Own = own
	return cfg
}

// of makes a rule that hits from limit on.
func of(id string, limit int64, reads ...Feature) Rule {
	return Rule{ID: id, Level: schemas.LevelHigh, Score: 7, Reads: reads, Judge: func(_ *Past, v []Value) schemas.Verdict {
		verdict := schemas.Hit
		for i := range v {
			verdict = And(verdict, AtLeast(v[i], whole(limit)))
		}
		return verdict
	}}
}

func (l *log) rule(what string, w Want, id string, verdict schemas.Verdict, atWatermark bool) {
	l.t.Helper()
	for _, j := range w.Rules {
		if j.Rule == id {
			if j.Verdict != verdict || j.AtWatermark != atWatermark {
				l.t.Errorf("%s: %s is %s, at watermark %v, want %s, %v", what, id, j.Verdict, j.AtWatermark, verdict, atWatermark)
			}
			return
		}
	}
	l.t.Errorf("%s: no rule %s", what, id)
}

func TestWatermark_ALateEventThatCompletesAPatternIsFoundWhenItArrives(t *testing.T) {
	l := newLog(t, twice(of("THREE", 3, Feature{Func: Count, Window: hour})))
	l.step(pay("a", 30*minute, 1))
	l.rule("two", l.step(pay("b", 60*minute, 1)), "THREE", schemas.NoHit, false)
	w := l.step(pay("late", 10*minute, 1))
	l.rule("the third, and the first by time", w, "THREE", schemas.Hit, true)
	l.feature("features stay at the event's own time", w, "n", "1")
	if !w.Open || w.Level != schemas.LevelHigh || w.Score != 7 || !w.Late {
		t.Errorf("level and score count it: %+v", w)
	}
	w = l.step(pay("on time", 60*minute, 1))
	l.rule("at the watermark itself there is one evaluation", w, "THREE", schemas.Hit, false)
}

func TestWatermark_OnlyWhereOneOfTheWindowsStillContainsTheEvent(t *testing.T) {
	hourly, delayed := Feature{Func: Count, Window: hour}, Feature{Func: Count, Window: hour, Delay: hour}
	l := newLog(t, twice(of("TWO", 2, hourly), of("BOTH", 2, hourly, Feature{Func: Count, Window: 3 * hour}), of("DELAYED", 1, delayed),
		of("DAY", 3, Feature{Func: Count, Unit: Day}), of("DAYS", 1, Feature{Func: DailyDays, Window: day}), of("QUIET", 3600, Feature{Func: Since})))
	l.step(pay("a", 2*hour, 1))
	l.step(pay("b", 2*hour, 1))
	w := l.step(pay("late", hour, 1))
	l.rule("exactly W before the watermark", w, "TWO", schemas.NoHit, false)
	l.rule("its other window contains it", w, "BOTH", schemas.Hit, true)
	l.rule("a delayed window at the watermark ends exactly at it", w, "DELAYED", schemas.Hit, true)
	l.rule("the same local day", w, "DAY", schemas.Hit, true)
	l.rule("today is no day before", w, "DAYS", schemas.NoHit, false)
	w = l.step(pay("later", hour+1, 1))
	l.rule("1 ms inside", w, "TWO", schemas.Hit, false) // with the one at 1 h it is two at its own time already
	l.rule("the delayed window has passed", w, "DELAYED", schemas.NoHit, false)
	l.rule("since would be an hour at the watermark, and is no window", w, "QUIET", schemas.NoHit, false)
	l.step(pay("c", 30*hour, 1))
	w = l.step(pay("yesterday", 5*hour, 1))
	l.rule("its day is one of the days before the watermark's", w, "DAYS", schemas.Hit, true)
	l.rule("its day is over", w, "DAY", schemas.Hit, false)
}

func TestWatermark_PriorAndThisStayTheEvents(t *testing.T) {
	same := func(p, this *Past) bool { return p.Amount == this.Amount }
	in := func(p *Past) bool { return p.Side == schemas.SideIn }
	quiet := of("QUIET", 1800, Feature{Func: Since}, Feature{Func: Count, Window: hour})
	quiet.Judge = func(_ *Past, v []Value) schemas.Verdict { return AtLeast(v[0], whole(1800)) }
	l := newLog(t, twice(quiet,
		of("PRIOR", 3, Feature{Func: Count, Window: hour, Prior: true}), of("SAME", 2, Feature{Func: Count, Window: hour, With: same}),
		of("LAST", 5, Feature{Func: Last, Window: hour, Prior: true}), of("IN", 2, Feature{Func: Count, Window: hour, Where: in})))
	l.step(pay("a", 20*minute, 1))
	l.step(pay("b", 30*minute, 5))
	w := l.step(pay("late", 10*minute, 1))
	l.rule("two besides it", w, "PRIOR", schemas.NoHit, false)
	l.rule("of its own amount, not of the newest event's", w, "SAME", schemas.Hit, true)
	l.rule("the last one besides it is that at the watermark", w, "LAST", schemas.Hit, true)
	w = l.step(pay("later", 15*minute, 9))
	l.rule("three besides it", w, "PRIOR", schemas.Hit, true)
	l.rule("no other of 9", w, "SAME", schemas.NoHit, false)
	l.rule("since: from the event before the late one, 10 min, to the watermark, 30 min", w, "QUIET", schemas.NoHit, false)
	l.step(pay("c", 41*minute, 1))
	l.rule("now to 41 min", l.step(pay("d", 14*minute, 9)), "QUIET", schemas.Hit, true)
	incoming := pay("e", 39*minute, 3)
	incoming.Side = schemas.SideIn
	l.rule("a filter of its own", l.step(incoming), "IN", schemas.NoHit, false)
}

func TestWatermark_ItAddsHitsAndChangesNothingElse(t *testing.T) {
	fails := of("FAILS", 0, Feature{Func: Count, Window: hour})
	fails.Judge = func(_ *Past, v []Value) schemas.Verdict {
		if v[0].Number == whole(1) {
			return schemas.Errored
		}
		return schemas.NoHit
	}
	hits := fails
	hits.ID, hits.Judge = "HEALS", func(_ *Past, v []Value) schemas.Verdict {
		if v[0].Number == whole(1) {
			return schemas.Errored
		}
		return schemas.Hit
	}
	low := of("LOW", 1, Feature{Func: Count, Window: hour})
	l := newLog(t, twice(fails, hits, low, of("ND", 1, Feature{Func: Avg, Window: hour, Side: schemas.SideIn})))
	l.step(pay("a", 10*minute, 1))
	w := l.step(pay("late", 5*minute, 1))
	l.rule("what failed at its own time", w, "FAILS", schemas.Errored, false)
	l.rule("a hit there", w, "HEALS", schemas.Hit, true)
	l.rule("a hit at its own time already", w, "LOW", schemas.Hit, false)
	l.rule("not determinable", w, "ND", schemas.ND, false)
	if w.Score != 14 {
		t.Errorf("score %d, want 14", w.Score)
	}
}

func TestWatermark_WhatIsBehindTheHorizonAtItsOwnTimeIsWholeAtTheWatermark(t *testing.T) {
	cfg := twice(of("TWO", 2, Feature{Func: Count, Window: 2 * hour}))
	cfg.Retention = 2 * hour
	l := newLog(t, cfg)
	l.step(pay("a", 2*hour, 1))
	w := l.step(pay("late", hour, 1))
	l.rule("ND at its own time, a hit at the watermark", w, "TWO", schemas.Hit, true)
	cfg.Once = true
	l = newLog(t, cfg)
	l.step(pay("a", 2*hour, 1))
	l.rule("judged once", l.step(pay("late", hour, 1)), "TWO", schemas.ND, false)
}
