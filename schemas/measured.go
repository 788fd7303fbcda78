package schemas

// Measured is what one aggregate of a customer's windows came to at one event: what the windows write and the rules read. The
// aggregate says what I or S holds.
type Measured struct {
	I   Int128 // a number: a count, 10⁻⁶ of the base currency, or ms
	S   string // a text: first and last of a text field
	Why string // not empty: there is no value, and this is why (horizon, cap, no events, …); I and S mean nothing
}
