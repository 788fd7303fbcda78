package rule

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// FuzzCompile: whatever a folder holds, Compile says what is wrong or gives a Set whose rules never panic.
func FuzzCompile(f *testing.F) {
	for _, file := range Library() {
		f.Add(file.Content)
	}
	names, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		for _, doc := range strings.Split(string(b), "---\n") {
			f.Add(doc)
		}
	}
	f.Fuzz(func(t *testing.T, content string) {
		s, err := Compile(snapshot(content))
		if (s == nil) == (err == nil) {
			t.Fatalf("set %v, error %v", s, err)
		}
		if s != nil {
			judgeAnything(t, s)
		}
	})
}

// FuzzExpression is FuzzCompile of one condition.
func FuzzExpression(f *testing.F) {
	for _, w := range []string{
		"amount >= 10000*(1.0-0.10) && count('1h', direction == 'OUT') > 2", "prior.avg('90d', amount) * 3 < amount", "since(state == 'SENT') > duration('1d2h')",
		"has(attr.x) ? attr['x'].matches('^a+$') : size(country) % 3 in [1, 2]", "double(count('1h')) / sum('1h', amount) != -1.5e3", "!(country in ['DE', \"F\\u0041\"])",
		"count(delay('1d', '7d'), attr.a == this.attr['a'] && this.amount * 2 > amount || has(this.country)) > 1", "prior.last('week', attr['b c'], true) != country",
		"daily('30d', count, state == this.state).stddev * 3 < count('quarter')", "first('year', amount) > stddev(delay('2d', '1h'), amount, kind == this.kind)",
		"since(counterparty == this.counterparty && this.country != country) < duration('5m') && daily('2d', amount).days % 2 == 1",
	} {
		f.Add(w)
	}
	f.Fuzz(func(t *testing.T, when string) {
		if strings.ContainsAny(when, "\n\r\u0085\u2028\u2029") {
			return
		}
		s, err := Compile(snapshot(condition(when)))
		if err != nil {
			return
		}
		judgeAnything(t, s)
		// The canonical text means the same: compiled again it is its own canonical text.
		for _, a := range s.Plan.Aggregates {
			again, err := Compile(snapshot(condition(a.Text + " == " + a.Text)))
			if err != nil {
				t.Fatalf("%s: %v", a.Text, err)
			}
			if got, want := parts(&again.Plan, &again.Plan.Aggregates[0]), parts(&s.Plan, &a); got != want {
				t.Fatalf("%s became\n%s\nwas\n%s", a.Text, got, want)
			}
		}
	})
}

// parts is all that a plan says of an aggregate, in words.
func parts(p *Plan, a *Aggregate) string {
	filter, scan := "", ""
	if a.Filter != NoFilter {
		filter = p.Filters[a.Filter].key()
	}
	if a.Scan != NoScan {
		scan = p.Scans[a.Scan].Text
	}
	return fmt.Sprintln(a.Text, a.Func, a.Window, a.Window.Unit, a.Prior, a.Field, a.Equal, filter, scan)
}

func judgeAnything(t *testing.T, s *Set) {
	for _, h := range []history{{}, {amount: "9500.25", fields: map[string]string{"direction": "OUT", "country": "DE", "attr.x": "aaa"}}} {
		fact := judge(t, s, h)
		for _, r := range fact.Rules {
			if strings.HasPrefix(r.Note, "panic") {
				t.Fatalf("%s: %s", r.Rule, r.Note)
			}
		}
		var p schemas.Past
		p.Of(&schemas.Event{Kind: schemas.KindPayment, Side: schemas.SideOut}, 9_500_250_000, h.amount != "")
		for i := range s.Plan.Filters {
			s.Plan.Filters[i].Match(&p)
		}
		for i := range s.Plan.Scans {
			s.Plan.Scans[i].Match(&p, &p)
		}
		s.JudgeAgain(h.frame(t, s), fact, func(int) bool { return true })
	}
}
