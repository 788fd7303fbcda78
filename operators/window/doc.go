// Package window keeps one customer's retained events and answers every window from them, exact to the event.
//
// A Customer is a header (customer.go: watermark, what history is known, what left the horizon) and a reservoir (reservoir.go): rows in
// (time, log) order with running counts and sums, so that an unfiltered count or sum is two binary searches and a subtraction, whatever
// the length of the window. A filter of a rule is one class bit of a row, decided once, when the row comes in; filtered aggregates,
// extremes and distinct counts scan the window's rows (aggregate.go). Text values live once per customer in a dictionary
// (dictionary.go). layout.go is the byte form that Redis holds.
//
// A window is (τ−W, τ]: left open, right closed. What the reservoir cannot know exactly it refuses (see Customer.Known); it never
// estimates. The package has no clock, no lock and no I/O; a Customer belongs to one lane at a time.
package window
