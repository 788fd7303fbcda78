package operators

import (
	"errors"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/schemas"
)

// The readers of single values that formats share. Each takes the member, or nil where the key is absent, and the path by which faults
// name it.

const (
	required = true
	optional = false
)

// places inverts a list of names.
func places(names []string) map[string]int {
	m := make(map[string]int, len(names))
	for i, n := range names {
		m[n] = i
	}
	return m
}

// pick puts the object's members into their places and marks them as known.
func (p *parsed) pick(object int, place map[string]int, into []*member) {
	for i := object; i < len(p.members); i++ {
		m := &p.members[i]
		if m.object != object {
			continue
		}
		if at, ok := place[string(m.name)]; ok {
			m.known = true
			into[at] = m
		}
	}
}

// unknown notes every member of the object that no pick knew.
func (p *parsed) unknown(object int, prefix string) {
	for i := object; i < len(p.members); i++ {
		if m := &p.members[i]; m.object == object && !m.known {
			p.faults.add(ReasonUnknownField, prefix+shownKey(m.name), "unknown field")
		}
	}
}

func (p *parsed) wrongType(m *member, path, expected string) {
	got := m.kind.String()
	switch m.kind {
	case jx.String:
		got += " " + shown(m.text)
	case jx.Number:
		got += " " + clipped(m.text)
	case jx.Bool:
		got = clipped(m.text)
	}
	p.faults.add(ReasonWrongType, path, "expected %s, got %s", expected, got)
}

// text reads a string, copied; ok is false where it is absent or of another type.
func (p *parsed) text(m *member, path string, must bool) (text string, ok bool) {
	switch {
	case m == nil && must:
		p.faults.add(ReasonMissing, path, "missing, expected string")
	case m == nil:
	case m.kind != jx.String:
		p.wrongType(m, path, "string")
	default:
		return string(m.text), true
	}
	return "", false
}

// objectOf returns the number of an object directly in the top one.
func (p *parsed) objectOf(m *member, path string, must bool) (object int, ok bool) {
	switch {
	case m == nil && must:
		p.faults.add(ReasonMissing, path, "missing, expected object")
	case m == nil:
	case m.kind != jx.Object:
		p.wrongType(m, path, "object")
	default:
		for i := range p.members {
			if m == &p.members[i] {
				return i + 1, true
			}
		}
	}
	return 0, false
}

// identity reads an id: a string, or an integer taken as it is written. A required one must not be empty.
func (p *parsed) identity(m *member, path string, must bool) string {
	switch {
	case m == nil && must:
		p.faults.add(ReasonMissing, path, "missing, expected string or integer")
	case m == nil:
	case m.kind == jx.Number && integer(m.text), m.kind == jx.String:
		if len(m.text) == 0 && must {
			p.faults.add(ReasonMissing, path, "empty")
		}
		return string(m.text)
	default:
		p.wrongType(m, path, "string or integer")
	}
	return ""
}

func integer(number []byte) bool {
	for i, c := range number {
		if (c < '0' || c > '9') && (i > 0 || c != '-') {
			return false
		}
	}
	return true
}

// field reads an optional string into a field of the event.
func (p *parsed) field(m *member, path string, f schemas.Field) {
	if text, ok := p.text(m, path, optional); ok {
		p.event.SetText(f, text)
	}
}

// currency reads a currency code of three letters, in upper case.
func (p *parsed) currency(m *member, path string, must bool) {
	text, ok := p.text(m, path, must)
	switch {
	case !ok:
	case len(text) != 3 || !letters(text):
		p.faults.add(ReasonWrongValue, path, "expected three letters such as EUR, got %s", shown(text))
	default:
		p.event.SetText(schemas.FieldCurrency, strings.ToUpper(text))
	}
}

// country reads any text; a code of two letters is put into upper case.
func (p *parsed) country(m *member, path string) {
	if text, ok := p.text(m, path, optional); ok {
		if len(text) == 2 && letters(text) {
			text = strings.ToUpper(text)
		}
		p.event.SetText(schemas.FieldCountry, text)
	}
}

func letters(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// amount reads a required number from its own text, never through a float; decimal text in a string only where the format allows it.
func (p *parsed) amount(m *member, path string, textAllowed bool) {
	expected := "number"
	if textAllowed {
		expected = "number or decimal text"
	}
	switch {
	case m == nil:
		p.faults.add(ReasonMissing, path, "missing, expected %s", expected)
		return
	case m.kind != jx.Number && (!textAllowed || m.kind != jx.String):
		p.wrongType(m, path, expected)
		return
	}
	micros, rounded, err := schemas.ParseAmount(string(m.text))
	switch {
	case errors.Is(err, schemas.ErrAmountRange):
		p.faults.add(ReasonAmountRange, path, "|amount| must be at most %s, got %s", schemas.FormatAmount(schemas.MaxAmount), shown(m.text))
		return
	case err != nil:
		p.faults.add(ReasonWrongValue, path, "expected %s, got %s", expected, shown(m.text))
		return
	}
	p.event.Amount, p.event.HasAmount = micros, true
	if rounded {
		p.event.Flags = append(p.event.Flags, schemas.FlagRounded)
	}
}

// unixMilli reads a JSON number that must be an integer; 1.5e12 is one.
func (p *parsed) unixMilli(m *member, path string) int64 {
	ms, fraction, err := schemas.ParseScaled(string(m.text), -6)
	switch {
	case err != nil:
		p.faults.add(ReasonImplausibleTime, path, "%s ms is outside 1970 to 2200", clipped(m.text))
	case fraction:
		p.faults.add(ReasonWrongType, path, "expected integer Unix ms, got number %s", clipped(m.text))
	default:
		return ms
	}
	return 0
}

// parseTime reads RFC 3339 with an offset and drops what is finer than a millisecond. The time package lets more through (one digit for
// the hour, a comma before the fraction, offsets of 99 hours), which is refused here.
func parseTime(text []byte) (ms int64, err error) {
	const form = "2006-01-02T15:04:05"
	loose := len(text) <= len(form) || text[10] != 'T' || text[13] != ':' || text[len(form)] == ','
	if zone := len(text) - len("+00:00"); !loose && text[len(text)-1] != 'Z' {
		loose = zone < len(form) || string(text[zone+1:zone+3]) > "23" || string(text[zone+4:]) > "59"
	}
	if loose {
		return 0, errors.New("not RFC 3339 with an offset")
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, err
	}
	return t.UnixMilli(), nil
}

// clipped is a number or literal as a detail shows it; JSON's grammar leaves nothing in it that needs quotes.
func clipped(b []byte) string {
	if len(b) > maxShown {
		return string(b[:maxShown]) + "…"
	}
	return string(b)
}
