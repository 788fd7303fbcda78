package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamgauge/streamgauge/topology"
)

// ensureTopics creates the topology's topics where they are missing and checks those that are there. It reports every mismatch at once:
// a wrong partition count or timestamp type would make offsets and times mean something else.
func ensureTopics(ctx context.Context, admin *kadm.Client, t *topology.Topology, k topology.Kafka) error {
	var names []string
	for _, x := range t.Topics {
		names = append(names, x.Name)
	}
	there, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return fmt.Errorf("kafka: list topics: %w", err)
	}
	var errs []error
	for _, x := range t.Topics {
		d, ok := there[x.Name]
		switch {
		case ok && d.Err == nil:
			if n := len(d.Partitions); n != int(x.Partitions) {
				errs = append(errs, fmt.Errorf("topic %s: %d partitions, want %d (kafka.partitions is fixed for a generation's life; a topic's own count may be set there)", x.Name, n, x.Partitions))
			}
		case ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			errs = append(errs, fmt.Errorf("topic %s: %w", x.Name, d.Err))
		default:
			if err := createTopic(ctx, admin, x, k); err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) == 0 {
		if _, err := awaitTopics(ctx, admin, names...); err != nil {
			return err
		}
	}
	errs = append(errs, checkConfigs(ctx, admin, t))
	return errors.Join(errs...)
}

func createTopic(ctx context.Context, admin *kadm.Client, x topology.Topic, k topology.Kafka) error {
	configs := map[string]*string{"min.insync.replicas": ptr(strconv.Itoa(k.MinInSync))}
	if x.LogTime {
		configs["message.timestamp.type"] = ptr("LogAppendTime")
	}
	for name, v := range x.Config {
		configs[name] = ptr(v)
	}
	r, err := admin.CreateTopic(ctx, x.Partitions, k.Replication, configs, x.Name)
	if err == nil {
		err = r.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) { // another process of ours was faster
		return fmt.Errorf("topic %s: create with %d partitions, replication %d: %w", x.Name, x.Partitions, k.Replication, err)
	}
	return nil
}

// checkConfigs holds what the protocol depends on against what the brokers say.
func checkConfigs(ctx context.Context, admin *kadm.Client, t *topology.Topology) error {
	want := map[string]map[string]string{}
	for _, x := range t.Topics {
		want[x.Name] = map[string]string{}
		if x.LogTime {
			want[x.Name]["message.timestamp.type"] = "LogAppendTime"
		}
		if v, ok := x.Config["cleanup.policy"]; ok {
			want[x.Name]["cleanup.policy"] = v
		}
	}
	got, err := admin.DescribeTopicConfigs(ctx, slices.Sorted(maps.Keys(want))...)
	if err != nil {
		return fmt.Errorf("kafka: describe topics: %w", err)
	}
	var errs []error
	for _, r := range got {
		if r.Err != nil { // one that could not be created; that is reported
			continue
		}
		for _, c := range r.Configs {
			if w, ok := want[r.Name][c.Key]; ok && c.MaybeValue() != w {
				errs = append(errs, fmt.Errorf("topic %s: %s is %s, want %s; set it with kafka-configs before data is written", r.Name, c.Key, c.MaybeValue(), w))
			}
		}
	}
	return errors.Join(errs...)
}

// topicID is the broker's id of a topic: another id is another log, whatever its name.
func topicID(ctx context.Context, admin *kadm.Client, topic string) (string, error) {
	known, err := awaitTopics(ctx, admin, topic)
	if err != nil {
		return "", err
	}
	return known[topic].ID.String(), nil
}

// awaitTopics describes topics that must be there. One that was just created may not be known to every broker yet, nor have leaders.
func awaitTopics(ctx context.Context, admin *kadm.Client, topics ...string) (kadm.TopicDetails, error) {
	for tries := 1; ; tries++ {
		known, err := admin.ListTopics(ctx, topics...)
		if err == nil {
			err = known.Error()
		}
		for _, d := range known {
			for _, p := range d.Partitions {
				err = cmp.Or(err, p.Err)
			}
		}
		switch {
		case err == nil:
			return known, nil
		case tries == topicTries || ctx.Err() != nil:
			return nil, fmt.Errorf("kafka: describe topics %v: %w", topics, err)
		}
		wait(ctx, 100*time.Millisecond)
	}
}

// topicTries bounds how long a new topic may take to be known: 5 s, far above what a controller needs.
const topicTries = 50

func ptr(s string) *string { return &s }
