package rule

import (
	"fmt"
	"strconv"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"

	"github.com/streamgauge/streamgauge/schemas"
)

// The CEL environment: macros are off, and nothing is declared but what the compiler compiles, so the type check is the whole gate.
//
// money is opaque. events is the type of `count` in daily(W, count), which nothing else takes. decimal is the type of constants that CEL would call double where they are an operand: they stay exact next to
// money and become doubles next to doubles. Names that begin with @ cannot be written; they stand for leaves that resolve has
// replaced (constants, features, attributes).
var (
	moneyType   = cel.OpaqueType("money")
	decimalType = cel.OpaqueType("decimal")
	eventsType  = cel.OpaqueType("events")
)

// leafNames are the functions without arguments that stand for replaced leaves, by the kind of their value.
var leafNames = map[ValueKind]string{Int: "@int", Money: "@money", Double: "@double", Duration: "@duration", Text: "@text", Bool: "@bool"}

const decimalLeaf = "@decimal"

// orders are the comparison operators.
var orders = map[string]order{
	operators.Less: below, operators.LessEquals: below | equal, operators.Equals: equal,
	operators.Greater: above, operators.GreaterEquals: above | equal, operators.NotEquals: unequal,
}

// order is a set of outcomes of a comparison.
type order uint8

const (
	below   order = 1 << iota
	equal         // bit 1
	above         // bit 2
	unequal = below | above
)

// holds reports whether the outcome −1, 0 or 1 is in the set.
func (o order) holds(c int) bool { return o>>(c+1)&1 != 0 }

// mirrored is the order with the operands exchanged.
func (o order) mirrored() order { return o&equal | o&below<<2 | o&above>>2 }

// signatures say in an analyst's words what a function takes.
var signatures = map[string]string{
	"count":      "(W) or (W, condition)",
	"sum":        "(W, amount) or (W, amount, condition)",
	"avg":        "(W, amount) or (W, amount, condition)",
	"min":        "(W, amount) or (W, amount, condition)",
	"max":        "(W, amount) or (W, amount, condition)",
	"stddev":     "(W, amount) or (W, amount, condition)",
	"first":      "(W, field) or (W, field, condition)",
	"last":       "(W, field) or (W, field, condition)",
	"distinct":   "(W, field) or (W, field, condition)",
	"since":      "(condition)",
	"daily":      "(W, amount) or (W, count), each also with a condition",
	"delay":      "(W, D): two lengths or duration parameters",
	"has":        "(attr.name) or (field)",
	"duration":   "('90d')",
	"double":     "(number)",
	"int":        "(number)",
	"size":       "(text)",
	"contains":   "text.contains(text)",
	"startsWith": "text.startsWith(text)",
	"endsWith":   "text.endsWith(text)",
	"matches":    "text.matches('pattern')",
}

// environment is made once: it is the same for all expressions.
var environment = sync.OnceValue(func() *cel.Env {
	opts := []cel.EnvOption{
		cel.ClearMacros(),
		cel.HomogeneousAggregateLiterals(),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxDepth),
		cel.ExpressionNodeLimit(maxNodes),
		cel.Variable("amount", moneyType),
		cel.Variable("kind", cel.StringType),
		cel.Variable("count", eventsType),
	}
	for _, f := range schemas.Fields {
		opts = append(opts, cel.Variable(f, cel.StringType))
	}
	opts = append(opts, declareOperators()...)
	opts = append(opts, declareAggregates()...)
	for kind, name := range leafNames {
		opts = append(opts, function(name, celTypes[kind]))
	}
	opts = append(opts, function(decimalLeaf, decimalType))
	e, err := cel.NewCustomEnv(opts...)
	if err != nil {
		panic(fmt.Sprintf("BUG: rule environment: %v", err))
	}
	return e
})

var celTypes = map[ValueKind]*cel.Type{
	Int: cel.IntType, Money: moneyType, Double: cel.DoubleType, Duration: cel.DurationType, Text: cel.StringType, Bool: cel.BoolType,
}

// function declares one overload of a global function.
func function(name string, result *cel.Type, args ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.Overload(overloadID(name, args), args, result))
}

func method(name string, result *cel.Type, args ...*cel.Type) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload("text_"+overloadID(name, args), args, result))
}

