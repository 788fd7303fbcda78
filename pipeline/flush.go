package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
)

// flushed is the reply to one flush.
type flushed struct {
	part  *partition
	base  store.Marker
	next  store.Marker
	now   store.Marker // what the store holds after it
	err   error
	saved []operators.Saved
}

// flushTimeout bounds one flush, and what a lane that stops waits for its last one.
const flushTimeout = 5 * time.Second

// startFlushes hands the changes of every partition that is due to the store, off the lane's path: the bytes are made here, at a
// committed state, and travel while the lane goes on. One flush is under way per partition; a flush [m, n) is one atomic step, for the
// memory holds the state at n only.
func (l *Lane) startFlushes(ctx context.Context, all bool) {
	now := l.Clock.Now()
	c := l.Monitor
	for _, p := range l.parts {
		due := p.state.Dirty() >= c.FlushAt || now.Sub(p.dirtied) >= time.Duration(c.FlushEvery)
		if all || due {
			l.startFlush(ctx, p)
		}
	}
}

// level reports whether the store reflects all that is judged. Records that change no customer move the marker too: without that a
// restart replays them.
func (p *partition) level() bool { return p.base.Offset == p.pos }

func (l *Lane) startFlush(ctx context.Context, p *partition) {
	if p.flushing || p.level() || l.Clock.Now().Before(p.retryAt) {
		return
	}
	p.flushing = true
	f := l.newFlush(p, p.pos)
	entries := f.entries()
	replies := l.flushes
	l.underway++
	l.Go(func() {
		ctx, cancel := l.Clock.Timeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		f.now, f.err = l.Store.Flush(ctx, p.number, f.base, f.next, entries)
		replies <- f
	})
}

// newFlush takes the partition's changes for a flush to offset next.
func (l *Lane) newFlush(p *partition, next int64) flushed {
	f := flushed{part: p, base: p.base, next: store.Marker{Offset: next, TopicID: l.TopicID}, saved: p.state.TakeDirty()}
	if conf := p.state.Current(); conf != nil {
		f.next.Config = conf.Version
	}
	return f
}

func (f *flushed) entries() []store.Entry {
	out := make([]store.Entry, len(f.saved))
	for i, s := range f.saved {
		out[i] = store.Entry{Key: s.Key, Value: s.Value}
	}
	return out
}

// takeReplies applies what came back from flushes.
func (l *Lane) takeReplies(ctx context.Context) error {
	for {
		select {
		case f := <-l.flushes:
			if err := l.takeReply(ctx, f); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// takeReply decides by the store's marker what a flush did. Only the marker is believed: an error may hide a flush that arrived.
func (l *Lane) takeReply(ctx context.Context, f flushed) error {
	p := f.part
	p.flushing = false
	l.underway--
	if l.parts[p.number] != p { // the partition is gone, or was rebuilt since
		if f.err == nil && f.now == f.next {
			p.base = f.next
			p.state.Acked(f.saved)
			l.startFlush(ctx, p) // what was judged while this flush was under way
		}
		return nil
	}
	switch {
	case f.err != nil:
		l.Logger.Warn("flush to the window store is not confirmed, trying on", "partition", p.number, "customers", len(f.saved), "error", f.err)
		p.state.Redo(f.saved)
		p.retryAt = l.Clock.Now().Add(time.Second)
	case f.now == f.next:
		p.base = f.next
		p.dirtied = l.Clock.Now()
		p.state.Acked(f.saved)
	case f.now.TopicID == l.TopicID && f.now.Offset > f.base.Offset && f.now.Offset <= p.pos:
		// An earlier flush arrived whose answer was lost: a valid prefix. What is not known to be in it goes again.
		p.base = f.now
		p.state.Redo(f.saved)
	case f.now.Offset > p.pos:
		return fmt.Errorf("%w: partition %d: the store reflects offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, f.now.Offset, p.pos)
	default:
		return l.rebuild(ctx, p, fmt.Errorf("%w: partition %d: from offset %d to %d", errRegressed, p.number, f.base.Offset, f.now.Offset))
	}
	return nil
}

// rebuild reads a partition back whose store went back: what memory holds is right, but which of it the store lost is not known.
func (l *Lane) rebuild(ctx context.Context, p *partition, reason error) error {
	l.Logger.Warn("partition is rebuilt", "partition", p.number, "reason", reason)
	again, err := l.recover(ctx, p.number, p.pos)
	if err != nil {
		return err
	}
	l.parts[p.number] = again
	return nil
}

// flushAll writes what is left when the lane stops, so that the next owner replays nothing. It gives up after flushTimeout: the log
// holds everything.
func (l *Lane) flushAll(ctx context.Context) {
	ctx, cancel := l.Clock.Timeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for ctx.Err() == nil {
		l.startFlushes(ctx, true)
		if l.underway == 0 {
			return
		}
		l.Clock.Sleep(ctx, replyPause)
		if err := l.takeReplies(ctx); err != nil {
			l.Logger.Warn("last flush given up", "error", err)
			return
		}
	}
}

// replyPause is how often a lane that ends looks for replies of flushes; they take one round trip.
const replyPause = time.Millisecond

// forgetFlushes waits for the flushes under way, each at most flushTimeout, and believes none of them.
func (l *Lane) forgetFlushes() {
	for l.underway > 0 {
		select {
		case <-l.flushes:
			l.underway--
		default:
			l.Clock.Sleep(context.Background(), replyPause)
		}
	}
}
