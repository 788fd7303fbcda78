package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline/store"
)

// supply brings the sealed chunks into memory that the items, each of another customer, need: the ends of their customers' windows. Which
// ones follows from what went before, so it is asked in the middle of a transaction. errStoreAway and errRegressed leave it to be undone.
func (l *Lane) supply(ctx context.Context, p *partition, items []*operators.Item) error {
	for {
		l.chunks = p.state.Missing(l.chunks[:0], items)
		if len(l.chunks) == 0 {
			return nil
		}
		refs := make([]store.ChunkRef, len(l.chunks))
		for i, c := range l.chunks {
			refs[i] = store.ChunkRef{Key: c.Key, Name: store.ChunkName(c.Name)}
		}
		marker, values, err := l.askChunks(ctx, p.number, refs)
		if err != nil {
			return err
		}
		if err := l.believe(p, marker); err != nil {
			return err
		}
		for i, c := range l.chunks {
			if values[i] == nil {
				return fmt.Errorf("%w: partition %d: chunk %d.%d of a customer is not there", errRegressed, p.number, c.Name.Seq, c.Name.Version)
			}
			if err := p.state.Supply(c, values[i]); err != nil {
				return halt(p.number, "window store: %v", err)
			}
		}
	}
}

// askChunks is askStore for chunks.
func (l *Lane) askChunks(ctx context.Context, partition int32, refs []store.ChunkRef) (store.Marker, [][]byte, error) {
	bounded, cancel := l.Clock.Timeout(ctx, loadTimeout)
	defer cancel()
	m, values, err := l.Store.LoadChunks(bounded, partition, refs)
	switch {
	case errors.Is(err, store.ErrLost):
		return m, nil, fmt.Errorf("%w: %w", errRegressed, err)
	case err != nil:
		return m, nil, fmt.Errorf("%w: %w", errStoreAway, err)
	}
	return m, values, nil
}

// believe holds the marker that came with a load against what this lane knows: behind its base the store lost something
// (errRegressed), beyond its position another owner is ahead of us (errPoisoned).
func (l *Lane) believe(p *partition, marker store.Marker) error {
	switch {
	case p.replaying && marker != p.base:
		return fmt.Errorf("%w: partition %d: the store moved from %v to %v during the replay", errRegressed, p.number, p.base, marker)
	case marker.Offset < p.base.Offset || marker.TopicID != p.base.TopicID && !p.base.IsZero():
		return fmt.Errorf("%w: partition %d: from offset %d to %d", errRegressed, p.number, p.base.Offset, marker.Offset)
	case marker.Offset > p.pos:
		return fmt.Errorf("%w: partition %d: the store reflects offset %d, this lane is at %d: it is no longer the owner", errPoisoned, p.number, marker.Offset, p.pos)
	}
	return nil
}
