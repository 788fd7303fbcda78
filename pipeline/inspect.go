package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// Inspection is one customer as the window store holds it, beside what the log says.
type Inspection struct {
	Partition int32
	Marker    store.Marker
	Stored    int              // bytes of the head value; 0: the store does not hold the customer
	Customer  *window.Customer // nil where the store does not hold it
	Conf      *operators.Configuration
	Chunks    int // bytes of all sealed chunks

	Agrees bool   // the log up to the customer's LSN folds to the very same bytes
	Why    string // where it does not, or where that cannot be said
	Events int    // records of the log that were this customer's
}

// Inspect reads a customer from the window store and folds the log anew up to the customer's LSN. It changes nothing. The window store
// may move on meanwhile; that is no difference, for the customer's own LSN says up to where the log counts.
func Inspect(ctx context.Context, env *Env, team, id string) (*Inspection, error) {
	admin, err := env.connectKafka(ctx)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	windows, closeStore, err := env.connectStore(ctx)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	log := &brokerLog{env: env, admin: admin}
	x := &inspector{env: env, log: log, windows: windows, configs: NewConfigurations(log, wallClock{}, env.Log), key: schemas.CustomerKey(nil, team, id)}
	return x.inspect(ctx, admin)
}

type inspector struct {
	env     *Env
	log     Log
	windows store.Store
	configs *Configurations
	key     []byte
	out     Inspection
}

func (x *inspector) inspect(ctx context.Context, admin *kadm.Client) (*Inspection, error) {
	r := &kgo.Record{Topic: schemas.Events.Name, Key: x.key}
	partitioner := kgo.StickyKeyPartitioner(nil).ForTopic(r.Topic) // intake's
	x.out.Partition = int32(partitioner.Partition(r, int(x.env.Config.Kafka.Partitions)))
	topic, err := topicID(ctx, admin, schemas.Events.Name)
	if err != nil {
		return nil, err
	}
	marker, values, err := x.windows.Load(ctx, x.out.Partition, [][]byte{x.key})
	if err != nil {
		return nil, err
	}
	x.out.Marker = marker
	switch {
	case marker.IsZero():
		x.out.Why = "the window store holds nothing of this partition"
		return &x.out, nil
	case marker.TopicID != topic:
		x.out.Why = fmt.Sprintf("the window store reflects topic id %s, the broker's topic has id %s", marker.TopicID, topic)
		return &x.out, nil
	case values[0] == nil:
		x.out.Why = "the window store does not hold this customer"
		return &x.out, x.fromLog(ctx, marker.Offset, nil)
	}
	if err := x.decode(ctx, values[0]); err != nil {
		return nil, err
	}
	return &x.out, x.fromLog(ctx, x.out.Customer.LSN(), x.out.Customer.Whole(nil))
}

// decode reads the stored customer, with its chunks.
func (x *inspector) decode(ctx context.Context, value []byte) (err error) {
	x.out.Stored = len(value)
	var failed error
	x.out.Customer, err = window.Decode(value, func(version int32) *window.Shape {
		if x.out.Conf, failed = x.configs.get(ctx, version, ""); failed != nil {
			return nil
		}
		return x.out.Conf.Shape
	})
	if err != nil {
		return errors.Join(err, failed)
	}
	names := x.out.Customer.ChunkNames()
	refs := make([]store.ChunkRef, len(names))
	for i, name := range names {
		refs[i] = store.ChunkRef{Key: x.key, Name: store.ChunkName(name)}
	}
	if len(refs) == 0 {
		return nil
	}
	_, chunks, err := x.windows.LoadChunks(ctx, x.out.Partition, refs)
	if err != nil {
		return err
	}
	for i, name := range names {
		if chunks[i] == nil {
			return fmt.Errorf("sealed chunk %d.%d is not in the window store: it moved on meanwhile (try again), or lost it", name.Seq, name.Version)
		}
		x.out.Chunks += len(chunks[i])
		if err := x.out.Customer.Supply(name, chunks[i]); err != nil {
			return err
		}
	}
	return nil
}

// fromLog folds the log below offset to for this customer alone, and holds it against the stored form.
func (x *inspector) fromLog(ctx context.Context, to int64, stored []byte) error {
	bounds, err := x.log.Bounds(ctx, schemas.Events.Name)
	if err != nil {
		return err
	}
	from := int64(0)
	for _, b := range bounds {
		if b.Partition == x.out.Partition {
			from = b.Start
		}
	}
	state := operators.NewState(x.env.Config.Generation, x.out.Partition, nil)
	var it operators.Item
	err = x.log.Read(ctx, schemas.Events.Name, x.out.Partition, from, to, func(r *kgo.Record) error {
		it.Reset()
		if bad := decodeEvent(&it, r); bad == nil { // else it changed nobody
			return x.fold(ctx, state, &it)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c := state.Customer(x.key)
	switch {
	case from > 0:
		x.out.Why = fmt.Sprintf("the log begins at offset %d: what was before cannot be folded anew", from)
	case c == nil && stored == nil:
		x.out.Agrees, x.out.Why = true, "neither the window store nor the log knows this customer"
	case c == nil:
		x.out.Why = "the log knows no accepted event of this customer"
	case stored == nil:
		x.out.Why = fmt.Sprintf("the window store does not hold this customer, and the log has it up to offset %d, below its marker", c.LSN()-1)
	case !bytes.Equal(stored, c.Whole(nil)):
		x.out.Why = "the log folds to another state"
	default:
		x.out.Agrees = true
	}
	return nil
}

// fold takes one record of the log: this customer's, or a control record.
func (x *inspector) fold(ctx context.Context, state *operators.State, it *operators.Item) error {
	if it.Event.Kind == schemas.KindControl {
		conf, err := x.configs.get(ctx, it.Event.Control.Version, it.Event.Control.Digest)
		if err == nil {
			state.Switch(conf)
		}
		return err
	}
	if state.Current() == nil || !bytes.Equal(it.Key, x.key) {
		return nil
	}
	x.out.Events++
	state.Begin()
	defer state.Commit()
	return operators.Run(ctx, topology.Rebuild(), &operators.Batch{Topic: schemas.Events.Name, Partition: x.out.Partition, Items: []*operators.Item{it}, State: state})
}
