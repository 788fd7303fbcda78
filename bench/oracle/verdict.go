package oracle

import "github.com/streamgauge/streamgauge/schemas"

// rule is one of the library's rules, by hand, with its default parameters.
type rule struct {
	id     string
	window int64 // ms
	level  schemas.Level
	score  int32
	judge  func(*view) schemas.Verdict
}

const structWindow = 72 * hour

// library in the order of the library's files.
var library = []rule{
	{"DORMANT", 0, schemas.LevelHigh, 30, dormant},
	{"FAN_OUT", 8 * hour, schemas.LevelHigh, 30, fanOut},
	{"STRUCT_BELOW", structWindow, schemas.LevelHigh, 40, structuring},
	{"VEL_OUT", hour, schemas.LevelMedium, 20, velocity},
	{"VOL_OUT", day, schemas.LevelMedium, 25, volume},
}

// RuleIDs are the rules that the oracle judges, in the library's order.
func RuleIDs() []string {
	ids := make([]string, len(library))
	for i, r := range library {
		ids[i] = r.id
	}
	return ids
}

func libraryRule(id string) (*rule, bool) {
	for i := range library {
		if library[i].id == id {
			return &library[i], true
		}
	}
	return nil, false
}

func outgoing(x *entry) bool { return x.side == schemas.SideOut }

// velocity: 10 and more outgoing events in an hour.
func velocity(v *view) schemas.Verdict {
	n, known := aggregate(v, Count, hour, 0, outgoing)
	return atLeast(n, known, whole(10))
}

// volume: 25,000 and more paid in 24 hours.
func volume(v *view) schemas.Verdict {
	sum, known := aggregate(v, Sum, day, 0, outgoing)
	return atLeast(sum, known, whole(25_000))
}

// structuring: 3 and more events of 9,000 to just below 10,000 in 72 hours, 10,000 and more together.
func structuring(v *view) schemas.Verdict {
	inBand := func(x *entry) bool {
		return x.hasAmount && x.amount >= 9_000*schemas.Micro && x.amount < 10_000*schemas.Micro
	}
	n, known := aggregate(v, Count, structWindow, 0, inBand)
	sum, sumKnown := aggregate(v, Sum, structWindow, 0, inBand)
	return and(atLeast(n, known, whole(3)), atLeast(sum, sumKnown, whole(10_000)))
}

// fanOut: payments to 5 and more counterparties in 8 hours.
func fanOut(v *view) schemas.Verdict {
	n, known := aggregate(v, Distinct, 8*hour, schemas.FieldCounterparty, outgoing)
	return atLeast(n, known, whole(5))
}

// dormant: 1,000 and more after 180 days and more of silence.
func dormant(v *view) schemas.Verdict {
	silence, known := v.since()
	long := atLeast(schemas.I128(silence), known, schemas.I128(180*day))
	return and(long, atLeast(schemas.I128(v.event.amount), v.event.hasAmount, whole(1_000)))
}

func atLeast(value schemas.Int128, known bool, limit schemas.Int128) schemas.Verdict {
	switch {
	case !known:
		return schemas.ND
	case value.Cmp(limit) >= 0:
		return schemas.Hit
	}
	return schemas.NoHit
}

// and joins two conditions as CEL does: what is false decides, whatever is unknown beside it.
func and(a, b schemas.Verdict) schemas.Verdict {
	switch {
	case a == schemas.NoHit || b == schemas.NoHit:
		return schemas.NoHit
	case a == schemas.ND || b == schemas.ND:
		return schemas.ND
	}
	return schemas.Hit
}
