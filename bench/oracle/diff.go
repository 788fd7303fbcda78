package oracle

import (
	"fmt"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Diff says in words what of a fact is not as it must be; empty where everything is. Texts for people (details, reasons of hits, notes)
// are not compared.
func Diff(w *Want, f *schemas.Fact) []string {
	d := &differences{}
	check(d, "generation", w.generation, f.Generation)
	check(d, "partition", w.Partition, f.Partition)
	check(d, "offset", w.Offset, f.Offset)
	check(d, "seq", w.Seq, f.Seq)
	check(d, "appended", w.Appended, f.Appended)
	check(d, "outcome", w.Outcome, f.Outcome)
	if !w.Broken {
		check(d, "reason", w.Reason, f.Reason)
		check(d, "late", w.Late, f.Late)
		d.event(&w.Event, &f.Event, w.currency)
	}
	if w.Outcome != schemas.Assessed {
		check(d, "assessment", "", f.Assessment)
		check(d, "features of an event that is not assessed", 0, len(f.Features))
		check(d, "verdicts on an event that is not assessed", 0, len(f.Rules))
		check(d, "hits on an event that is not assessed", 0, len(f.Hits))
		return d.list
	}
	check(d, "configuration", w.Config, f.Config)
	check(d, "has base amount", w.HasBase, f.HasBase)
	check(d, "base amount in millionths", w.BaseAmount, f.BaseAmount)
	check(d, "assessment", w.Assessment, f.Assessment)
	d.features(w, f)
	d.rules(w, f)
	if !w.others {
		d.conclusion(w, f)
	}
	return d.list
}

// differences collects what is not as expected.
type differences struct{ list []string }

func (d *differences) add(format string, args ...any) {
	d.list = append(d.list, fmt.Sprintf(format, args...))
}

// check is a function so that equal values, which are nearly all, are compared without being boxed.
func check[T comparable](d *differences, what string, want, got T) {
	if want != got {
		d.add("%s: expected %s, got %s", what, shown(want), shown(got))
	}
}

func shown(v any) string {
	if text, ok := v.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(v)
}

// features: the determinable ones and no others, in the configuration's order.
func (d *differences) features(w *Want, f *schemas.Fact) {
	got := map[string]schemas.Int128{}
	var order, expected []string
	for _, g := range f.Features {
		if _, twice := got[g.Name]; twice {
			d.add("feature %s: given twice", g.Name)
		}
		got[g.Name] = schemas.Int128FromBytes(g.Value)
		order = append(order, g.Name)
	}
	for i := range w.Features {
		m := &w.Features[i]
		value, ok := got[m.Name]
		delete(got, m.Name)
		switch {
		case m.ND && ok:
			d.add("feature %s: expected none, since it is not determinable, got %s", m.Name, value.Decimal())
		case m.ND:
		case !ok:
			d.add("feature %s: expected %s, got none", m.Name, m.Value.Decimal())
		case value != m.Value:
			d.add("feature %s: expected %s, got %s", m.Name, m.Value.Decimal(), value.Decimal())
		}
		if !m.ND && ok {
			expected = append(expected, m.Name)
		}
	}
	if w.others {
		return
	}
	for _, g := range f.Features {
		if _, surplus := got[g.Name]; surplus {
			d.add("feature %s: expected no such feature, got %s", g.Name, got[g.Name].Decimal())
		}
	}
	if len(d.list) == 0 && !slices.Equal(expected, order) {
		d.add("features: expected in the order %v, got %v", expected, order)
	}
}

// rules: one verdict each, and an explained hit for each HIT, which says whether it was found at the watermark only.
func (d *differences) rules(w *Want, f *schemas.Fact) {
	got := map[string]schemas.Verdict{}
	var order, expected []string
	for _, g := range f.Rules {
		order = append(order, g.Rule)
		if _, twice := got[g.Rule]; twice {
			d.add("rule %s: judged twice", g.Rule)
		}
		got[g.Rule] = g.Verdict
	}
	hits, late := map[string]int{}, map[string]bool{}
	for _, h := range f.Hits {
		hits[h.Rule]++
		late[h.Rule] = late[h.Rule] || h.AtWatermark
	}
	for _, j := range w.Rules {
		expected = append(expected, j.Rule)
		verdict, ok := got[j.Rule]
		if !ok {
			d.add("rule %s: expected %s, got no verdict", j.Rule, j.Verdict)
			continue
		}
		check(d, "rule "+j.Rule, j.Verdict, verdict)
		explained := 0
		if j.Verdict == schemas.Hit {
			explained = 1
		}
		check(d, "explained hits of rule "+j.Rule, explained, hits[j.Rule])
		check(d, "rule "+j.Rule+" at watermark", j.AtWatermark, late[j.Rule])
		delete(got, j.Rule)
	}
	if w.others {
		return
	}
	for _, g := range f.Rules {
		if _, surplus := got[g.Rule]; surplus {
			d.add("rule %s: expected no such rule, got %s", g.Rule, g.Verdict)
		}
	}
	if len(d.list) == 0 && !slices.Equal(expected, order) {
		d.add("rules: expected in the order %v, got %v", expected, order)
	}
}

// conclusion: level, score and what policy made of them.
func (d *differences) conclusion(w *Want, f *schemas.Fact) {
	check(d, "level", w.Level, f.InitialLevel)
	check(d, "score", w.Score, f.Score)
	stage, final, decision := schemas.StageDone, w.Level, schemas.Accepted
	if w.Open {
		stage, final, decision = schemas.StageOpen, schemas.LevelNone, ""
	}
	check(d, "stage", stage, f.Stage)
	check(d, "final level", final, f.FinalLevel)
	check(d, "decision", decision, f.DecisionType)
}

// event compares all that producers and intake said, field by field. Where no currency was given, the fact may name the base currency.
func (d *differences) event(want, got *schemas.Event, base string) {
	x, y := *want, *got
	if !x.Has(schemas.FieldCurrency) && (y.Currency == base || y.Currency == "") {
		x.SetText(schemas.FieldCurrency, base)
		y.SetText(schemas.FieldCurrency, base)
	}
	check(d, "event.kind", x.Kind, y.Kind)
	check(d, "event.organisation", x.Organisation, y.Organisation)
	check(d, "event.team", x.Team, y.Team)
	check(d, "event.source", x.Source, y.Source)
	check(d, "event.customer", x.Customer, y.Customer)
	check(d, "event.id", x.ID, y.ID)
	check(d, "event.side", x.Side, y.Side)
	check(d, "event.time", x.Time, y.Time)
	check(d, "event.amount in millionths", x.Amount, y.Amount)
	check(d, "event.has_amount", x.HasAmount, y.HasAmount)
	for f := schemas.FieldCurrency; f < schemas.NumFields; f++ {
		name := eventFields[f]
		a, hasA := x.Text(f)
		b, hasB := y.Text(f)
		check(d, name, a, b)
		check(d, "has "+name, hasA, hasB)
	}
	if !slices.Equal(x.Attributes, y.Attributes) {
		d.add("event.attributes: expected %q, got %q", x.Attributes, y.Attributes)
	}
	if !slices.Equal(x.Flags, y.Flags) {
		d.add("event.flags: expected %q, got %q", x.Flags, y.Flags)
	}
	check(d, "event.origin", x.Origin, y.Origin)
	check(d, "event.control", x.Control, y.Control)
}

// eventFields are the fields' names in differences.
var eventFields = func() (names [schemas.NumFields]string) {
	for f := range schemas.NumFields {
		names[f] = "event." + f.String()
	}
	return names
}()
