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

// open rebuilds a partition. One that cannot be is held back or halted, and the lane goes on with its others.
func (l *Lane) open(ctx context.Context, p *partition) error {
	err := l.recover(ctx, p)
	var stop *HaltError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, errBug), errors.Is(err, errPoisoned):
		return err
	case errors.As(err, &stop):
		p.state = nil
		l.halt(p, stop)
		return nil
	case errors.Is(err, errStoreAway):
		p.state = nil
		l.hold(p, err)
		return nil
	}
	return fmt.Errorf("%w: %w", errPoisoned, err) // reading the log was disturbed
}

// recover rebuilds the windows: from the store's marker, and from the log between the marker and the committed offset. Customers are
// loaded when their next event comes. Without a marker the whole log is read.
func (l *Lane) recover(ctx context.Context, p *partition) error {
	committed, err := l.committedNote(p)
	if err != nil {
		return err
	}
	p.pos = p.place.Offset
	if p.pos < 0 {
		p.pos = p.start
	}
	for {
		marker, _, err := l.askStore(ctx, p.number, nil)
		p.replace = errors.Is(err, store.ErrLost)
		switch {
		case p.replace:
			l.Logger.Warn("partition is read from the beginning of the log", "partition", p.number, "reason", err)
			marker = store.Marker{}
		case errors.Is(err, store.ErrForeign):
			return halt(p.number, "%v", err)
		case err != nil:
			return err
		case !marker.IsZero() && marker.TopicID != l.TopicID:
			return halt(p.number, "the window store reflects topic %s with id %s, the broker's has id %s: the topic was recreated. Give the new log another generation, or empty the store", schemas.Events.Name, marker.TopicID, l.TopicID)
		case marker.Offset > p.pos:
			return halt(p.number, "the window store reflects the log up to offset %d, the group committed %d: the log or the group's offsets were truncated. If the offsets were set back by hand, set partition %d of the group to %d again; if the log was, give it another generation, or empty the store and judge the log anew", marker.Offset, p.pos, p.number, marker.Offset)
		}
		history, err := l.Configs.upTo(ctx, marker.Config)
		if err != nil {
			return halt(p.number, "%v", err)
		}
		p.state, p.base = operators.NewState(l.Generation, p.number, history), marker
		p.replaying = true
		err = l.replay(ctx, p, committed)
		p.replaying = false
		if !errors.Is(err, errRegressed) { // the store changed under the replay: begin again from what it holds now
			return err
		}
	}
}

// committedNote reads what the last committer said of the partition and holds it against what this lane is. It is nil where there is no
// note; the chain begins at the committed offset then.
func (l *Lane) committedNote(p *partition) (*note, error) {
	n, err := parseNote(p.place.Metadata)
	switch {
	case err != nil:
		return nil, halt(p.number, "%v", err)
	case n == nil:
		return nil, nil //nolint:nilnil // as the comment says
	case n.TopicID != l.TopicID:
		return nil, halt(p.number, "the group committed offset %d of topic %s with id %s, the broker's has id %s: the topic was recreated, and that offset means another record. Delete group offsets and window store to judge the new log from its start, or give it another generation", p.place.Offset, schemas.Events.Name, n.TopicID, l.TopicID)
	case n.Generation != l.Generation, n.Partitions != l.Partitions:
		return nil, halt(p.number, "the group committed under generation %d of %d partitions, this process runs generation %d of %d: customers live in other partitions there. Set generation and kafka.partitions back, or migrate to topics and a group of the new generation", n.Generation, n.Partitions, l.Generation, l.Partitions)
	}
	return n, nil
}

// checkChain holds what a replay has read against what the committer had judged.
func (l *Lane) checkChain(p *partition, committed *note, verifiable bool) error {
	switch {
	case committed == nil:
		p.from = p.pos
		p.chain = Chain{}
	case !verifiable:
		p.from, p.chain = committed.From, committed.Chain
		l.Logger.Warn("the log no longer holds what the chain began with; the input of this rebuild is not proven", "partition", p.number, "chain_from_offset", committed.From)
	case p.chain != committed.Chain:
		return halt(p.number, "NONDETERMINISM: the records below offset %d hash to %x, those that were judged to %x: the log is not what it was (a restored or edited topic), or it was read wrongly. Keep this log and the facts; compare them with `streamgauge audit`; then restore the log, or empty the window store and the group's offsets to judge what is there anew", p.pos, p.chain, committed.Chain)
	default:
		p.from = committed.From
	}
	return nil
}

