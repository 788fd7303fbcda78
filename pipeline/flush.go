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

	misfit int // customers whose change does not fit what is stored: the marker stayed, everything goes again, whole

	replace bool // the store holds this partition no more, or not whole: begin it anew
}

// flushTimeout bounds one flush, and what a lane that stops waits for its last one.
const flushTimeout = 5 * time.Second

// startFlushes hands the changes of every partition that is due to the store, off the lane's path: the bytes are made here, at a
// committed state, and travel while the lane goes on. One flush is under way per partition; a flush [m, n) is one atomic step, for the
// memory holds the state at n only.
func (l *Lane) startFlushes(ctx context.Context, all bool) {
	now := l.Clock.Now()
	c := l.Monitor
	for _, p := range l.sorted() {
		if p.state == nil {
			continue
		}
		due := p.state.Dirty() >= c.FlushAt || now.Sub(p.dirtied) >= time.Duration(c.FlushEvery)
		if all || due {
			l.startFlush(ctx, p)
		}
	}
}

// unflushed is how many changed customers the store is not known to hold.
func (p *partition) unflushed() int { return p.state.Dirty() + len(p.flying) }

// full reports whether a partition has changed as much as may wait for the store, or takes twice its share of memory because of that.
func (l *Lane) full(p *partition) bool {
	return p.unflushed() >= fullFactor*l.Monitor.FlushAt || p.unflushed() > 0 && p.state.Bytes() > 2*l.Memory/len(l.parts)
}

// fullFactor bounds what a store that is away leaves in memory, in flushes of flush_at customers each; they would be written in some
// seconds.
const fullFactor = 50

// level reports whether the store reflects all that is judged. Records that change no customer move the marker too: without that a
// restart replays them.
func (p *partition) level() bool { return p.base.Offset == p.pos }

func (l *Lane) startFlush(ctx context.Context, p *partition) {
	if p.flushing || p.state == nil || p.level() || l.Clock.Now().Before(p.retryAt) {
		return
	}
	p.flushing = true
	f := l.newFlush(p, p.pos)
	entries := f.entries()
	p.flying = f.saved
	l.beside(ctx, flushTimeout, func(ctx context.Context) func(context.Context) error {
		f.write(ctx, l.Store, entries)
		return func(ctx context.Context) error { return l.takeReply(ctx, f) }
	})
}

// newFlush takes the partition's changes for a flush to offset next.
func (l *Lane) newFlush(p *partition, next int64) flushed {
	f := flushed{part: p, replace: p.replace, base: p.base, next: store.Marker{Offset: next, TopicID: l.TopicID, Chain: p.chain}, saved: p.state.TakeDirty()}
	if conf := p.state.Current(); conf != nil {
		f.next.Config = conf.Version
	}
	return f
}

func (f *flushed) entries() []store.Entry {
	out := make([]store.Entry, len(f.saved))
	for i, s := range f.saved {
		e := store.Entry{Key: s.Key, LSN: s.LSN, Value: s.Value}
		if d := s.Delta; d != nil {
			e.Delta = &store.Delta{FromLSN: d.FromLSN, Length: d.Length, Header: d.Header, Tail: d.Tail}
		}
		for _, c := range s.Chunks {
			e.Chunks = append(e.Chunks, store.Chunk{Name: store.ChunkName(c.Name), Value: c.Value})
		}
		for _, name := range s.Dead {
			e.Dead = append(e.Dead, store.ChunkName(name))
		}
		out[i] = e
	}
	return out
}

// write sends the flush.
func (f *flushed) write(ctx context.Context, s store.Store, entries []store.Entry) {
	out, err := s.Flush(ctx, &store.Flush{Partition: f.part.number, Base: f.base, Next: f.next, Replace: f.replace, Entries: entries})
	f.now, f.err, f.misfit = out.Now, err, len(out.Full)
}

// takeReply decides by the store's marker what a flush did. Only the marker is believed: an error may hide a flush that arrived.
func (l *Lane) takeReply(ctx context.Context, f flushed) error {
	p := f.part
	p.flushing, p.flying = false, nil
	if l.parts[p.number] != p { // the partition is gone, or was rebuilt since
		if f.err == nil && f.now == f.next {
			p.base, p.replace = f.next, false
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
	case f.misfit > 0 && f.now == f.base:
		l.Logger.Info("customers are written whole: what is stored is not what was read", "partition", p.number, "customers", f.misfit)
		p.state.Redo(f.saved)
	case f.now == f.next:
		p.base, p.replace = f.next, false
		p.dirtied = l.Clock.Now()
		p.state.Acked(f.saved)
	case f.now.TopicID == l.TopicID && f.now.Offset > f.base.Offset && f.now.Offset <= p.pos:
		// An earlier flush arrived whose answer was lost: a valid prefix. What is not known to be in it goes again.
		p.base = f.now
		p.state.Redo(f.saved)
	case f.now.Offset > p.pos:
		return fmt.Errorf("%w: partition %d: the store reflects offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, f.now.Offset, p.pos)
	default:
		_, err := l.rebuild(ctx, p, fmt.Errorf("%w: partition %d: from offset %d to %d", errRegressed, p.number, f.base.Offset, f.now.Offset))
		return err
	}
	return nil
}

// rebuild reads a partition back whose store went back: what memory holds is right, but which of it the store lost is not known.
func (l *Lane) rebuild(ctx context.Context, p *partition, reason error) (*partition, error) {
	l.Logger.Warn("partition is rebuilt", "partition", p.number, "reason", reason)
	again := &partition{number: p.number, start: p.start, place: Place{Partition: p.number, Offset: p.pos}, halted: p.halted, saidAt: p.saidAt}
	if p.pos > p.start || p.place.Offset >= 0 {
		again.place.Metadata = (&note{Generation: l.Generation, Partitions: l.Partitions, TopicID: l.TopicID, From: p.from, Chain: p.chain, Committer: l.Committer}).String()
	} else {
		again.place.Offset = -1
	}
	l.parts[p.number] = again
	if again.halted != nil {
		return again, nil //nolint:nilerr // the halt is the partition's, not an error of this call
	}
	err := l.open(ctx, again)
	if p.waiting.on && again.judging() {
		l.session.Resume(again.number, again.pos)
	}
	return again, err
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
