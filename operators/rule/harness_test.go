package rule

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// snapshot is a configuration of one file.
func snapshot(content string) *schemas.Snapshot {
	return &schemas.Snapshot{Version: 7, Files: []schemas.SnapshotFile{{Name: "rules.yaml", Content: content}}}
}

func compile(t testing.TB, content string) *Set {
	t.Helper()
	s, err := Compile(snapshot(content))
	if err != nil {
		t.Fatalf("compile:\n%v\n%s", err, content)
	}
	return s
}

// condition is a file with one rule.
func condition(when string) string {
	return "id: R\nlevel: HIGH\nscore: 5\nwhen: |\n  " + strings.ReplaceAll(when, "\n", "\n  ") + "\n"
}

// feature is a file with one feature.
func feature(expr string) string {
	return "features:\n- name: x\n  expr: |\n    " + expr + "\n"
}

// history is what one event and its history hold, as a test writes it.
type history struct {
	amount string            // decimal text; "" absent
	fields map[string]string // text fields and attr.<name>
	kind   schemas.Kind      // payment unless set
	values map[string]Value  // by the aggregate's canonical text; the others are 0 or absent
}

// frame is h as s reads it.
func (h history) frame(t testing.TB, s *Set) *Frame {
	t.Helper()
	e := &schemas.Event{Kind: h.kind, Customer: "c", ID: "e"}
	if e.Kind == schemas.KindInvalid {
		e.Kind = schemas.KindPayment
	}
	for name, v := range h.fields {
		switch a, isAttr := strings.CutPrefix(name, "attr."); {
		case isAttr:
			e.Attributes = append(e.Attributes, schemas.Attribute{Name: a, Value: v})
		case name == "direction" && v == "OUT":
			e.Side = schemas.SideOut
		case name == "direction":
			e.Side = schemas.SideIn
		default:
			e.SetText(fieldOf(name), v)
		}
	}
	slices.SortFunc(e.Attributes, func(a, b schemas.Attribute) int { return strings.Compare(a.Name, b.Name) })
	f := &Frame{Event: e}
	if h.amount != "" {
		f.Amount, f.HasAmount = money(t, h.amount), true
	}
	used := 0
	for _, a := range s.Plan.Aggregates {
		v, ok := h.values[a.Text]
		switch {
		case ok:
			used++
		case a.Func == Count || a.Func == Distinct || a.Func == DailyDays || a.Func == Sum:
			v = Value{}
		case a.Func == Since:
			v = None(WhySince)
		default:
			v = None(WhyNone)
		}
		f.Aggregates = append(f.Aggregates, v)
	}
	if used != len(h.values) {
		t.Fatalf("of %v only %d are planned: %v", h.values, used, s.Plan.Aggregates)
	}
	return f
}

func money(t testing.TB, s string) schemas.Int128 {
	t.Helper()
	v, _, err := schemas.ParseAmount(s)
	if err != nil {
		t.Fatal(err)
	}
	return schemas.I128(v)
}

// judge judges h by s.
func judge(t testing.TB, s *Set, h history) *schemas.Fact {
	t.Helper()
	fact := &schemas.Fact{}
	s.Judge(h.frame(t, s), fact)
	return fact
}

// golden compares got with a file, or rewrites it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (rewrite with -update): got\n%s\nwant\n%s", path, got, want)
	}
}
