package rule

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/schemas"
)

// The closures against the reference interpreter, on what both languages have: bool, int, double, text, unknowns and errors. pair is
// one expression in both spellings.
type pair struct{ ours, cel string }

// generator makes random expressions. Constants alone are never an operator's operands: folding is exact, the interpreter's doubles
// are not.
type generator struct{ *rand.Rand }

func (g generator) pick(all ...string) string { return all[g.IntN(len(all))] }

func (g generator) both(op string, a, b pair) pair {
	return pair{fmt.Sprintf("(%s %s %s)", a.ours, op, b.ours), fmt.Sprintf("(%s %s %s)", a.cel, op, b.cel)}
}

func (g generator) conditional(depth int, branch func(int) pair) pair {
	c, a, b := g.boolean(depth), branch(depth), branch(depth)
	return pair{fmt.Sprintf("(%s ? %s : %s)", c.ours, a.ours, b.ours), fmt.Sprintf("(%s ? %s : %s)", c.cel, a.cel, b.cel)}
}

func (g generator) intLeaf() pair {
	v := g.pick("i0", "i1", "i2", "iu", "distinct('7d', attr.device)", "daily('30d', count).days")
	if name, ok := aggregateNames[v]; ok {
		return pair{v, name}
	}
	return pair{"feature." + v, v}
}

// aggregateNames are the interpreter's names of aggregates; au and tu are unknown.
var aggregateNames = map[string]string{
	"distinct('7d', attr.device)": "a0", "daily('30d', count).days": "au", "prior.last('7d', channel)": "t0", "first(delay('1h', '7d'), type)": "tu",
}

func (g generator) doubleLeaf() pair {
	v := g.pick("d0", "d1", "d2", "du")
	return pair{"feature." + v, v}
}

func (g generator) integer(depth int) pair {
	if depth == 0 {
		return g.intLeaf()
	}
	depth--
	switch g.IntN(7) {
	case 0:
		return g.intLeaf()
	case 1:
		l := g.pick("0", "1", "2", "-1", "9223372036854775807")
		return g.both(g.pick("+", "-", "*", "/", "%"), g.integer(depth), pair{l, l})
	case 2:
		a := g.integer(depth)
		return pair{"(-" + a.ours + ")", "(-" + a.cel + ")"}
	case 3:
		return g.conditional(depth, g.integer)
	case 4:
		a := g.text()
		return pair{"size(" + a.ours + ")", "size(" + a.cel + ")"}
	case 5:
		a := g.double(depth)
		return pair{"int(" + a.ours + ")", "int(" + a.cel + ")"}
	}
	return g.both(g.pick("+", "-", "*", "/", "%"), g.integer(depth), g.integer(depth))
}

func (g generator) double(depth int) pair {
	if depth == 0 {
		return g.doubleLeaf()
	}
	depth--
	a, b := g.double(depth), g.double(depth)
	switch g.IntN(7) {
	case 0:
		return a
	case 1:
		l := g.pick("0.5", "2.25", "-1.5", "0.0", "1e3")
		b = pair{l, l}
	case 2:
		return pair{"(-" + a.ours + ")", "(-" + a.cel + ")"}
	case 3:
		return g.conditional(depth, g.double)
	case 4: // an int mixes in; the interpreter wants it converted
		i := g.integer(depth)
		b = pair{i.ours, "double(" + i.cel + ")"}
	case 5:
		return pair{fmt.Sprintf("(%s / %s)", a.ours, b.ours), fmt.Sprintf("quotient(%s, %s)", a.cel, b.cel)}
	}
	return g.both(g.pick("+", "-", "*"), a, b)
}

func (g generator) text() pair {
	v := g.pick("country", "channel", "type", "state", "prior.last('7d', channel)", "first(delay('1h', '7d'), type)")
	if name, ok := aggregateNames[v]; ok {
		return pair{v, name}
	}
	return pair{v, v}
}

