package schemas

// Measured is what one aggregate of a customer's windows came to at one event: what the windows write and the rules read. The
// aggregate says what I or S holds.
type Measured struct {
	I   Int128 // a number: a count, 10⁻⁶ of the base currency, or ms
	S   string // a text: first and last of a text field
	Why string // not empty: there is no value, and this is why, one of the following; I and S mean nothing
}

// Reasons why an aggregate has no value, as they stand in facts. The rules know no others.
const (
	WhyHorizon = "horizon"          // the window begins before what is visible
	WhyWarming = "warming"          // the window begins before what an earlier configuration retained
	WhyCap     = "cap"              // more values or events than are counted exactly
	WhyNone    = "no events"        // an average, an extreme, a deviation, first, last or a figure of daily of nothing
	WhySince   = "no earlier event" // since of none
)
