package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// Configurations are the compiled snapshots of topic config, shared by the lanes of a process and read again when a control record
// names one that is not here yet: apply writes the snapshot and the control records in one transaction, so it must be there then.
type Configurations struct {
	from  Log
	clock Clock
	log   *slog.Logger

	turn    chan struct{} // holds one token: who has it may read the topic and held; waiting for it can be given up
	held    map[int32]*operators.Configuration
	digests map[int32]string
}

// NewConfigurations makes an empty one that reads topic config from a log.
func NewConfigurations(from Log, clock Clock, log *slog.Logger) *Configurations {
	c := &Configurations{from: from, clock: clock, log: log, turn: make(chan struct{}, 1), held: map[int32]*operators.Configuration{}, digests: map[int32]string{}}
	c.turn <- struct{}{}
	return c
}

// locked calls fn with the token.
func (c *Configurations) locked(ctx context.Context, fn func() error) error {
	if ctx.Err() != nil { // of two that are ready a select takes either
		return ctx.Err()
	}
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
func (c *Configurations) get(ctx context.Context, version int32, digest string) (conf *operators.Configuration, err error) {
	err = c.locked(ctx, func() error {
		began := c.clock.Now()
		for pause := firstPause; c.held[version] == nil; pause = min(2*pause, lastPause) {
			passing, err := c.load(ctx)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil && !passing:
				return err
			case err != nil:
				c.log.Warn("topic of configurations cannot be read, trying on", "topic", schemas.Configurations.Name, "error", err)
			case c.held[version] == nil && c.clock.Now().Sub(began) > configWait:
				return fmt.Errorf("configuration %d is named in the log but not in topic %s; was the topic recreated?", version, schemas.Configurations.Name)
			}
			if c.held[version] == nil {
				c.clock.Sleep(ctx, pause)
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
func (c *Configurations) upTo(ctx context.Context, version int32) (out []*operators.Configuration, err error) {
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
func (c *Configurations) load(ctx context.Context) (passing bool, err error) {
	snapshots, err := readSnapshots(ctx, c.from)
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
func readSnapshots(ctx context.Context, log Log) ([]schemas.Snapshot, error) {
	topic := schemas.Configurations.Name
	byVersion := map[int32]schemas.Snapshot{}
	err := readTopic(ctx, log, topic, func(r *kgo.Record) error {
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
