// Package faults holds the tests that break the product while it works and hold it against the oracle: lost answers, cut connections,
// aborted transactions, a window store that loses what it confirmed, processes that die. They run the real client on the embedded
// broker in virtual time (build tag synctests, as the client's locks need it there), so that minutes of time limits take milliseconds.
package faults
