package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// grace is how long a block in flight may still finish when its partition is given up in peace. What does not is left to the next owner,
// who finds its intent.
const grace = 2 * time.Second

// assignment is one partition of topic facts while this member owns it. It runs in its own goroutine; the poll loop fills its queue.
type assignment struct {
	archive   *archive
	client    *kgo.Client
	partition int32
	next      int64 // first offset that is in no stored block; -1 until the first record says where the log begins
	epoch     int32 // leader epoch below next, for the commit; -1 unknown
	pending   int64 // end of the block that an earlier owner announced from next on; 0 none
	settled   bool  // next is committed, without an intent
	fresh     bool  // the group has no offset for the partition
	queue     *queue
	cancel    context.CancelCauseFunc
	done      chan struct{} // closed when run has returned
}

// block is the records with offsets in [from, end), in order.
type block struct {
	from, end int64
	records   []*kgo.Record
	doubtful  bool // an insert of it may have happened already
}

// run stores block after block until ctx ends; then it finishes what grace allows. It returns an error only where the stage must stop.
func (p *assignment) run(ctx context.Context) error {
	work, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), errFenced) {
			abandon()
			return
		}
		time.AfterFunc(grace, abandon)
	})()
	err := p.storeAll(ctx, work)
	switch {
	case errors.Is(err, errFenced):
		p.archive.log.Info("facts partition taken by another member", "partition", p.partition, "offset", p.next)
		return p.awaitRelease(ctx)
	case errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

// storeAll stores blocks until ctx ends, and settles then.
func (p *assignment) storeAll(ctx, work context.Context) error {
	for {
		b, err := p.collect(ctx)
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errFenced) { // whose partition it is now is none of our business
				return ctx.Err()
			}
			return p.settle(work)
		}
		if err != nil {
			return err
		}
		if err := p.store(work, b); err != nil {
			return err
		}
		p.next, p.epoch, p.pending, p.settled, p.fresh = b.end, b.records[len(b.records)-1].LeaderEpoch, 0, false, false
	}
}

// releasedWithin is how long the group may take to tell a member what the refusal of its commit has told already: twice the brokers'
// default session timeout.
const releasedWithin = 90 * time.Second

// awaitRelease waits for the group to take the partition away. It fails when that does not come: then nobody would store it.
func (p *assignment) awaitRelease(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(releasedWithin):
		return fmt.Errorf("partition %d: commits are refused but the partition is not taken away for %v", p.partition, releasedWithin)
	}
}

// collect returns the next block: exactly the announced one if there is one, else what comes until one of the limits closes it. While
// nothing comes, it settles. It fails with errFenced, or with ctx's error: what was collected then is not announced and nobody's duty.
func (p *assignment) collect(ctx context.Context) (block, error) {
	cfg := &p.archive.cfg
	b := block{from: p.next, doubtful: p.pending > 0}
	count, bytes := 0, 0
	tick := time.NewTimer(cfg.FlushInterval)
	defer tick.Stop()
	for {
		b.records = p.queue.pop(b.records, func(r *kgo.Record) bool {
			if p.pending > 0 {
				return r.Offset < p.pending
			}
			if count >= cfg.MaxRows || bytes >= cfg.MaxBytes {
				return false
			}
			count, bytes = count+1, bytes+size(r)
			return true
		})
		if p.complete(&b, bytes) {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return block{}, ctx.Err()
		case <-p.queue.filled:
			if len(b.records) == 0 {
				tick.Reset(cfg.FlushInterval)
			}
		case <-tick.C:
			switch {
			case len(b.records) > 0 && p.pending == 0:
				p.seal(&b)
				return b, nil
			case p.pending == 0:
				if err := p.settle(ctx); err != nil {
					return block{}, err
				}
			}
			tick.Reset(cfg.FlushInterval)
		}
	}
}