func overloadID(name string, args []*cel.Type) string {
	for _, a := range args {
		name += "/" + a.String()
	}
	return name + "/" + strconv.Itoa(len(args))
}

// declareOperators declares the operators over int, double, decimal, money, duration, text and bool.
func declareOperators() (opts []cel.EnvOption) {
	i, d, x, m, t, s, b := cel.IntType, cel.DoubleType, decimalType, moneyType, cel.DurationType, cel.StringType, cel.BoolType
	declare := func(op string, result *cel.Type, pairs ...[2]*cel.Type) {
		for _, p := range pairs {
			opts = append(opts, function(op, result, p[0], p[1]))
		}
	}
	type pair = [2]*cel.Type
	numbers := []*cel.Type{i, d, x, m}
	for op, o := range orders {
		for _, l := range numbers {
			for _, r := range numbers {
				declare(op, b, pair{l, r})
			}
		}
		declare(op, b, pair{t, t}, pair{s, s})
		if o == equal || o == unequal {
			declare(op, b, pair{b, b})
		}
	}
	doubles := []pair{{d, d}, {i, d}, {d, i}, {i, x}, {x, i}, {d, x}, {x, d}, {x, x}}
	for _, op := range []string{operators.Add, operators.Subtract} {
		declare(op, i, pair{i, i})
		declare(op, d, doubles...)
		declare(op, m, pair{m, m}, pair{m, i}, pair{i, m}, pair{m, x}, pair{x, m})
		declare(op, d, pair{m, d}, pair{d, m})
		declare(op, t, pair{t, t})
	}
	declare(operators.Multiply, i, pair{i, i})
	declare(operators.Multiply, d, doubles...)
	declare(operators.Multiply, m, pair{m, i}, pair{i, m}, pair{m, x}, pair{x, m})
	declare(operators.Multiply, d, pair{m, d}, pair{d, m})
	declare(operators.Multiply, t, pair{t, i}, pair{i, t})
	declare(operators.Divide, i, pair{i, i})
	declare(operators.Divide, d, doubles...)
	declare(operators.Divide, m, pair{m, i}, pair{m, x})
	declare(operators.Divide, d, pair{m, m}, pair{m, d}, pair{t, t})
	declare(operators.Modulo, i, pair{i, i})
	declare(operators.LogicalAnd, b, pair{b, b})
	declare(operators.LogicalOr, b, pair{b, b})
	declare(operators.In, b, pair{s, cel.ListType(s)}, pair{i, cel.ListType(i)})
	for _, n := range []*cel.Type{i, d, m} {
		opts = append(opts, function(operators.Negate, n, n))
	}
	a := cel.TypeParamType("A")
	return append(opts,
		function(operators.LogicalNot, b, b),
		function(operators.Conditional, a, b, a, a),
		method("contains", b, s, s), method("startsWith", b, s, s), method("endsWith", b, s, s), method("matches", b, s, s),
		method("size", i, s), function("size", i, s),
		function("double", d, i), function("double", d, d), function("double", d, m),
		function("int", i, i), function("int", i, d),
	)
}

// declareAggregates declares the windowed functions; W is a duration by the time they are checked.
func declareAggregates() (opts []cel.EnvOption) {
	w, b := cel.DurationType, cel.BoolType
	declare := func(name string, result *cel.Type, args ...*cel.Type) {
		for _, n := range []string{name, priorPrefix + name} {
			opts = append(opts, function(n, result, args...), function(n, result, append(args[:len(args):len(args)], b)...))
		}
	}
	declare("count", cel.IntType, w)
	for _, f := range []string{"sum", "avg", "min", "max", "stddev", "first", "last"} {
		declare(f, moneyType, w, moneyType)
	}
	for _, f := range []string{"first", "last"} {
		declare(f, cel.StringType, w, cel.StringType)
	}
	declare("distinct", cel.IntType, w, cel.StringType)
	for _, f := range dailyNames {
		result := moneyType
		if f == ".days" {
			result = cel.IntType
		}
		for _, of := range []*cel.Type{moneyType, eventsType} {
			opts = append(opts, function("daily"+f, result, w, of), function("daily"+f, result, w, of, b))
		}
	}
	return append(opts, function("since", cel.DurationType, b))
}

const priorPrefix = "prior."

// dailyNames are what daily(W, …) says of its days, in the order of the Funcs.
var dailyNames = []string{".mean", ".stddev", ".max", ".days"}
