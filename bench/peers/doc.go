// Package peers says what the product's monitor stage costs, beside the least that any consumer and producer of the same records must
// cost: a plain franz-go passthrough, which reads the same topic events and writes as many and as large records in the same kind of
// transactions, by the same client settings, in the same run. It is verb bench.
//
// A series (series.go) alternates rounds of the two. One round (round.go) begins on servers without a trace of earlier ones (ground.go):
// the topics are made, the rules published, and the measured client starts in a process of its own (child.go, passthrough.go) and comes
// to rest in its group. Then the workload (fill.go: the generator's records through intake's own operators, so that no intake stands in
// the figures) is written into topic events inside one transaction that stays open: a read_committed reader sees nothing of it yet. The
// commit of that transaction is the starting gun, and the round ends when the group has committed the last event. Between the two the
// client's own process says what CPU it used (getrusage); the embedded servers have a process of their own, too. At last the round reads
// what was written (outcome.go): a peer that consumed or produced another number of records than the other is an error, not a figure.
//
// The package measures; it judges nothing and asserts no time. Figures of a busy machine are noise: report.go gives the median and the
// range of the rounds, and the load of the machine at the start.
package peers
