// Package peers measures what the design sets goals for, each figure by its name (command.go), and says whether it is met: verb bench.
//
// bench monitor says what the product's monitor stage costs, beside the least that any consumer and producer of the same records must
// cost: a plain franz-go passthrough, which reads the same topic events and writes as many and as large records in the same kind of
// transactions, by the same client settings, in the same run. A series (series.go) alternates rounds of the two. One round (round.go)
// begins on servers without a trace of earlier ones (ground.go): the topics are made, the rules published, and the measured client starts
// in a process of its own (child.go, passthrough.go) and comes to rest in its group. Then the workload (fill.go: the generator's records
// through intake's own operators, so that no intake stands in the figures) is written into topic events inside one transaction that stays
// open: a read_committed reader sees nothing of it yet. The commit of that transaction is the starting gun, and the round ends when the
// group has committed the last event. Between the two the client's own process says what CPU it used (getrusage); the embedded servers
// have a process of their own, too. At last the round reads what was written (outcome.go): a peer that consumed or produced another number
// of records than the other is an error, not a figure.
//
// bench redis (window.go, tap.go), memory and scale look into such rounds: with a counting proxy before Redis, at the client's heap and
// Redis' memory, at many sizes. bench latency and recovery load a running product from outside (stand.go, flow.go): records are sent when
// they are due, however far behind the answers are, and count from then; a result that is missing, or there twice, is an error.
//
// The package asserts no time. Figures of a busy machine are noise: a report (report.go, figure.go) gives the median and the range of the
// repetitions, and the load of the machine at the start.
package peers
