package oracle

import "github.com/streamgauge/streamgauge/schemas"

// Rule is a rule by hand: what it reads, and what it makes of that.
type Rule struct {
	ID    string
	Level schemas.Level
	Score int32
	Reads []Feature // every aggregate that its condition names, through features too, decisive or not; without names
	// Judge says HIT, NO_HIT, ND or ERROR. this is the event as it is judged, values are those of Reads, in its order.
	Judge func(this *Past, values []Value) schemas.Verdict
}

// library in the order of the library's files, with its default parameters.
var library = []Rule{
	{"DORMANT", schemas.LevelHigh, 30, []Feature{{Func: Since}}, dormant},
	{"FAN_OUT", schemas.LevelHigh, 30, []Feature{{Func: Distinct, Window: 8 * hour, Field: schemas.FieldCounterparty, Side: schemas.SideOut}}, fanOut},
	{"STRUCT_BELOW", schemas.LevelHigh, 40, []Feature{{Func: Count, Window: 72 * hour, Where: inBand}, {Func: Sum, Window: 72 * hour, Where: inBand}}, structuring},
	{"VEL_OUT", schemas.LevelMedium, 20, []Feature{{Func: Count, Window: hour, Side: schemas.SideOut}}, velocity},
	{"VOL_OUT", schemas.LevelMedium, 25, []Feature{{Func: Sum, Window: day, Side: schemas.SideOut}}, volume},
}

// RuleIDs are the library's rules that the oracle judges, in the library's order.
func RuleIDs() []string {
	ids := make([]string, len(library))
	for i, r := range library {
		ids[i] = r.ID
	}
	return ids
}

func libraryRule(id string) (*Rule, bool) {
	for i := range library {
		if library[i].ID == id {
			return &library[i], true
		}
	}
	return nil, false
}

// velocity: 10 and more outgoing events in an hour.
func velocity(_ *Past, v []Value) schemas.Verdict { return AtLeast(v[0], whole(10)) }

// volume: 25,000 and more paid in 24 hours.
func volume(_ *Past, v []Value) schemas.Verdict { return AtLeast(v[0], whole(25_000)) }

// structuring: 3 and more events of 9,000 to just below 10,000 in 72 hours, 10,000 and more together.
func structuring(_ *Past, v []Value) schemas.Verdict {
	return And(AtLeast(v[0], whole(3)), AtLeast(v[1], whole(10_000)))
}

func inBand(p *Past) bool {
	return p.HasAmount && p.Amount >= 9_000*schemas.Micro && p.Amount < 10_000*schemas.Micro
}

// fanOut: payments to 5 and more counterparties in 8 hours.
func fanOut(_ *Past, v []Value) schemas.Verdict { return AtLeast(v[0], whole(5)) }

// dormant: 1,000 and more after 180 days and more of silence.
func dormant(this *Past, v []Value) schemas.Verdict {
	return And(AtLeast(v[0], whole(180*24*3600)), AtLeast(this.Value(), whole(1_000)))
}

// Value is the event's amount in base currency.
func (p *Past) Value() Value { return Value{Number: schemas.I128(p.Amount), Known: p.HasAmount} }

// AtLeast is value ≥ limit, ND where the value is not determinable.
func AtLeast(value Value, limit schemas.Int128) schemas.Verdict {
	switch {
	case !value.Known:
		return schemas.ND
	case value.Number.Cmp(limit) >= 0:
		return schemas.Hit
	}
	return schemas.NoHit
}

// And joins two conditions as CEL does: what is false decides, whatever is unknown beside it.
func And(a, b schemas.Verdict) schemas.Verdict {
	switch {
	case a == schemas.NoHit || b == schemas.NoHit:
		return schemas.NoHit
	case a == schemas.ND || b == schemas.ND:
		return schemas.ND
	}
	return schemas.Hit
}

// judge is the rule's verdict at the view's τ.
func (v *view) judge(r *Rule) schemas.Verdict {
	values := make([]Value, len(r.Reads))
	for i := range r.Reads {
		values[i] = v.measure(&r.Reads[i])
	}
	return r.Judge(v.this, values)
}

// judgeTwice is the rule's verdict at the event's own time and, for a late event, at the watermark (DESIGN, contract 2): there only if one
// of the rule's windows still contains the event, and only to find a HIT; any other outcome there changes nothing. Of since, τ moves with
// the watermark and the event that it counts from does not (design/engine.md: τ − time of the latest counted event before e); it is no
// window, so that it alone never brings a rule to the watermark.
func (v *view) judgeTwice(r *Rule, once bool) Judged {
	first := v.judge(r)
	if once || first == schemas.Hit || v.this.Time == v.customer.watermark {
		return Judged{Rule: r.ID, Verdict: first}
	}
	late := *v
	late.tau = v.customer.watermark
	for i := range r.Reads {
		if late.contains(&r.Reads[i]) {
			if late.judge(r) == schemas.Hit {
				return Judged{Rule: r.ID, Verdict: schemas.Hit, AtWatermark: true}
			}
			break
		}
	}
	return Judged{Rule: r.ID, Verdict: first}
}
