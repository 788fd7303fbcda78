package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// transact judges the polled records in one transaction.
func (l *Lane) transact(ctx context.Context, polled []Records) error {
	batches, err := l.decode(ctx, polled)
	if err != nil || len(batches) == 0 {
		return err
	}
	began, records := l.Clock.Now(), 0
	if err := l.session.Begin(); err != nil {
		return fmt.Errorf("%w: begin: %w", errPoisoned, err)
	}
	for _, b := range batches {
		b.part.state.Begin()
		records += len(b.items)
	}
	batches, judged := l.judge(ctx, batches)
	ending := l.Clock.Now()
	committed, err := l.end(ctx, batches, judged == nil && len(batches) > 0)
	l.arena = l.arena[:0]
	switch {
	case err != nil && !errors.Is(err, ErrUnwritten) && !errors.Is(err, ErrRefused):
		return fmt.Errorf("%w: end: %w", errPoisoned, err)
	case len(batches) == 0: // all of them halted
		return nil
	case !committed:
		for _, b := range batches {
			b.part.state.Rollback()
		}
		return l.aborted(ctx, batches, errors.Join(judged, err))
	}
	for _, b := range batches {
		p := b.part
		if p.level() {
			p.dirtied = l.Clock.Now()
		}
		p.state.Commit()
		p.pos, p.chain = b.next, b.chain
	}
	now := l.Clock.Now()
	l.pace.committed(began, now, records, ending.Sub(began), now.Sub(ending), l.Monitor.MaxPoll)
	return nil
}

// end ends the open transaction with what the batches have come to, or with nothing.
func (l *Lane) end(ctx context.Context, batches []*batch, commit bool) (committed bool, err error) {
	if !commit {
		return false, l.session.Abort(ctx)
	}
	places := make([]Place, len(batches))
	for i, b := range batches {
		places[i] = Place{Partition: b.part.number, Offset: b.next, Metadata: l.note(b)}
	}
	return l.session.Commit(ctx, places)
}

// note is what the commit of a batch says of itself.
func (l *Lane) note(b *batch) string {
	n := note{Generation: l.Generation, Partitions: l.Partitions, TopicID: l.TopicID, From: b.part.from, Chain: b.chain, Committer: l.Committer}
	return n.String()
}

// aborted decides how it goes on after an abort for a reason, or for none that the lane knows of.
func (l *Lane) aborted(ctx context.Context, batches []*batch, reason error) error {
	switch {
	case reason == nil:
		return l.confirmAborted(ctx, batches)
	case !retriable(reason):
		return reason
	}
	l.Logger.Warn("transaction aborted, its records come again", "reason", reason)
	l.Clock.Sleep(ctx, firstPause)
	return nil
}

// confirmAborted asks the group whether a commit that came to nothing really did. Mostly a rebalance made an abort of it; but a broker
// may answer EndTxn with UNKNOWN_SERVER_ERROR and have applied it, and the client calls that an abort too.
func (l *Lane) confirmAborted(ctx context.Context, batches []*batch) error {
	places, err := l.session.Committed(ctx)
	if err != nil {
		return fmt.Errorf("%w: commit not confirmed, and neither its abort: %w", errPoisoned, err)
	}
	for _, b := range batches {
		at := b.part.start
		if place, ok := places[b.part.number]; ok && place.Offset >= 0 {
			at = place.Offset
		}
		if at != b.part.pos {
			return fmt.Errorf("%w: partition %d stands at offset %d, this lane was told that it stayed at %d", errPoisoned, b.part.number, at, b.part.pos)
		}
	}
	l.Logger.Info("transaction aborted by a rebalance, its records come again")
	return nil
}

// retriable is an error after which the records come again. A halt, a mistake of ours and a record that no broker will ever take are
// not: the same would happen for ever.
func retriable(err error) bool {
	var halt *HaltError
	return !errors.As(err, &halt) && !errors.Is(err, errBug) && !errors.Is(err, ErrRefused)
}
