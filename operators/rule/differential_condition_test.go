package rule

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"

	"github.com/streamgauge/streamgauge/schemas"
)

// The conditions of windows against the reference interpreter: split into filter, equalities and scan, a condition must meet exactly
// the past events for which the interpreter says true of the whole; unknown and failed is not met. So must it where the windows retain
// no more than the plan's columns.

// conditions makes random conditions on a past and the current event.
type conditions struct{ generator }

// texts are the columns of both events, by the interpreter's names.
var texts = []string{"country", "channel", "type", "attr.a", "attr.b", "direction"}

func reference(ours string) string {
	return strings.NewReplacer(".", "_").Replace(ours)
}

func (g conditions) event() string { return g.pick("", "this.") }

func (g conditions) text() pair {
	v := g.event() + g.pick(texts[:5]...)
	return pair{v, reference(v)}
}

func (g conditions) money(depth int) pair {
	v := g.event() + "amount"
	if depth == 0 {
		return pair{v, reference(v)}
	}
	depth--
	switch g.IntN(6) {
	case 0:
		l := g.pick("1", "2", "-3")
		a := g.money(depth)
		return g.generator.both(g.pick("+", "-", "*"), a, pair{l, l + ".0"})
	case 1:
		return g.conditional(depth, g.boolean, g.money)
	case 2:
		return g.both(g.pick("+", "-"), g.money(depth), g.money(depth))
	}
	return pair{v, reference(v)}
}

func (g conditions) conditional(depth int, cond, branch func(int) pair) pair {
	c, a, b := cond(depth), branch(depth), branch(depth)
	return pair{fmt.Sprintf("(%s ? %s : %s)", c.ours, a.ours, b.ours), fmt.Sprintf("(%s ? %s : %s)", c.cel, a.cel, b.cel)}
}

// same is a column of the past event compared with the current one's same.
func (g conditions) same() pair {
	c := g.pick(texts...)
	a, b := pair{c, reference(c)}, pair{"this." + c, reference("this." + c)}
	if g.IntN(2) == 0 {
		a, b = b, a
	}
	return g.both("==", a, b)
}

func (g conditions) boolean(depth int) pair {
	if depth <= 0 {
		return g.same()
	}
	depth--
	order := g.pick("<", "<=", "==", "!=", ">", ">=")
	switch g.IntN(14) {
	case 0, 1, 2:
		return g.both("&&", g.boolean(depth), g.boolean(depth))
	case 3, 4:
		return g.both("||", g.boolean(depth), g.boolean(depth))
	case 5:
		a := g.boolean(depth)
		return pair{"!" + a.ours, "!" + a.cel}
	case 6, 7:
		return g.both(order, g.money(depth), g.money(depth))
	case 8:
		l := g.pick("'x'", "'y'", "''")
		return g.both(order, g.text(), pair{l, l})
	case 9:
		return g.both(order, g.text(), g.text())
	case 10:
		a, m := g.text(), g.pick(".contains('x')", ".startsWith('y')", ".matches('^x*$')", " in ['x', '']")
		return pair{"(" + a.ours + m + ")", "(" + a.cel + m + ")"}
	case 11: // fails for texts of one character
		a := g.text()
		return pair{"(1 / (size(" + a.ours + ") - 1) < 0)", "(1 / (size(" + a.cel + ") - 1) < 0)"}
	case 12:
		v := g.event() + g.pick("country", "attr.a", "amount")
		return pair{"has(" + v + ")", "has_" + reference(v)}
	}
	return g.conditional(depth, g.boolean, g.boolean)
}

// past is a random event with its variables for the interpreter, and the names of those that are unknown.
func (g conditions) past(prefix string, vars map[string]any) (p *schemas.Past, unknown []string) {
	p = &schemas.Past{Kind: schemas.KindPayment, Counted: true}
	given := func(name string, v any) bool {
		name = reference(prefix + name)
		ok := g.IntN(4) > 0
		if vars[name], vars["has_"+name] = v, ok; !ok {
			unknown = append(unknown, name)
		}
		return ok
	}
	amount := g.Int64N(4)
	if given("amount", float64(amount)) {
		p.Amount, p.HasAmount = amount*schemas.Micro, true
	}
	for _, name := range texts {
		v := g.pick("x", "y", "", "xx")
		if name == "direction" {
			v = g.pick("OUT", "IN")
		}
		switch a, isAttr := strings.CutPrefix(name, "attr."); {
		case !given(name, v):
		case isAttr:
			p.Attributes = append(p.Attributes, schemas.Attribute{Name: a, Value: v})
		default:
			p.Set(fieldOf(name), v)
		}
	}
	return p, unknown
}

// retained is what the windows keep of p: time, amount, kind and side, and the columns.
func retained(p *schemas.Past, columns []Column) *schemas.Past {
	r := &schemas.Past{Time: p.Time, Amount: p.Amount, HasAmount: p.HasAmount, Counted: p.Counted, Kind: p.Kind}
	for _, c := range append([]Column{{Field: schemas.FieldDirection}}, columns...) {
		v, ok := c.Of(p)
		switch {
		case !ok:
		case c.Attr != "":
			r.Attributes = append(r.Attributes, schemas.Attribute{Name: c.Attr, Value: v})
		default:
			r.Set(c.Field, v)
		}
	}
	return r
}

func TestCondition_SplitAndInterpreterAgree(t *testing.T) {
	opts := []cel.EnvOption{cel.CrossTypeNumericComparisons(true)}
	for _, prefix := range []string{"", "this."} {
		for _, name := range append([]string{"amount"}, texts...) {
			kind := cel.StringType
			if name == "amount" {
				kind = cel.DoubleType
			}
			v := reference(prefix + name)
			opts = append(opts, cel.Variable(v, kind), cel.Variable("has_"+v, cel.BoolType))
		}
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		t.Fatal(err)
	}
	g := conditions{generator{rand.New(rand.NewPCG(7, 8))}}
	seen := map[string]int{}
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	for range rounds {
		c := g.boolean(4)
		s := compile(t, condition("count('1h', "+c.ours+") > 0"))
		a := &s.Plan.Aggregates[0]
		for range 3 {
			vars := map[string]any{}
			past, unknown := g.past("", vars)
			this, more := g.past("this.", vars)
			want := interpret(t, env, c.cel, vars, append(unknown, more...)...)
			seen[want]++
			if got := a.meets(&s.Plan, past, this); got != (want == "true") {
				t.Fatalf("%s\n%s\nvalues %v, unknown %v: met %v, interpreter %s\nfilter %d, equal %v, scan %d", c.ours, c.cel, vars, append(unknown, more...), got, want, a.Filter, a.Equal, a.Scan)
			}
			if a.meets(&s.Plan, retained(past, s.Plan.Columns), retained(this, s.Plan.Columns)) != (want == "true") {
				t.Fatalf("%s: the columns %v do not suffice", c.ours, s.Plan.Columns)
			}
		}
		for part, used := range map[string]bool{"filter": a.Filter != NoFilter, "equal": len(a.Equal) > 0, "scan": a.Scan != NoScan,
			"all three": a.Filter != NoFilter && len(a.Equal) > 0 && a.Scan != NoScan} {
			if used {
				seen[part]++
			}
		}
	}
	if len(seen) < 8 {
		t.Errorf("the generator is too tame: %v", seen)
	}
	t.Log(seen)
}
