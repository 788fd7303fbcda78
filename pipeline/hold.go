package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
)

// Two things keep a partition's records back while the lane's others go on: a window store that does not answer, which ends by itself,
// and a halt, which a person ends. Both pause the partition in the session; it goes on at its position when it is resumed.

// waiting is a partition's wait for the window store.
type waiting struct {
	on      bool
	probing bool
	until   time.Time     // when to ask again
	pause   time.Duration // between the last two questions
	since   time.Time
	why     string
}

// hold keeps a partition's records back until the window store answers again: no verdict is given on state that is not there.
func (l *Lane) hold(p *partition, why error) {
	if p.waiting.on {
		return
	}
	now := l.Clock.Now()
	p.waiting = waiting{on: true, pause: firstPause, until: now.Add(firstPause), since: now, why: why.Error()}
	l.session.Pause(p.number)
	l.Logger.Warn("partition waits for the window store, the others go on", "partition", p.number, "offset", p.pos, "reason", why)
}

// tend asks after what waits, and says once a minute what is halted.
func (l *Lane) tend(ctx context.Context) error {
	now := l.Clock.Now()
	for _, p := range l.sorted() {
		switch w := &p.waiting; {
		case p.halted != nil:
			if now.Sub(p.saidAt) >= sayAgain {
				p.saidAt = now
				l.Logger.Error("partition is halted", "partition", p.number, "error", p.halted)
			}
		case w.on && !w.probing && !now.Before(w.until):
			l.probe(ctx, p)
		}
	}
	return nil
}

// sayAgain is how often a halted partition is reported.
const sayAgain = time.Minute

// probe asks the store for the partition's marker, beside the lane.
func (l *Lane) probe(ctx context.Context, p *partition) {
	p.waiting.probing = true
	l.beside(ctx, probeTimeout, func(ctx context.Context) func(context.Context) error {
		_, _, err := l.Store.Load(ctx, p.number, nil)
		return func(ctx context.Context) error { return l.probed(ctx, p, err) }
	})
}

// probeTimeout bounds one question to a store that did not answer: a connection may have to be made.
const probeTimeout = 5 * time.Second

// probed takes the answer of a probe.
func (l *Lane) probed(ctx context.Context, p *partition, err error) error {
	w := &p.waiting
	w.probing = false
	if l.parts[p.number] != p || !w.on {
		return nil
	}
	// That a partition is lost is no news while the flush that replaces it is still to come: another rebuild would only put that off.
	lost := errors.Is(err, store.ErrLost) && !p.replace || errors.Is(err, store.ErrForeign)
	switch {
	case err != nil && !lost && !errors.Is(err, store.ErrLost):
		w.pause = min(2*w.pause, lastPause)
		w.until = l.Clock.Now().Add(w.pause)
		return nil
	case p.state != nil && lost:
		_, err := l.rebuild(ctx, p, err)
		return err
	case p.state != nil && l.full(p):
		w.until = l.Clock.Now().Add(w.pause) // the store is there; its flushes must get through first
		p.retryAt = time.Time{}
		return nil
	}
	waited := l.Clock.Now().Sub(w.since)
	p.waiting = waiting{}
	if p.state == nil {
		if err := l.open(ctx, p); err != nil || !p.judging() {
			return err
		}
	}
	l.Logger.Info("partition goes on", "partition", p.number, "offset", p.pos, "waited_seconds", waited.Seconds())
	l.session.Resume(p.number, p.pos)
	return nil
}

// beside starts work beside the lane, bounded by d; what it comes to is applied by the lane.
func (l *Lane) beside(ctx context.Context, d time.Duration, work func(context.Context) func(context.Context) error) {
	replies, clock := l.replies, l.Clock
	l.underway++
	l.Go(func() {
		ctx, cancel := clock.Timeout(context.WithoutCancel(ctx), d)
		defer cancel()
		replies <- work(ctx)
	})
}

// takeReplies applies what work beside the lane came to.
func (l *Lane) takeReplies(ctx context.Context) error {
	for {
		select {
		case apply := <-l.replies:
			l.underway--
			if err := apply(ctx); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// replyPause is how often a lane that ends looks for replies; they take one round trip.
const replyPause = time.Millisecond

// forgetReplies waits for what is under way beside the lane, which is bounded, and believes none of it.
func (l *Lane) forgetReplies() {
	for l.underway > 0 {
		select {
		case <-l.replies:
			l.underway--
		default:
			l.Clock.Sleep(context.Background(), replyPause)
		}
	}
}

// HaltError is a log or a store that the lane must not go on from; somebody has to look.
type HaltError struct {
	Topic     string
	Partition int32
	Reason    string
}

func (e *HaltError) Error() string {
	return fmt.Sprintf("topic %s partition %d halted: %s", e.Topic, e.Partition, e.Reason)
}

// halt is a HaltError of topic events.
func halt(partition int32, format string, args ...any) error {
	return &HaltError{Topic: schemas.Events.Name, Partition: partition, Reason: fmt.Sprintf(format, args...)}
}

// halt keeps a partition's records back until the process starts again or another one gets it: what to do is in the message. The other
// partitions go on; a fleet must not stop for one of its logs.
func (l *Lane) halt(p *partition, why *HaltError) {
	if p.halted != nil {
		return
	}
	p.halted, p.saidAt = why, l.Clock.Now()
	l.session.Pause(p.number)
	l.Logger.Error("partition is halted", "partition", p.number, "error", why)
}

// Halts knows what the lanes of one process own and what of it is halted. A process none of whose partitions goes on ends, for a person
// sees that sooner than a log line; one that was asked to ends with the first halt.
type Halts struct {
	First bool // end with the first halt

	mu    sync.Mutex
	lanes map[*Lane]owned
	since time.Time // when everything owned was found halted; zero: something goes on
}

// owned is what one lane owns.
type owned struct {
	going  int
	halted []error
}

// haltGrace is how long everything must have been halted: lanes get their partitions one after the other.
const haltGrace = 3 * time.Second

// verdict reports the lane's partitions, and answers the halts if the process must end.
func (h *Halts) verdict(l *Lane) error {
	var mine owned
	for _, p := range l.sorted() {
		if p.halted != nil {
			mine.halted = append(mine.halted, p.halted)
		} else {
			mine.going++
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes == nil {
		h.lanes = map[*Lane]owned{}
	}
	h.lanes[l] = mine
	var all owned
	for _, o := range h.lanes {
		all.going += o.going
		all.halted = append(all.halted, o.halted...)
	}
	switch {
	case len(mine.halted) > 0 && h.First:
		return errors.Join(mine.halted...)
	case all.going > 0 || len(all.halted) == 0:
		h.since = time.Time{}
	case h.since.IsZero():
		h.since = l.Clock.Now()
	case l.Clock.Now().Sub(h.since) >= haltGrace && len(mine.halted) > 0:
		return fmt.Errorf("every partition of this process is halted:\n%w", errors.Join(mine.halted...))
	}
	return nil
}

// forget takes out a lane whose session has ended.
func (h *Halts) forget(l *Lane) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lanes, l)
}
