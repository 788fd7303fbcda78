package rule

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/schemas"
)

// measure is one thing that a condition reads and a hit shows. Exactly one of slot, feature, field and attr is set.
type measure struct {
	text    string // as the hit names it
	kind    ValueKind
	slot    int // aggregate slot + 1
	feature int // feature index + 1
	field   string
	attr    string
}

// noData stands in reasons and hits for a value that is missing.
const noData = "no data"

// value is the measured value as text.
func (m *measure) value(s *Set, f *Frame) string {
	switch {
	case m.slot > 0:
		v := &f.Aggregates[m.slot-1]
		switch {
		case v.Why != "":
			return noData + ": " + v.Why
		case m.kind == Money:
			return v.I.Decimal()
		case m.kind == Duration:
			return formatDuration(int64(v.I.Lo))
		case m.kind == Text:
			return v.S
		}
		return strconv.FormatInt(int64(v.I.Lo), 10)
	case m.feature > 0:
		return s.Features[m.feature-1].text(&f.features[m.feature-1])
	case m.attr != "":
		if v, ok := f.Event.Attr(m.attr); ok {
			return v
		}
	case m.field == "kind":
		return f.Event.Kind.String()
	case m.field == "amount":
		if f.HasAmount {
			return f.Amount.Decimal()
		}
	default:
		if v, ok := f.Event.Text(fieldOf(m.field)); ok {
			return v
		}
	}
	return noData
}

// words is the value as a sentence wants it: of a measured duration the two largest units.
func (m *measure) words(s *Set, f *Frame) string {
	if m.slot > 0 && m.kind == Duration && f.Aggregates[m.slot-1].Why == "" {
		return formatDuration(coarse(int64(f.Aggregates[m.slot-1].I.Lo)))
	}
	return m.value(s, f)
}

func (ft *Feature) text(c *computed) string {
	v, ok := ft.micros(c)
	switch {
	case !ok:
		return noData
	case ft.Kind == Duration:
		return formatDuration(c.i)
	}
	return v.Decimal()
}

// explain says why the rule fired.
func (s *Set) explain(r *Rule, f *Frame) schemas.HitExplained {
	h := schemas.HitExplained{Rule: r.ID, Version: r.Version, Level: r.Level, Score: r.Score, Shadow: r.Mode == Shadow}
	for i := range r.measured {
		m := &r.measured[i]
		h.Values = append(h.Values, schemas.Attribute{Name: m.text, Value: m.value(s, f)})
	}
	var b strings.Builder
	for i := range r.reason {
		if p := &r.reason[i]; p.fill == nil {
			b.WriteString(p.text)
		} else {
			b.WriteString(p.fill.words(s, f))
		}
	}
	h.Reason = b.String()
	return h
}

// part is a piece of a reason: fixed text, or a measured value.
type part struct {
	text string
	fill *measure
}

// template parses a reason. {{ and }} stand for braces.
func (x *expression) template(n *yaml.Node) (parts []part) {
	text := []rune(n.Value)
	var fixed []rune
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			fixed = append(fixed, c)
			i++
		case c == '}':
			x.reasonMistake(n, i, "`}` without `{`; write }} for a brace")
		case c == '{':
			end := slices.Index(text[i:], '}')
			if end < 0 {
				x.reasonMistake(n, i, "`{` without `}`; write {{ for a brace")
				return nil
			}
			p, fault := x.placeholder(string(text[i+1 : i+end]))
			if fault != "" {
				x.reasonMistake(n, i+1, fault)
			}
			if p.fill == nil {
				fixed = append(fixed, []rune(p.text)...)
			} else {
				parts = append(parts, part{text: string(fixed)}, p)
				fixed = nil
			}
			i += end
		default:
			fixed = append(fixed, c)
		}
	}
	return append(parts, part{text: string(fixed)})
}

func (x *expression) reasonMistake(n *yaml.Node, offset int, text string) {
	line, column := x.place(n, offset)
	x.add(x.name, line, column, "%s", text)
}

// placeholder finds what stands behind {name}: a parameter, the rule's first aggregate of a function, a field, a feature, an attribute.
func (x *expression) placeholder(name string) (p part, fault string) {
	if c, ok := x.params[strings.TrimPrefix(name, "params.")]; ok {
		return part{text: c.words()}, ""
	}
	if f := slices.Index(Funcs, name); f >= 0 {
		for _, m := range x.measured {
			if m.slot > 0 && x.scope.plan.Aggregates[m.slot-1].Func == Func(f) {
				return part{fill: &m}, ""
			}
		}
		return p, "`{" + name + "}`: the condition has no " + name + "(…)"
	}
	if slices.Contains(fieldNames, name) {
		return part{fill: &measure{text: name, field: name}}, ""
	}
	if a, ok := strings.CutPrefix(name, "attr."); ok && a != "" {
		return part{fill: &measure{text: name, attr: a}}, ""
	}
	names := append(sortedKeys(x.params), slices.Concat(Funcs, fieldNames)...)
	for _, f := range x.scope.features {
		names = append(names, "feature."+f.Name)
	}
	if ft, ok := strings.CutPrefix(name, "feature."); ok {
		if i, ok := x.scope.featureIndex[ft]; ok {
			return part{fill: &measure{text: name, feature: i + 1}}, ""
		}
	}
	return p, "`{" + clip(name) + "}`: no such parameter, function, field or feature" + didYouMean(name, names)
}
