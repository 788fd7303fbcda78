//go:build race

package sim

// standard is how many schedules an ordinary test run tries: the race detector makes each some ten times as slow.
const standard = 200
