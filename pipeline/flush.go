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
func (l *lane) startFlushes(ctx context.Context, all bool) {
	now := time.Now()
	c := l.env.Config.Monitor
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

func (l *lane) startFlush(ctx context.Context, p *partition) {
	if p.flushing || p.level() || time.Now().Before(p.retryAt) {
		return
	}
	p.flushing = true
	f := l.newFlush(p, p.pos)
	entries := f.entries()
	replies := l.flushes
	l.underway++
	l.flying.Add(1)
	go func() {
		defer l.flying.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		f.now, f.err = l.store.Flush(ctx, p.number, f.base, f.next, entries)
		replies <- f
	}()
}

// newFlush takes the partition's changes for a flush to offset next.
func (l *lane) newFlush(p *partition, next int64) flushed {
	f := flushed{part: p, base: p.base, next: store.Marker{Offset: next, TopicID: l.topicID}, saved: p.state.TakeDirty()}
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
func (l *lane) takeReplies(ctx context.Context) error {
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
func (l *lane) takeReply(ctx context.Context, f flushed) error {
	p := f.part
	p.flushing = false
	l.underway--
	if l.parts[p.number] != p { // the partition is gone, or was rebuilt since
		if f.err == nil && f.now == f.next {
			p.base = f.next
			l.startFlush(ctx, p) // what was judged while this flush was under way
		}
		return nil
	}
	switch {
	case f.err != nil:
		l.log.Warn("flush to the window store is not confirmed, trying on", "partition", p.number, "customers", len(f.saved), "error", f.err)
		p.state.Redo(f.saved)
		p.retryAt = time.Now().Add(time.Second)
	case f.now == f.next:
		p.base = f.next
		p.dirtied = time.Now()
		p.state.Acked(f.saved)
	case f.now.TopicID == l.topicID && f.now.Offset > f.base.Offset && f.now.Offset <= p.pos:
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
func (l *lane) rebuild(ctx context.Context, p *partition, reason error) error {
	l.log.Warn("partition is rebuilt", "partition", p.number, "reason", reason)
	again, err := l.recover(ctx, p.number, p.pos)
	if err != nil {
		return err
	}
	l.parts[p.number] = again
	return nil
}

// flushAll writes what is left when the lane stops, so that the next owner replays nothing. It gives up after flushTimeout: the log
// holds everything.
func (l *lane) flushAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for ctx.Err() == nil {
		l.startFlushes(ctx, true)
		if l.underway == 0 {
			return
		}
		select {
		case f := <-l.flushes:
			if err := l.takeReply(ctx, f); err != nil {
				l.log.Warn("last flush given up", "partition", f.part.number, "error", err)
				return
			}
		case <-ctx.Done():
		}
	}
}