// replay folds the committed records [marker, p.pos) into the windows: no verdicts, they are out already.
func (l *Lane) replay(ctx context.Context, p *partition, committed *note) error {
	r := &replay{lane: l, part: p, batch: &batch{part: p}, next: p.base.Offset, chained: p.pos}
	if p.base.IsZero() {
		start, err := l.logStart(ctx, p.number)
		if err != nil {
			return err
		}
		r.next = start
	}
	p.chain = p.base.Chain
	// A marker behind the chain's beginning that has no chain was written by a replay that could not know it.
	verifiable := committed != nil && (r.next <= committed.From || p.chain != Chain{})
	if verifiable {
		r.chained = committed.From
	}
	started := l.Clock.Now()
	if err := r.run(ctx); err != nil {
		return err
	}
	if err := l.checkChain(p, committed, verifiable); err != nil {
		return err
	}
	p.dirtied = l.Clock.Now()
	if r.n > 0 {
		l.Logger.Info("partition rebuilt", "partition", p.number, "from_offset", p.base.Offset, "to_offset", p.pos, "records", r.n, "seconds", l.Clock.Now().Sub(started).Seconds())
	}
	return nil
}

// logStart is the first offset of a partition of events.
func (l *Lane) logStart(ctx context.Context, number int32) (int64, error) {
	bounds, err := l.Log.Bounds(ctx, schemas.Events.Name)
	if err != nil {
		return 0, err
	}
	for _, b := range bounds {
		if b.Partition == number {
			return b.Start, nil
		}
	}
	return 0, fmt.Errorf("topic %s has no partition %d", schemas.Events.Name, number)
}

// replay is one rebuild from the log under way.
type replay struct {
	lane    *Lane
	part    *partition
	batch   *batch
	items   itemPool // not the lane's: a replay may come while a polled batch waits
	next    int64    // offset behind the last record read
	chained int64    // the chain is over the records from here on
	n       int
}

func (r *replay) run(ctx context.Context) error {
	p, from := r.part, r.next
	if from >= p.pos {
		return nil
	}
	err := r.lane.Log.Read(ctx, schemas.Events.Name, p.number, from, p.pos, func(rec *kgo.Record) error {
		r.n, r.next = r.n+1, rec.Offset+1
		r.batch.add(r.items.get(len(r.batch.items)), rec)
		if rec.Offset >= r.chained {
			p.chain = r.lane.chains.next(p.chain, rec)
		}
		if len(r.batch.items) < r.lane.Monitor.MaxPoll {
			return nil
		}
		return r.fold(ctx)
	})
	if err == nil && len(r.batch.items) > 0 {
		err = r.fold(ctx)
	}
	if errors.Is(err, ErrBehindLog) {
		return halt(p.number, "the window store reflects the log up to offset %d, and the log begins behind that: the windows cannot be rebuilt from here", from)
	}
	if err != nil {
		return fmt.Errorf("partition %d: replay of offsets %d-%d: %w", p.number, from, p.pos-1, err)
	}
	return nil
}

// fold takes the records read so far into the windows.
func (r *replay) fold(ctx context.Context) error {
	l, p, b := r.lane, r.part, r.batch
	defer func() { b.items, b.records, b.bad = b.items[:0], b.records[:0], b.bad[:0] }()
	if err := l.load(ctx, b); err != nil {
		return err
	}
	p.state.Begin()
	b.skipHeld()
	if err := l.advance(ctx, p, topology.Rebuild(), b); err != nil {
		p.state.Rollback()
		return err
	}
	p.state.Commit()
	if p.state.Dirty() >= l.Monitor.FlushAt {
		l.flushReplayed(ctx, p, r.next)
	}
	return nil
}

// flushReplayed writes what a long replay has changed so far: every place in it is a valid prefix, and one flush of a whole partition
// would hold it in memory twice.
func (l *Lane) flushReplayed(ctx context.Context, p *partition, next int64) {
	f := l.newFlush(p, next)
	f.write(ctx, l.Store, f.entries())
	if f.err != nil || f.now != f.next {
		p.state.Redo(f.saved) // the next load finds what the store holds
		return
	}
	p.base, p.replace = f.next, false
	p.state.Acked(f.saved)
}

