package rule

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Frame is what the rules read of one event: filled by the caller, reused from event to event. It belongs to one goroutine.
type Frame struct {
	Event      *schemas.Event
	Amount     schemas.Int128 // 10⁻⁶ of the base currency
	HasAmount  bool
	Aggregates []Value // one per slot of the Set's Plan

	features []computed // of the Set, by its own order; valid within Judge
}

// computed is a feature's value for the current event.
type computed struct {
	i      int64 // Int, Duration
	money  schemas.Int128
	double float64
	status status
}

// frameAccess reads the leaves of conditions and features.
var frameAccess = access[Frame]{
	amount: func(absent status) moneyFn[Frame] {
		return func(f *Frame) (schemas.Int128, status) {
			if !f.HasAmount {
				return schemas.Int128{}, absent
			}
			return f.Amount, 0
		}
	},
	field: func(field schemas.Field, absent status) textFn[Frame] {
		return func(f *Frame) (string, status) {
			if v, ok := f.Event.Text(field); ok {
				return v, 0
			}
			return "", absent
		}
	},
	kind: func(f *Frame) (string, status) { return f.Event.Kind.String(), 0 },
	attr: func(name string, absent status) textFn[Frame] {
		return func(f *Frame) (string, status) {
			if v, ok := f.Event.Attr(name); ok {
				return v, 0
			}
			return "", absent
		}
	},
	intSlot: func(slot int, absent status) intFn[Frame] {
		return func(f *Frame) (int64, status) {
			v := &f.Aggregates[slot]
			if v.Why != "" {
				return 0, absent
			}
			return int64(v.I.Lo), 0
		}
	},
	moneySlot: func(slot int, absent status) moneyFn[Frame] {
		return func(f *Frame) (schemas.Int128, status) {
			v := &f.Aggregates[slot]
			if v.Why != "" {
				return schemas.Int128{}, absent
			}
			return v.I, 0
		}
	},
	textSlot: func(slot int, absent status) textFn[Frame] {
		return func(f *Frame) (string, status) {
			v := &f.Aggregates[slot]
			if v.Why != "" {
				return "", absent
			}
			return v.S, 0
		}
	},
	intFeature: func(i int) intFn[Frame] {
		return func(f *Frame) (int64, status) { return f.features[i].i, f.features[i].status }
	},
	moneyFeature: func(i int) moneyFn[Frame] {
		return func(f *Frame) (schemas.Int128, status) { return f.features[i].money, f.features[i].status }
	},
	doubleFeature: func(i int) doubleFn[Frame] {
		return func(f *Frame) (float64, status) { return f.features[i].double, f.features[i].status }
	},
}

// Judge judges f's event: it appends to fact.Features (the determinable ones), fact.Rules (one per live and shadow rule on the event's
// kind) and fact.Hits, and sets fact.Score and fact.InitialLevel, both from live hits only. It never panics and never fails: a mistake
// of one rule is that rule's ERROR. It keeps nothing of fact, and fact nothing of f.
func (s *Set) Judge(f *Frame, fact *schemas.Fact) {
	fact.Score, fact.InitialLevel = 0, schemas.LevelNone
	s.compute(f)
	fact.Features = slices.Grow(fact.Features, len(s.Features))
	for i, ft := range s.Features {
		if v, ok := ft.micros(&f.features[i]); ok {
			n := len(fact.Features)
			fact.Features = fact.Features[:n+1]
			fact.Features[n].Name = ft.Name
			binary.BigEndian.PutUint64(fact.Features[n].Value[:8], uint64(v.Hi))
			binary.BigEndian.PutUint64(fact.Features[n].Value[8:], v.Lo)
		}
	}
	p := &s.on[f.Event.Kind]
	first := len(fact.Rules)
	fact.Rules = append(fact.Rules, p.verdicts...)
	for next := 0; next < len(p.rules); {
		next = s.judgeFrom(next, p.rules, fact.Rules[first:], f, fact)
	}
}

// judgeFrom judges by the rules from the next one on and writes what is no NO_HIT to verdicts. It returns the rule to go on with: behind
// the last, or behind one that panicked. So all rules together need one recovery, not one each.
func (s *Set) judgeFrom(next int, rules []*Rule, verdicts []schemas.RuleVerdict, f *Frame, fact *schemas.Fact) (after int) {
	defer func() {
		if p := recover(); p != nil {
			verdicts[next].Verdict, verdicts[next].Note = schemas.Errored, fmt.Sprintf("panic: %v", p)
			after = next + 1
		}
	}()
	for ; next < len(rules); next++ {
		r := rules[next]
		holds, st := r.holds(f)
		v := &verdicts[next]
		switch {
		case st > 0:
			v.Verdict, v.Note = schemas.ND, s.note(f, st)
		case st < 0:
			v.Verdict, v.Note = schemas.Errored, s.note(f, -st)
		case holds:
			h := s.explain(r, f)
			v.Verdict = schemas.Hit
			fact.Hits = append(fact.Hits, h)
			r.count(fact)
		}
	}
	return next
}

