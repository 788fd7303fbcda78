// Package sim holds the simulation: the lane's own code over a simulated log and group, window store, sink and clock, one step at a time
// in one goroutine, everything that happens chosen by a seed (engine, L2).
//
// Every call that a lane makes into its surroundings is a place where another lane, a reply, the passing of time or a fault may come in
// between; a fault that kills a process takes it away right there. Faults stand in a plan, drawn from the seed before the run: kills,
// orderly stops, processes that are frozen and come back as zombies, members that the group gives up, moved partitions, EndTxn whose
// answer is lost (applied or not) or lies, writes that fail, markers that come late, flushes that fail before or after they are applied,
// arrive late, between whose calls others come, a window store that loses a suffix, all of it, single keys, or is split in two. At the
// end every record of the log must have the one fact, the one result and the one rejection that an independent model expects, and
// whoever reads the window store then must find the same windows.
//
// The same seed gives the same run, so a plan that fails is cut down to the faults that it needs and printed (shrink).
//
// Files: world_test.go the scheduler · group_test.go log, group, transactions · store_test.go the window store · plan_test.go faults,
// their plan and its shrinking · expect_test.go the model · sim_test.go the tests. STREAMGAUGE_SIM says how many schedules are run.
package sim
