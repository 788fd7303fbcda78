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
			if v, ok := attribute(f.Event, name); ok {
				return v, 0
			}
			return "", absent
		}
	},
	intSlot: func(slot int, absent status) intFn[Frame] {
		return func(f *Frame) (int64, status) {
			v := &f.Aggregates[slot]
			if v.Kind == Absent {
				return 0, absent
			}
			return int64(v.I.Lo), 0
		}
	},
	moneySlot: func(slot int, absent status) moneyFn[Frame] {
		return func(f *Frame) (schemas.Int128, status) {
			v := &f.Aggregates[slot]
			if v.Kind == Absent {
				return schemas.Int128{}, absent
			}
			return v.I, 0
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

func attribute(e *schemas.Event, name string) (string, bool) {
	i, ok := slices.BinarySearchFunc(e.Attributes, name, func(a schemas.Attribute, name string) int {
		switch {
		case a.Name < name:
			return -1
		case a.Name > name:
			return 1
		}
		return 0
	})
	if !ok {
		return "", false
	}
	return e.Attributes[i].Value, true
}

// Judge judges f's event: it appends to fact.Features (the determinable ones), fact.Rules (one per live and shadow rule on the event's
// kind) and fact.Hits, and sets fact.Score and fact.InitialLevel, both from live hits only. It never panics and never fails: a mistake
// of one rule is that rule's ERROR. It keeps nothing of fact, and fact nothing of f.
func (s *Set) Judge(f *Frame, fact *schemas.Fact) {
	fact.Score, fact.InitialLevel = 0, schemas.LevelNone
	if cap(f.features) < len(s.Features) {
		f.features = make([]computed, len(s.Features))
	}
	f.features = f.features[:len(s.Features)]
	for _, i := range s.featureOrder {
		s.Features[i].run(f, &f.features[i])
	}
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
	kind := f.Event.Kind
	for _, r := range s.judged {
		if r.kinds&(1<<kind) == 0 {
			continue
		}
		hits := len(fact.Hits)
		verdict, note := s.judge(r, f, fact)
		fact.Rules = append(fact.Rules, schemas.RuleVerdict{Rule: r.ID, Version: r.Version, Verdict: verdict, Note: note})
		if verdict != schemas.Hit {
			fact.Hits = fact.Hits[:hits]
		} else if r.Mode == Live {
			fact.Score += r.Score
			fact.InitialLevel = max(fact.InitialLevel, r.Level)
		}
	}
}

// judge is one rule's outcome; for a HIT it appends the explanation.
func (s *Set) judge(r *Rule, f *Frame, fact *schemas.Fact) (verdict schemas.Verdict, note string) {
	defer func() {
		if p := recover(); p != nil {
			verdict, note = schemas.Errored, fmt.Sprintf("panic: %v", p)
		}
	}()
	v, st := r.holds(f)
	switch {
	case st == 0 && !v:
		return schemas.NoHit, ""
	case st == 0:
		fact.Hits = append(fact.Hits, s.explain(r, f))
		return schemas.Hit, ""
	case st > 0:
		return schemas.ND, s.note(f, st)
	}
	return schemas.Errored, s.note(f, -st)
}

// note says what the status means for this event.
func (s *Set) note(f *Frame, st status) string {
	if st == statusPanic {
		return "panic in a feature"
	}
	n := s.notes[st-1]
	if n.slot < 0 {
		return n.text
	}
	return n.text + ": " + f.Aggregates[n.slot].Why
}

// statusPanic, negative, is the status of a feature that panicked.
const statusPanic status = 1<<31 - 1

// run computes the feature into c.
func (ft *Feature) run(f *Frame, c *computed) {
	defer func() {
		if recover() != nil {
			c.status = -statusPanic
		}
	}()
	ft.compute(f, c)
}

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