// complete reports whether b has reached a limit or its announced end, and closes it then.
func (p *assignment) complete(b *block, bytes int) bool {
	if len(b.records) == 0 {
		return false
	}
	if p.pending > 0 {
		if b.records[len(b.records)-1].Offset < p.pending-1 {
			return false
		}
	} else if len(b.records) < p.archive.cfg.MaxRows && bytes < p.archive.cfg.MaxBytes {
		return false
	}
	p.seal(b)
	return true
}

func (p *assignment) seal(b *block) {
	if b.from < 0 {
		b.from = b.records[0].Offset
	}
	b.end = b.records[len(b.records)-1].Offset + 1
}

// settle commits next without an intent, so that progress shows when nothing more comes. It does nothing where that is so already, and
// fails with errFenced only: any other failure is repaired by the next commit.
func (p *assignment) settle(ctx context.Context) error {
	if p.settled {
		return nil
	}
	err := p.commit(ctx, p.next, nil)
	if errors.Is(err, errFenced) {
		return err
	}
	p.settled = err == nil
	return nil
}

// store brings b into the table, whole and once, however long that takes. It fails with errFenced when the partition is lost, with
// ctx's error when that ends, and with errEncode.
func (p *assignment) store(ctx context.Context, b block) error {
	a := p.archive
	var rows []row
	select {
	case rows = <-a.writers:
	case <-ctx.Done():
		return ctx.Err()
	}
	rows, bad := decodeAll(rows, b.records)
	defer func() { a.writers <- rows }()
	if err := p.reject(ctx, bad); err != nil {
		return err
	}
	if p.fresh {
		if err := p.refuseForeign(ctx, b, rows); err != nil {
			return err
		}
	}
	missing := rows
	for round := 1; len(missing) > 0; round++ {
		failed, err := p.insert(ctx, b, missing, round)
		if err != nil {
			return fmt.Errorf("partition %d offsets %d-%d: %w", p.partition, b.from, b.end, err)
		}
		if !b.doubtful && !failed {
			break
		}
		b.doubtful = true
		if missing, err = p.readBack(ctx, rows); err != nil {
			return err
		}
		if len(missing) > 0 {
			a.cfg.Counters.Repaired.Add(int64(len(missing)))
			a.log.Warn("clickhouse knows the token of a block but not all of its rows: inserting them under a new one", "partition", p.partition,
				"from", b.from, "end", b.end, "rows", len(missing), "round", round+1)
			if err := sleep(ctx, min(time.Duration(round-1)*firstBackoff, lastBackoff)); err != nil {
				return err
			}
		}
	}
	a.cfg.Counters.Rows.Add(int64(len(rows)))
	a.cfg.Counters.Blocks.Add(1)
	return nil
}

// insert repeats one INSERT until it is answered with OK, each time behind a commit that says what is about to happen and proves that
// the partition is still ours: an owner that slept for hours must not wake and insert what another has long finished. Failed reports
// that at least one attempt went wrong, so that the rows may have been there before.
func (p *assignment) insert(ctx context.Context, b block, rows []row, round int) (failed bool, err error) {
	a := p.archive
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		sent, err := p.attempt(ctx, b, rows, round)
		if err == nil {
			a.health.up()
			return failed, nil
		}
		if errors.Is(err, errFenced) || errors.Is(err, errEncode) {
			return failed, err
		}
		if sent {
			failed = true
			a.trouble(ctx, err)
		}
		if err := sleep(ctx, wait); err != nil {
			return failed, err
		}
	}
}

// attempt is one commit and one INSERT. Sent reports that the INSERT may have reached the server.
func (p *assignment) attempt(ctx context.Context, b block, rows []row, round int) (sent bool, err error) {
	a := p.archive
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p.settled = false
	if err := p.commit(ctx, b.from, &intent{End: b.end, Topic: a.topic}); err != nil {
		return false, err
	}
	return true, a.warehouse.insert(ctx, token(a.topic, p.partition, b.from, b.end, round), rows)
}

