package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// configurations are the compiled snapshots of topic config, shared by the lanes of a process and read again when a control record
// names one that is not here yet: apply writes the snapshot and the control records in one transaction, so it must be there then.
type configurations struct {
	env   *Env
	admin *kadm.Client

	turn    chan struct{} // holds one token: who has it may read the topic and held; waiting for it can be given up
	held    map[int32]*operators.Configuration
	digests map[int32]string
}

func newConfigurations(env *Env, admin *kadm.Client) *configurations {
	c := &configurations{env: env, admin: admin, turn: make(chan struct{}, 1), held: map[int32]*operators.Configuration{}, digests: map[int32]string{}}
	c.turn <- struct{}{}
	return c
}

// locked calls fn with the token.
func (c *configurations) locked(ctx context.Context, fn func() error) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()
	return fn()
}

// configWait is how long a version that the log names may be missing from topic config: apply writes both in one transaction, but its
// markers reach the two topics one after the other.
const configWait = 10 * time.Second

// get returns version, which a control record or a marker named; digest, unless empty, must be its snapshot's. It waits out what is
// passing: brokers that do not answer, and a snapshot whose transaction marker is on its way.
func (c *configurations) get(ctx context.Context, version int32, digest string) (conf *operators.Configuration, err error) {
	err = c.locked(ctx, func() error {
		began := time.Now()
		for pause := firstPause; c.held[version] == nil; pause = min(2*pause, lastPause) {
			passing, err := c.load(ctx)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && !passing:
				return err
			case err != nil:
				c.env.Log.Warn("topic of configurations cannot be read, trying on", "topic", schemas.Configurations.Name, "error", err)
			case c.held[version] == nil && time.Since(began) > configWait:
				return fmt.Errorf("configuration %d is named in the log but not in topic %s; was the topic recreated?", version, schemas.Configurations.Name)
			}
			if c.held[version] == nil {
				wait(ctx, pause)
			}
		}
		if conf = c.held[version]; digest != "" && digest != c.digests[version] {
			return fmt.Errorf("configuration %d in topic %s is another text than the one that the log names (%.12s, not %.12s); was the topic recreated?", version, schemas.Configurations.Name, c.digests[version], digest)
		}
		return nil
	})
	return conf, err
}

// upTo returns all versions up to one, ascending: what a partition whose log stands there went through.
func (c *configurations) upTo(ctx context.Context, version int32) (out []*operators.Configuration, err error) {
	if version == 0 {
		return nil, nil
	}
	if _, err := c.get(ctx, version, ""); err != nil {
		return nil, err
	}
	err = c.locked(ctx, func() error {
		for v, conf := range c.held {
			if v <= version {
				out = append(out, conf)
			}
		}
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Version < out[j].Version })
	return out, err
}

// load reads the topic and compiles what is new. passing says whether a later try may succeed.
func (c *configurations) load(ctx context.Context) (passing bool, err error) {
	snapshots, err := readSnapshots(ctx, c.env, c.admin)
	if err != nil {
		return true, err
	}
	for i := range snapshots {
		s := &snapshots[i]
		if c.held[s.Version] != nil {
			continue
		}
		set, err := rule.Compile(s)
		if err != nil {
			return false, fmt.Errorf("configuration %d, published by another version of this program, does not compile here: %w", s.Version, err)
		}
		c.held[s.Version], c.digests[s.Version] = operators.NewConfiguration(set), s.Digest()
	}
	return false, nil
}

// readSnapshots reads topic config from its start to its end, ascending by version.
func readSnapshots(ctx context.Context, env *Env, admin *kadm.Client) ([]schemas.Snapshot, error) {
	topic := schemas.Configurations.Name
	byVersion := map[int32]schemas.Snapshot{}
	err := readTopic(ctx, env, admin, topic, func(r *kgo.Record) error {
		var s schemas.Snapshot
		if err := schemas.Configurations.Codec.Decode(r.Value, &s); err != nil {
			return fmt.Errorf("topic %s offset %d: %w", topic, r.Offset, err)
		}
		byVersion[s.Version] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]schemas.Snapshot, 0, len(byVersion))
	for _, s := range byVersion {
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Version < out[j].Version })
	return out, nil
}

// readTopic calls fn for every committed record of a topic up to its end as of now.
func readTopic(ctx context.Context, env *Env, admin *kadm.Client, topic string, fn func(*kgo.Record) error) error {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("topic %s: start offsets: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("topic %s: end offsets: %w", topic, err)
	}
	for _, end := range ends[topic] {
		start, _ := starts.Lookup(topic, end.Partition)
		if end.Err != nil || start.Err != nil {
			return fmt.Errorf("topic %s partition %d: offsets: %w", topic, end.Partition, errors.Join(start.Err, end.Err))
		}
		if err := readRange(ctx, env, topic, end.Partition, start.Offset, end.Offset, fn); err != nil {
			return err
		}
	}
	return nil
}

// readRange calls fn for the committed records of one partition with from ≤ offset < to, in order. Offsets that hold no such record
// (transaction markers, aborted ones) are passed over; it ends when the position reaches to, not when a certain record was seen.
func readRange(ctx context.Context, env *Env, topic string, partition int32, from, to int64, fn func(*kgo.Record) error) error {
	if from >= to {
		return nil
	}
	cl, err := kgo.NewClient(append(env.kafkaOpts("reader"), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}}))...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	for position := from; position < to; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("topic %s partition %d at offset %d: %w", topic, partition, position, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= to {
				return nil
			}
			position = r.Offset + 1
			if r.Attrs.IsControl() {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}
