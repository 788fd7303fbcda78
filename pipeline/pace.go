package pipeline

import "time"

// pace decides when a lane begins its next transaction after one has ended, and how much it polls at once. Both follow from what it has
// measured, so that nobody has to know the brokers' settings.
//
// The rest between two transactions. A record waits on average half of what lies between two commits, and then for its own commit to end.
// What that takes depends on the rest: brokers answer EndTxn before its markers are written, and a transaction that begins meanwhile
// waits inside them, in steps of add.partitions.to.txn.retry.backoff.ms. With that at 1 ms the shortest rest is best; at its default, 20,
// back to back transactions take 16 ms to end, and a rest of 20 ms is best. So the lane tries several rests, keeps what ending took with
// each, and stays with the best, looking again at its neighbours every now and then. A lane that is idle longer than that has no rest:
// what comes after a pause is judged and committed at once.
//
// The poll brings as many records as are judged within pollTime, so that a transaction stays short however dear a record is; it grows
// while polls come back full.
type pace struct {
	ended time.Time // when the last transaction ended
	tried [len(rests)]struct {
		end time.Duration // what ending takes after such a rest, smoothed; 0: never tried
	}
	arm, left int // the rest in use, and for how many transactions still; then the best is chosen anew
	best      int
	rounds    int // of choosing

	cost  time.Duration // what a record takes, smoothed
	limit int           // records in the next poll
}

// rests are what is tried. Below 5 ms commits cost more CPU than they save time (measured on a passthrough at 2k and 20k events/s); above
// 40 nothing is won on any broker measured, and verdicts wait.
var rests = [...]time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}

const (
	stay      = 64 // transactions with the best rest before a neighbour is tried: exploring costs an eighth
	try       = 8  // transactions with a rest that is tried
	pollTime  = 50 * time.Millisecond
	leastPoll = 200
	alpha     = 8 // weight of one more measurement, 1/alpha: some ten of them make a new mean
)

// newPace begins with the shortest rest, and in the middle of what a poll may come to.
func newPace(most int) pace { return pace{limit: min(1000, most), left: try} }

// rest is how long what comes in is left at the broker before the next poll; zero for a lane that has been idle.
func (p *pace) rest(now time.Time) time.Duration {
	if p.ended.IsZero() {
		return 0
	}
	return max(rests[p.arm]-now.Sub(p.ended), 0)
}

// latency is what a record waits with a rest: half the time between two commits, and its own commit.
func (p *pace) latency(arm int) time.Duration {
	end := p.tried[arm].end
	return (rests[arm]+end)/2 + end
}

// committed takes the measurements of one transaction: when it began and ended, how many records it had, what judging them took, and
// what ending it took. most is the configured bound of a poll.
func (p *pace) committed(began, now time.Time, records int, judging, ending time.Duration, most int) {
	if !p.ended.IsZero() && began.Sub(p.ended) < 2*rests[p.arm] { // else the lane was idle, and the rest is not what it shows
		p.learn(ending)
	}
	p.ended = now
	if records > 0 {
		p.cost = smooth(p.cost, judging/time.Duration(records))
	}
	fits := most
	if p.cost > 0 {
		fits = int(min(pollTime/p.cost, time.Duration(most)))
	}
	fits = max(fits, min(leastPoll, most))
	switch {
	case p.limit > fits:
		p.limit = fits
	case records >= p.limit: // there was more
		p.limit = min(2*p.limit, fits)
	}
}

// learn takes what ending took after the rest in use, and chooses the next one.
func (p *pace) learn(ending time.Duration) {
	p.tried[p.arm].end = smooth(p.tried[p.arm].end, ending)
	if p.left--; p.left > 0 {
		return
	}
	for arm := range rests {
		if p.tried[arm].end > 0 && p.latency(arm) < p.latency(p.best) {
			p.best = arm
		}
	}
	if p.arm != p.best { // a neighbour was tried
		p.arm, p.left = p.best, stay
		return
	}
	p.rounds++
	p.arm, p.left = p.neighbour(), try
}

// neighbour is what is tried next: first all that never were, then the rests beside the best in turn.
func (p *pace) neighbour() int {
	for arm := range rests {
		if p.tried[arm].end == 0 {
			return arm
		}
	}
	switch {
	case p.best == 0:
		return 1
	case p.best == len(rests)-1 || p.rounds%2 == 0:
		return p.best - 1
	}
	return p.best + 1
}

func smooth(mean, now time.Duration) time.Duration {
	if mean == 0 {
		return now
	}
	return mean + (now-mean)/alpha
}
