//go:build !race

package sim

// standard is how many schedules an ordinary test run tries: some ten seconds of one core.
const standard = 1000