func (g generator) boolean(depth int) pair {
	if depth == 0 {
		l := g.pick("true", "false")
		return pair{l, l}
	}
	depth--
	order := g.pick("<", "<=", "==", "!=", ">", ">=")
	switch g.IntN(11) {
	case 0, 1:
		return g.both("&&", g.boolean(depth), g.boolean(depth))
	case 2, 3:
		return g.both("||", g.boolean(depth), g.boolean(depth))
	case 4:
		a := g.boolean(depth)
		return pair{"!" + a.ours, "!" + a.cel}
	case 5:
		return g.both(order, g.integer(depth), g.integer(depth))
	case 6:
		i := g.integer(depth)
		return g.both(order, g.double(depth), pair{i.ours, "double(" + i.cel + ")"}) // the interpreter has no == of double and int
	case 7:
		l := g.pick("1", "2", "0.5", "-1.5", "2.0")
		i := g.intLeaf()
		return g.both(order, pair{i.ours, "double(" + i.cel + ")"}, pair{l, "double(" + l + ")"})
	case 8:
		l := g.pick("'DE'", "'pos'", "''")
		return g.both(order, g.text(), g.pickPair(g.text(), pair{l, l}))
	case 9:
		a, m := g.text(), g.pick(".contains('E')", ".startsWith('D')", ".endsWith('s')", ".matches('^[a-z]*$')", " in ['DE', 'pos']")
		if strings.HasPrefix(m, " in") {
			a = pair{"country", "country"}
		}
		return pair{"(" + a.ours + m + ")", "(" + a.cel + m + ")"}
	}
	return g.conditional(depth, g.boolean)
}

func (g generator) pickPair(all ...pair) pair { return all[g.IntN(len(all))] }

func TestCompile_ClosuresAndInterpreterAgree(t *testing.T) {
	env, err := cel.NewEnv(cel.CrossTypeNumericComparisons(true),
		cel.Variable("i0", cel.IntType), cel.Variable("i1", cel.IntType), cel.Variable("i2", cel.IntType), cel.Variable("iu", cel.IntType),
		cel.Variable("d0", cel.DoubleType), cel.Variable("d1", cel.DoubleType), cel.Variable("d2", cel.DoubleType), cel.Variable("du", cel.DoubleType),
		cel.Variable("a0", cel.IntType), cel.Variable("au", cel.IntType), cel.Variable("t0", cel.StringType), cel.Variable("tu", cel.StringType),
		cel.Variable("country", cel.StringType), cel.Variable("channel", cel.StringType), cel.Variable("type", cel.StringType), cel.Variable("state", cel.StringType),
		cel.Function("quotient", cel.Overload("quotient", []*cel.Type{cel.DoubleType, cel.DoubleType}, cel.DoubleType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				if b.(types.Double) == 0 {
					return types.NewErr("division by zero")
				}
				return a.(types.Double) / b.(types.Double)
			}))))
	if err != nil {
		t.Fatal(err)
	}
	g := generator{rand.New(rand.NewPCG(1, 2))}
	classes := map[string]int{}
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for range rounds {
		var p pair
		kind := Bool
		switch g.IntN(4) {
		case 0:
			p, kind = g.integer(3), Int
		case 1:
			p, kind = g.double(3), Double
		default:
			p = g.boolean(4)
		}
		f, vars := g.values()
		got := closures(t, p.ours, kind, f, vars)
		if want := interpret(t, env, p.cel, vars, "iu", "du", "state", "au", "tu"); got != want {
			t.Fatalf("%s\n%s\nvalues %v: closures %s, interpreter %s", p.ours, p.cel, vars, got, want)
		}
		classes[strings.SplitN(got, " ", 2)[0]]++
	}
	if len(classes) < 4 {
		t.Errorf("the generator is too tame: %v", classes)
	}
	t.Log(classes)
}

