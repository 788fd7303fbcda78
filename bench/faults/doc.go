// Package faults holds the tests that break the product while it works and hold it against the oracle: lost answers, cut connections,
// aborted transactions, a window store that loses what it confirmed, processes that die. They run the real client on the embedded
// broker in virtual time (build tag synctests, as the client's locks need it there), so that minutes of time limits take milliseconds.
//
// The tests named TestServers_ do the same to the command itself, a process of its own, on the real Kafka and Redis that
// STREAMGAUGE_TEST_KAFKA and STREAMGAUGE_TEST_REDIS name; they want a pair without the product's topics, as make test-servers starts one.
package faults
