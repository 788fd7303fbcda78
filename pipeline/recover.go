package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// recover rebuilds a partition that the group gave to this lane: from the store's marker, and from the log between the marker and the
// committed offset. Customers are loaded when their next event comes. Without a marker the whole log is read.
func (l *Lane) recover(ctx context.Context, number int32, committed int64) (*partition, error) {
	marker, _, err := l.loadRetrying(ctx, number, nil)
	if err != nil {
		return nil, err
	}
	committed = max(committed, 0) // −1: the group never committed; a log is judged from its first record
	switch {
	case !marker.IsZero() && marker.TopicID != l.TopicID:
		return nil, halt(number, "the window store reflects topic %s with id %s, the broker's has id %s: the topic was recreated. Give the new log another generation, or empty the store", schemas.Events.Name, marker.TopicID, l.TopicID)
	case marker.Offset > committed:
		return nil, halt(number, "the window store reflects the log up to offset %d, the group committed %d: the log or the group's offsets were truncated", marker.Offset, committed)
	}
	history, err := l.Configs.upTo(ctx, marker.Config)
	if err != nil {
		return nil, halt(number, "%v", err)
	}
	p := &partition{number: number, state: operators.NewState(l.Generation, number, history), pos: committed, base: marker}
	p.replaying = true
	err = l.replay(ctx, p, marker.Offset)
	p.replaying = false
	var stop *HaltError
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, errRegressed): // the store changed under the replay: begin again from what it holds now
		return l.recover(ctx, number, committed)
	case errors.As(err, &stop), errors.Is(err, errBug), errors.Is(err, errPoisoned):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", errPoisoned, err) // reading the log was disturbed
}

// replay folds the committed records [from, p.pos) into the windows: no verdicts, they are out already.
func (l *Lane) replay(ctx context.Context, p *partition, from int64) error {
	if from >= p.pos {
		return nil
	}
	started, n, next := l.Clock.Now(), 0, from
	chain := topology.Rebuild()
	b := &batch{part: p}
	var items itemPool // not the lane's: a replay may come while a polled batch waits
	fold := func() error {
		defer func() { b.items, b.bad = b.items[:0], b.bad[:0] }()
		if err := l.load(ctx, b); err != nil {
			return err
		}
		p.state.Begin()
		b.skipHeld()
		if err := l.advance(ctx, p.state, chain, b); err != nil {
			return err
		}
		p.state.Commit()
		if p.state.Dirty() >= l.Monitor.FlushAt {
			l.flushReplayed(ctx, p, next)
		}
		return nil
	}
	err := l.Log.Read(ctx, schemas.Events.Name, p.number, from, p.pos, func(r *kgo.Record) error {
		n, next = n+1, r.Offset+1
		it := items.get(len(b.items))
		b.bad = append(b.bad, decodeEvent(it, r))
		b.items = append(b.items, it)
		if len(b.items) < l.Monitor.MaxPoll {
			return nil
		}
		return fold()
	})
	if err == nil && len(b.items) > 0 {
		err = fold()
	}
	if errors.Is(err, ErrBehindLog) {
		return halt(p.number, "the window store reflects the log up to offset %d, and the log begins behind that: the windows cannot be rebuilt from here", from)
	}
	if err != nil {
		return fmt.Errorf("partition %d: replay of offsets %d-%d: %w", p.number, from, p.pos-1, err)
	}
	p.dirtied = l.Clock.Now()
	l.Logger.Info("partition rebuilt", "partition", p.number, "from_offset", from, "to_offset", p.pos, "records", n, "seconds", l.Clock.Now().Sub(started).Seconds())
	return nil
}

// flushReplayed writes what a long replay has changed so far: every place in it is a valid prefix, and one flush of a whole partition
// would hold it in memory twice.
func (l *Lane) flushReplayed(ctx context.Context, p *partition, next int64) {
	f := l.newFlush(p, next)
	f.now, f.err = l.Store.Flush(ctx, p.number, f.base, f.next, f.entries())
	if f.err != nil || f.now != f.next {
		p.state.Redo(f.saved) // the next load finds what the store holds
		return
	}
	p.base = f.next
	p.state.Acked(f.saved)
}

// skipHeld takes out what the customers' stored form holds already. It happens after a flush that failed half-way; those customers
// count as changed, so that the next flush puts marker and customers together again.
func (b *batch) skipHeld() {
	items, bad := b.items[:0], b.bad[:0]
	for i, it := range b.items {
		if b.bad[i] == nil && b.part.state.Holds(it.Key, it.Offset) {
			continue
		}
		items, bad = append(items, it), append(bad, b.bad[i])
	}
	b.items, b.bad = items, bad
}

// load brings the batch's customers into memory. The marker that comes with them must be one that this lane could have written: behind
// its base the store lost something (errRegressed), beyond its position another owner is ahead of us (errPoisoned).
func (l *Lane) load(ctx context.Context, b *batch) error {
	p := b.part
	var missing [][]byte
	asked := map[string]bool{}
	for i, it := range b.items {
		if b.bad[i] == nil && it.Event.Kind != schemas.KindControl && !p.state.Has(it.Key) && !asked[string(it.Key)] {
			asked[string(it.Key)] = true
			missing = append(missing, it.Key)
		}
	}
	if len(missing) == 0 || p.base.IsZero() && !p.flushing {
		return nil // a store that was never flushed holds no customer
	}
	marker, values, err := l.loadRetrying(ctx, p.number, missing)
	if err != nil {
		return err
	}
	switch {
	case p.replaying && marker != p.base:
		return fmt.Errorf("%w: partition %d: the store moved from %v to %v during the replay", errRegressed, p.number, p.base, marker)
	case marker.Offset < p.base.Offset || marker.TopicID != p.base.TopicID && !p.base.IsZero():
		return fmt.Errorf("%w: partition %d: from offset %d to %d", errRegressed, p.number, p.base.Offset, marker.Offset)
	case marker.Offset > p.pos:
		return fmt.Errorf("%w: partition %d: the store reflects offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, marker.Offset, p.pos)
	}
	for i, key := range missing {
		if values[i] == nil {
			continue
		}
		c, err := window.Decode(values[i], p.state.Shape)
		if err != nil {
			return halt(p.number, "window store: %v", err)
		}
		if got := schemas.CustomerKey(nil, c.Team(), c.ID()); !bytes.Equal(got, key) {
			return halt(p.number, "window store: a key holds another customer than its name says")
		}
		if c.LSN() > max(p.pos, marker.Offset) {
			return fmt.Errorf("%w: partition %d: a customer is held at offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, c.LSN(), p.pos)
		}
		p.state.Put(key, c)
	}
	return nil
}

// loadRetrying asks the store until it answers: no verdict is given on state that is not there.
func (l *Lane) loadRetrying(ctx context.Context, partition int32, keys [][]byte) (store.Marker, [][]byte, error) {
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		m, values, err := l.Store.Load(ctx, partition, keys)
		if err == nil || ctx.Err() != nil {
			return m, values, errors.Join(err, ctx.Err())
		}
		l.Logger.Warn("window store does not answer, trying on", "partition", partition, "retry_seconds", pause.Seconds(), "error", err)
		l.Clock.Sleep(ctx, pause)
	}
}
