// Package window keeps one customer's retained events and answers every window from them, exact to the event.
//
// A Customer (customer.go) is a header (watermark, what history is known, what left the horizon) and a reservoir (reservoir.go) of rows
// in (time, log) order: sealed chunks, and a head that takes what comes (block.go, row.go). A Shape (shape.go) says what one configuration
// asks of it and is compiled once into what Measure (measure.go) walks through: sums over series of events, counts of different values,
// and, looking at the events one by one, equalities and scans (slow.go). A filter of a rule is one class bit of a row, decided when the
// row comes in.
//
// A busy customer is followed by windows (windows.go): sums that let events in at one end and out at the other, so that a window's
// length costs nothing. They are only a memory: what they do not fit is filled anew from sums of 32 rows, of a chunk (summary.go) and of
// 64 chunks. Text values live once per customer in a dictionary (dictionary.go), ids in a filter for the head and a table for the chunks
// (ids.go). wide.go is the arithmetic: sums of 128 bits, squares of 192, no float in any result.
//
// A Journal (journal.go) takes a transaction back over all customers. stateChanges retract and restore (state.go). layout.go and
// decode.go are the byte form that the store holds, flush.go what of it has changed since the last time, resident.go which chunks must
// be in memory and which need not.
//
// A window is (τ−W, τ]: left open, right closed. What the reservoir cannot know exactly it refuses, with a reason; it never estimates.
// What a Customer answers and how its whole form reads follow from its log alone, whatever was trimmed, stored, read back, released or
// aborted in between. The package has no clock, no lock and no I/O; a Customer belongs to one lane at a time.
package window
