package rule

import "github.com/streamgauge/streamgauge/schemas"

// ValueKind is the type of a value.
type ValueKind uint8

const (
	Absent   ValueKind = iota // no data
	Int                       // within 64 bits
	Money                     // 10⁻⁶ of the base currency, 128 bits; also the figures of daily over counts: 10⁻⁶ of one
	Double                    //
	Duration                  // ms, within 64 bits
	Text                      //
	Bool                      //
)

// ValueKinds lists the kinds' names by value, in the words of mistakes and plans.
var ValueKinds = []string{"no data", "int", "money", "double", "duration", "text", "bool"}

func (k ValueKind) String() string { return ValueKinds[k] }

// Value is one measured value; what it holds is Aggregate.Kind.
type Value = schemas.Measured

// Reasons why an aggregate has no value, as they stand in facts.
const (
	WhyHorizon = "horizon"          // the window reaches below what is visible
	WhyCap     = "cap"              // more distinct values than are kept, or a longer scan than is allowed
	WhyNone    = "no events"        // avg, min, max, stddev, first, last or a figure of daily of nothing
	WhySince   = "no earlier event" // since of none
	WhyWarming = "warming"          // what is measured was not asked for when events left retention
)

// whys are the reasons by which notes are made ready.
var whys = [...]string{WhyHorizon, WhyCap, WhyNone, WhySince, WhyWarming}

// None is the absent value.
func None(why string) Value { return Value{Why: why} }

// IntValue is a count.
func IntValue(n int64) Value { return Value{I: schemas.I128(n)} }

// MoneyValue is an amount in 10⁻⁶ of the base currency.
func MoneyValue(v schemas.Int128) Value { return Value{I: v} }

// DurationValue is a duration in ms.
func DurationValue(ms int64) Value { return Value{I: schemas.I128(ms)} }

// TextValue is a text.
func TextValue(s string) Value { return Value{S: s} }