// count adds a hit of the rule to the fact's level and score.
func (r *Rule) count(fact *schemas.Fact) {
	if r.Mode == Live {
		fact.Score += r.Score
		fact.InitialLevel = max(fact.InitialLevel, r.Level)
	}
}

// JudgeAgain judges a late event a second time, where Judge has judged it already: f's aggregates are now those at the customer's
// watermark, the rest of f is as it was. It asks judge for every live and shadow rule that may be judged there (the index is into
// Rules; one of whose windows still contains the event) and did not hit. Where such a rule hits now, its outcome becomes HIT, and its
// explanation, marked AtWatermark, shows the values at the watermark; score and level count it. Every other outcome stays that at the
// event's own time, and so do the fact's features. What fails or panics here changes nothing.
func (s *Set) JudgeAgain(f *Frame, fact *schemas.Fact, judge func(rule int) bool) {
	verdict, hits, computed := 0, 0, false
	for i, r := range s.Rules {
		if r.Mode == Off || r.kinds&(1<<f.Event.Kind) == 0 {
			continue
		}
		v := &fact.Rules[verdict]
		verdict++
		if v.Verdict != schemas.Hit {
			if !judge(i) {
				continue
			}
			if !computed {
				s.compute(f)
				computed = true
			}
			h, ok := s.hit(r, f)
			if !ok {
				continue
			}
			h.AtWatermark = true
			fact.Hits = slices.Insert(fact.Hits, hits, h)
			v.Verdict, v.Note = schemas.Hit, ""
			r.count(fact)
		}
		hits++
	}
}

// hit judges by one rule; ok is false where it does not hit, whatever else it comes to.
func (s *Set) hit(r *Rule, f *Frame) (h schemas.HitExplained, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if v, st := r.holds(f); !v || st != 0 {
		return h, false
	}
	return s.explain(r, f), true
}

// compute fills f's features.
func (s *Set) compute(f *Frame) {
	if cap(f.features) < len(s.Features) {
		f.features = make([]computed, len(s.Features))
	}
	f.features = f.features[:len(s.Features)]
	for next := 0; next < len(s.featureOrder); {
		next = s.computeFrom(next, f)
	}
}

// computeFrom computes the features from the next one in order on, and returns the one to go on with: behind the last, or behind one
// that panicked.
func (s *Set) computeFrom(next int, f *Frame) (after int) {
	defer func() {
		if recover() != nil {
			f.features[s.featureOrder[next]].status = -statusPanic
			after = next + 1
		}
	}()
	for ; next < len(s.featureOrder); next++ {
		i := s.featureOrder[next]
		s.Features[i].compute(f, &f.features[i])
	}
	return next
}

// note says what the status means for this event.
func (s *Set) note(f *Frame, st status) string {
	if st == statusPanic {
		return "panic in a feature"
	}
	n := &s.notes[st-1]
	if n.slot < 0 {
		return n.text
	}
	why := f.Aggregates[n.slot].Why
	for i := range whys {
		if whys[i] == why {
			return n.because[i]
		}
	}
	return n.text + ": " + why
}

// statusPanic, negative, is the status of a feature that panicked.
const statusPanic status = 1<<31 - 1

// micros is the feature's value in 10⁻⁶ units, seconds for a duration, and whether it is determinable and fits decimal(38,6).
func (ft *Feature) micros(c *computed) (v schemas.Int128, ok bool) {
	if c.status != 0 {
		return v, false
	}
	switch ft.Kind {
	case Int:
		v = intMoney(c.i)
	case Duration:
		v = product(c.i, 1000) // ms in 10⁻⁶ s
	case Money:
		v = c.money
	case Double:
		if v, ok = floatMicros(c.double); !ok {
			return v, false
		}
	}
	return v, v.Cmp(decimalMax) < 0 && v.Cmp(decimalMax.Neg()) > 0
}

// decimalMax is 10³⁸: Avro's and the warehouse's decimal(38,6) ends below it.
var decimalMax = schemas.Int128{Hi: 0x4b3b4ca85a86c47a, Lo: 0x098a224000000000}

// FraudLevel is the highest level among fact's live hits of FRAUD rules: what Policy.RejectFrom is compared with. AML rules never
// block, whatever their level.
func (s *Set) FraudLevel(fact *schemas.Fact) schemas.Level {
	level := schemas.LevelNone
	for i := range fact.Hits {
		h := &fact.Hits[i]
		if !h.Shadow && h.Level > level && s.fraud[h.Rule] {
			level = h.Level
		}
	}
	return level
}

// compileFeature compiles a feature of the kind.
func (x *expression) compileFeature(kind ValueKind) func(*Frame, *computed) {
	c, e := &compiler[Frame]{x, &frameAccess}, x.tree.Expr()
	switch kind {
	case Money:
		a := c.money(e)
		return func(f *Frame, v *computed) { v.money, v.status = a(f) }
	case Double:
		a := c.double(e)
		return func(f *Frame, v *computed) { v.double, v.status = a(f) }
	}
	a := c.integer(e)
	return func(f *Frame, v *computed) { v.i, v.status = a(f) }
}