// values are random values for both sides: iu, du and state are unknown.
func (g generator) values() (*Frame, map[string]any) {
	f := &Frame{Event: &schemas.Event{}}
	vars := map[string]any{}
	for i := range 3 {
		v := []int64{0, 1, 2, 3, -1, -7, 1 << 40, math.MaxInt64, math.MinInt64}[g.IntN(9)]
		vars[fmt.Sprintf("i%d", i)] = v
		f.features = append(f.features, computed{i: v})
	}
	f.features = append(f.features, computed{status: 1})
	for i := range 3 {
		v := []float64{0, 1, 2, -0.5, 1.25, 1e10, 1e19, 1e308, -1e308}[g.IntN(9)]
		vars[fmt.Sprintf("d%d", i)] = v
		f.features = append(f.features, computed{double: v})
	}
	f.features = append(f.features, computed{status: 1})
	for _, field := range []schemas.Field{schemas.FieldCountry, schemas.FieldChannel, schemas.FieldType} {
		v := g.pick("DE", "pos", "", "Ünïcode")
		vars[field.String()] = v
		f.Event.SetText(field, v)
	}
	vars["a0"], vars["t0"] = g.Int64N(4), g.pick("DE", "pos", "", "Ünïcode")
	return f, vars
}

// closures evaluates text by our compiler; the aggregates' values are those of their names among vars.
func closures(t *testing.T, text string, kind ValueKind, f *Frame, vars map[string]any) string {
	t.Helper()
	var m mistakes
	policy := Policy{Counted: []string{"DE", "pos", ""}}
	sc := &scope{policy: &policy, featureIndex: map[string]int{}, planner: newPlanner()}
	for i, n := range []string{"i0", "i1", "i2", "iu", "d0", "d1", "d2", "du"} {
		sc.featureIndex[n] = i
		sc.features = append(sc.features, &Feature{Name: n, Kind: []ValueKind{Int, Double}[i/4]})
	}
	x := newExpression(&file{mistakes: &m}, &yaml.Node{Kind: yaml.ScalarNode, Value: text}, nil, sc)
	x.check("wrong kind", kind)
	if x.bad {
		t.Fatalf("%s: %v", text, m.err())
	}
	c := &compiler[Frame]{x, &frameAccess}
	var evaluate func() (any, status)
	switch e := x.tree.Expr(); kind {
	case Int:
		fn := c.integer(e)
		evaluate = func() (any, status) { v, s := fn(f); return fmt.Sprint("int ", v), s }
	case Double:
		fn := c.double(e)
		evaluate = func() (any, status) { v, s := fn(f); return fmt.Sprint("double ", v), s }
	default:
		fn := c.boolean(e)
		evaluate = func() (any, status) { v, s := fn(f); return v, s }
	}
	for _, a := range sc.plan.Aggregates {
		switch v := vars[aggregateNames[a.Text]].(type) {
		case int64:
			f.Aggregates = append(f.Aggregates, IntValue(v))
		case string:
			f.Aggregates = append(f.Aggregates, TextValue(v))
		default:
			f.Aggregates = append(f.Aggregates, None(WhyHorizon))
		}
	}
	result, s := evaluate()
	switch {
	case m.err() != nil:
		t.Fatal(m.err())
	case s > 0:
		return "unknown"
	case s < 0:
		return "error"
	}
	return fmt.Sprint(result)
}

// interpret evaluates text by cel.Program, where the variables named unknown are.
func interpret(t *testing.T, env *cel.Env, text string, vars map[string]any, unknown ...string) string {
	t.Helper()
	a, issues := env.Compile(text)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", text, issues.Err())
	}
	p, err := env.Program(a, cel.EvalOptions(cel.OptPartialEval))
	if err != nil {
		t.Fatal(err)
	}
	var patterns []*cel.AttributePatternType
	for _, name := range unknown {
		patterns = append(patterns, cel.AttributePattern(name))
	}
	partial, err := cel.PartialVars(vars, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := p.Eval(partial)
	switch {
	case v != nil && types.IsUnknown(v):
		return "unknown"
	case err != nil:
		return "error"
	}
	switch v := v.(type) {
	case types.Int:
		return fmt.Sprint("int ", int64(v))
	case types.Double:
		return fmt.Sprint("double ", float64(v))
	}
	return fmt.Sprint(v.Value())
}