// refuseForeign looks, before the first block of a partition for which the group has no offset, whether its facts are in the table
// already. Then either the offsets are lost, and storing would double facts, or the log is another one, and its facts claim the places
// of others: both need somebody who knows.
func (p *assignment) refuseForeign(ctx context.Context, b block, rows []row) error {
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		n, err := p.archive.warehouse.present(ctx, rows)
		switch {
		case err == nil && n == 0:
			return nil
		case err == nil:
			return fmt.Errorf("partition %d offsets %d-%d: the group has no offset, but the table holds %d of these %d facts: if the group's offsets"+
				" were lost, commit 1 + max(fact_offset) of the partition; if the log is a new one, give it a new generation or database",
				p.partition, b.from, b.end, n, len(rows))
		}
		p.archive.trouble(ctx, err)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// readBack returns those of rows that the table does not hold; it asks until it has an answer.
func (p *assignment) readBack(ctx context.Context, rows []row) ([]row, error) {
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		gone, err := p.archive.warehouse.missing(ctx, rows)
		if err == nil {
			return gone, nil
		}
		p.archive.trouble(ctx, err)
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// trouble notes a failed attempt on ClickHouse, unless it failed because we are leaving.
func (a *archive) trouble(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	a.cfg.Counters.Failures.Add(1)
	a.health.down(err)
}

// decodeAll reads records into rows, whose memory it reuses, and returns those that cannot be read as rejections.
func decodeAll(rows []row, records []*kgo.Record) ([]row, []schemas.Rejection) {
	var bad []schemas.Rejection
	rows = rows[:0]
	for _, rec := range records {
		if len(rows) == cap(rows) {
			rows = append(rows, row{})
		} else {
			rows = rows[:len(rows)+1]
		}
		if err := rows[len(rows)-1].decode(rec); err != nil {
			rows = rows[:len(rows)-1]
			bad = append(bad, rejection(rec, err))
		}
	}
	return rows, bad
}

// Limits of what goes to topic rejected, so that it passes the brokers' default of 1 MB a record (max.message.bytes) whatever it holds.
const (
	maxRejectedBytes = 512 << 10
	maxDetail        = 1000
)

func rejection(rec *kgo.Record, err error) schemas.Rejection {
	r := schemas.Rejection{Origin: schemas.Origin{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}, Stage: "archive",
		Reason: "invalid_fact", Detail: err.Error(), Key: rec.Key, Value: rec.Value}
	if len(r.Detail) > maxDetail {
		r.Detail = r.Detail[:maxDetail] + "…"
	}
	if n := len(r.Key) + len(r.Value); n > maxRejectedBytes {
		r.Detail += fmt.Sprintf("; %d bytes, cut off here at %d: read the whole at its origin", n, maxRejectedBytes)
		r.Key = r.Key[:min(len(r.Key), maxRejectedBytes/2)]
		r.Value = r.Value[:min(len(r.Value), maxRejectedBytes/2)]
	}
	return r
}

// reject writes facts that cannot be read to topic rejected, before the offset passes them: at least once.
func (p *assignment) reject(ctx context.Context, bad []schemas.Rejection) error {
	if len(bad) == 0 {
		return nil
	}
	a := p.archive
	records := make([]*kgo.Record, len(bad))
	for i := range bad {
		value, err := schemas.RejectedRecords.Codec.Append(nil, &bad[i])
		if err != nil {
			return fmt.Errorf("partition %d offset %d: %w", p.partition, bad[i].Origin.Offset, err)
		}
		records[i] = &kgo.Record{Topic: a.cfg.Rejected, Key: bad[i].Key, Value: value}
	}
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		err := p.client.ProduceSync(ctx, records...).FirstErr()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		a.log.Warn("facts that cannot be read wait for their topic", "topic", a.cfg.Rejected, "partition", p.partition, "records", len(bad), "error", err)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
	a.cfg.Counters.Rejected.Add(int64(len(bad)))
	a.log.Warn("facts cannot be read and went to another topic", "topic", a.cfg.Rejected, "partition", p.partition, "records", len(bad),
		"first_offset", bad[0].Origin.Offset, "reason", bad[0].Detail)
	return nil
}
