package rule

import "github.com/streamgauge/streamgauge/schemas"

// ValueKind says what a Value holds.
type ValueKind uint8

const (
	Absent   ValueKind = iota // no data; Why says what is missing
	Int                       // I, within 64 bits
	Money                     // I, 10⁻⁶ of the base currency
	Double                    // F
	Duration                  // I, ms, within 64 bits
	Text                      // S
	Bool                      // I, 0 or 1
)

// ValueKinds lists the kinds' names by value, in the words of mistakes and plans.
var ValueKinds = []string{"no data", "int", "money", "double", "duration", "text", "bool"}

func (k ValueKind) String() string { return ValueKinds[k] }

// Value is one measured or computed value.
type Value struct {
	Kind ValueKind
	I    schemas.Int128
	F    float64
	S    string
	Why  string // for Absent: what is missing: horizon, no earlier event, amount, …
}

// Reasons why an aggregate has no value, as they stand in facts.
const (
	WhyHorizon = "horizon"          // the window reaches below what is visible
	WhyCap     = "cap"              // more distinct values than are kept
	WhyNone    = "no events"        // avg, min or max of nothing
	WhySince   = "no earlier event" // since of none
)

// None is the absent value.
func None(why string) Value { return Value{Why: why} }

// IntValue is a count.
func IntValue(n int64) Value { return Value{Kind: Int, I: schemas.I128(n)} }

// MoneyValue is an amount in 10⁻⁶ of the base currency.
func MoneyValue(v schemas.Int128) Value { return Value{Kind: Money, I: v} }

// DurationValue is a duration in ms.
func DurationValue(ms int64) Value { return Value{Kind: Duration, I: schemas.I128(ms)} }