// skipHeld takes out what the customers' stored form holds already. It happens after a flush that failed half-way; those customers
// count as changed, so that the next flush puts marker and customers together again.
func (b *batch) skipHeld() {
	version := int32(0) // in force at the item
	if conf := b.part.state.Current(); conf != nil {
		version = conf.Version
	}
	items, records, bad := b.items[:0], b.records[:0], b.bad[:0]
	for i, it := range b.items {
		switch {
		case b.bad[i] != nil:
		case it.Event.Kind == schemas.KindControl:
			version = max(version, it.Event.Control.Version)
		case b.part.state.Holds(it.Key, it.Offset, version):
			continue
		}
		items, records, bad = append(items, it), append(records, b.records[i]), append(bad, b.bad[i])
	}
	b.items, b.records, b.bad = items, records, bad
}

// load brings the batch's customers into memory. The marker that comes with them must be one that this lane could have written (believe).
func (l *Lane) load(ctx context.Context, b *batch) error {
	p := b.part
	var missing [][]byte
	asked := map[string]bool{}
	for i, it := range b.items {
		if b.missing(i) && !asked[string(it.Key)] {
			asked[string(it.Key)] = true
			missing = append(missing, it.Key)
		}
	}
	if len(missing) == 0 || p.base.IsZero() && (!p.flushing || p.replace) {
		return nil // a store that was never flushed holds no customer; one that is replaced holds none that counts
	}
	marker, values, err := l.askStore(ctx, p.number, missing)
	if errors.Is(err, store.ErrLost) {
		return fmt.Errorf("%w: %w", errRegressed, err)
	}
	if err != nil {
		return err
	}
	if err := l.believe(p, marker); err != nil {
		return err
	}
	known := int32(0)
	if conf := p.state.Current(); conf != nil {
		known = conf.Version
	}
	// A flush that was broken off leaves customers ahead of the marker, and perhaps of the place where the replay meets their configuration.
	shapes := func(version int32) *window.Shape {
		if s := p.state.Shape(version); s != nil || version <= known {
			return s
		}
		conf, err := l.Configs.get(ctx, version, "")
		if err != nil {
			return nil
		}
		return conf.Shape
	}
	for i, key := range missing {
		if values[i] == nil {
			continue
		}
		c, err := window.Decode(values[i], shapes)
		if err != nil {
			return halt(p.number, "window store: %v", err)
		}
		if got := schemas.CustomerKey(nil, c.Team(), c.ID()); !bytes.Equal(got, key) {
			return halt(p.number, "window store: a key holds another customer than its name says")
		}
		if !p.replaying && c.Version() > known {
			return fmt.Errorf("%w: partition %d: a customer is held under configuration %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, c.Version(), known)
		}
		if c.LSN() > max(p.pos, marker.Offset) {
			return fmt.Errorf("%w: partition %d: a customer is held at offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, c.LSN(), p.pos)
		}
		p.state.Put(key, c)
	}
	return nil
}

// missing reports whether item i is of a customer that is not in memory.
func (b *batch) missing(i int) bool {
	return b.bad[i] == nil && b.items[i].Event.Kind != schemas.KindControl && !b.part.state.Has(b.items[i].Key)
}

// firstMissing is the first item of a customer that is not in memory.
func (b *batch) firstMissing() int {
	for i := range b.items {
		if b.missing(i) {
			return i
		}
	}
	panic("BUG: a load failed that had nothing to load")
}

// askStore loads with a bound: a partition rather waits than its lane. Everything but an answer, or one that more of them will not
// change, is errStoreAway.
func (l *Lane) askStore(ctx context.Context, partition int32, keys [][]byte) (store.Marker, [][]byte, error) {
	bounded, cancel := l.Clock.Timeout(ctx, loadTimeout)
	defer cancel()
	m, values, err := l.Store.Load(bounded, partition, keys)
	switch {
	case errors.Is(err, store.ErrLost), errors.Is(err, store.ErrForeign):
		return m, nil, err
	case err != nil:
		return m, nil, fmt.Errorf("%w: %w", errStoreAway, err)
	}
	return m, values, nil
}

// loadTimeout bounds a load on the lane's path: three orders above what one takes. What is slower makes its partition wait.
const loadTimeout = 500 * time.Millisecond
