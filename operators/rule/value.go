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

// Reasons why an aggregate has no value.
const (
	WhyHorizon = schemas.WhyHorizon
	WhyWarming = schemas.WhyWarming
	WhyCap     = schemas.WhyCap
	WhyNone    = schemas.WhyNone
	WhySince   = schemas.WhySince
)

// whys are the reasons by which notes are made ready.
var whys = [...]string{WhyHorizon, WhyCap, WhyNone, WhySince, WhyWarming}
