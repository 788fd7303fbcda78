package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// redisDatabase is for these tests alone, of 16; another package's use 15.
const redisDatabase = 14

// installation is the product on the real servers as an operator has it: a configuration file and a process. It finds nothing from
// before and leaves nothing behind.
type installation struct {
	t       *testing.T
	ctx     context.Context // ends with the test's patience, or with a process that ended by itself
	broken  context.CancelCauseFunc
	binary  string
	brokers []string // as the test's own clients reach them; the processes may be told proxies' addresses
	config  topology.Config
	topo    *topology.Topology
	file    string // the configuration
	log     string // what its processes write to standard error; those of ordinal N > 0 to another file, .N behind it
	cl      *kgo.Client
	admin   *kadm.Client
	redis   redis.UniversalClient
	running *instance                           // the latest one; nil before the first
	excused func(ordinal int, p *instance) bool // whether a process may have ended by itself; nil: none may
}

// install makes an installation on the servers that the environment names. The test must end within patience.
func install(t *testing.T, patience time.Duration, change func(*topology.Config)) *installation {
	t.Helper()
	return installOn(t, "STREAMGAUGE_TEST_KAFKA", patience, change)
}

// installOn is install on the Kafka that a variable names.
func installOn(t *testing.T, variable string, patience time.Duration, change func(*topology.Config)) *installation {
	t.Helper()
	brokers, address := os.Getenv(variable), os.Getenv("STREAMGAUGE_TEST_REDIS")
	if brokers == "" || address == "" {
		t.Skipf("%s and STREAMGAUGE_TEST_REDIS name no servers: make test-servers starts fresh ones", variable)
	}
	in := &installation{t: t, config: topology.DefaultConfig(), binary: build(t), brokers: strings.Split(brokers, ",")}
	ctx, cancel := context.WithTimeoutCause(t.Context(), patience, fmt.Errorf("not done within %s", patience))
	t.Cleanup(cancel)
	in.ctx, in.broken = context.WithCancelCause(ctx)
	in.config.Kafka.Brokers, in.config.Redis.Address, in.config.Redis.Database = in.brokers, address, redisDatabase
	if change != nil {
		change(&in.config)
	}
	in.topo = topology.Monitoring(&in.config)
	in.cl = connect(t, append(in.reach(), kgo.MetadataMinAge(20*time.Millisecond), kgo.UnknownTopicRetries(-1),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	t.Cleanup(in.cl.Close)
	in.admin = kadm.NewClient(in.cl)
	if len(in.config.Redis.Addresses) > 0 {
		in.redis = redis.NewClusterClient(&redis.ClusterOptions{Addrs: in.config.Redis.Addresses, ClusterStateReloadInterval: time.Second})
	} else {
		in.redis = redis.NewClient(&redis.Options{Addr: address, DB: redisDatabase})
	}
	t.Cleanup(func() { in.redis.Close() })
	in.configure()
	if there := in.topics(); len(there) > 0 {
		t.Skipf("the broker at %s holds the product's topics %v already, and this test would delete them: make test-servers starts a fresh pair", brokers, there)
	}
	t.Cleanup(in.uninstall)
	if err := in.eachMaster(in.ctx, func(ctx context.Context, c *redis.Client) error { return c.FlushDB(ctx).Err() }); err != nil {
		t.Fatalf("redis at %v: %v", in.config.Redis.Nodes(), err)
	}
	return in
}

// eachMaster calls fn for the one Redis, or for every master of a Cluster.
func (in *installation) eachMaster(ctx context.Context, fn func(context.Context, *redis.Client) error) error {
	if cluster, ok := in.redis.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, fn)
	}
	return fn(ctx, in.redis.(*redis.Client))
}

// configure writes the configuration file.
func (in *installation) configure() {
	in.t.Helper()
	dir := in.t.ArtifactDir()
	in.file, in.log = filepath.Join(dir, "streamgauge.yaml"), filepath.Join(dir, "streamgauge.log")
	text, err := yaml.Marshal(&in.config)
	if err == nil {
		err = os.WriteFile(in.file, text, 0o600)
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

// reach says how a test's own clients reach the broker.
func (in *installation) reach() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(in.brokers...)}
}

// topics are those of the product that the broker has.
func (in *installation) topics() (there []string) {
	in.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), 10*time.Second)
	defer cancel()
	all, err := in.admin.ListTopics(ctx)
	if err != nil {
		in.t.Fatalf("kafka at %v: %v", in.brokers, err)
	}
	for _, x := range in.topo.Topics {
		if all.Has(x.Name) {
			there = append(there, x.Name)
		}
	}
	return there
}

// prepare creates the topics before any process does, for a test that writes to them first.
func (in *installation) prepare() {
	in.t.Helper()
	if err := pipeline.Prepare(in.ctx, in.topo, &pipeline.Env{Config: in.config, Log: slog.New(slog.DiscardHandler)}); err != nil {
		in.t.Fatal(err)
	}
}

// uninstall ends the process if it still runs, shows what it said if the test failed, and removes topics and groups.
func (in *installation) uninstall() {
	if p := in.running; p != nil {
		p.kill()
	}
	if in.t.Failed() {
		in.t.Logf("the end of what streamgauge said:\n%s", lastLines(in.said(), 60))
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(in.ctx), 30*time.Second, errors.New("the next test finds them"))
	defer cancel()
	for _, s := range in.topo.Stages {
		await(ctx, in.t, "remove group "+s.Group, func() string { return in.removeGroup(ctx, s.Group) })
	}
	await(ctx, in.t, "remove topics", func() string {
		there := in.topics()
		if len(there) == 0 {
			return ""
		}
		_, err := in.admin.DeleteTopics(ctx, there...)
		return fmt.Sprintf("%v are there: %v", there, err)
	})
}

// removeGroup removes a group with what it committed. Static members outlive their process, so they are told to leave.
func (in *installation) removeGroup(ctx context.Context, group string) string {
	described, err := in.admin.DescribeGroups(ctx, group)
	if err != nil {
		return err.Error()
	}
	var members []string
	for _, m := range described[group].Members {
		if m.InstanceID != nil {
			members = append(members, *m.InstanceID)
		}
	}
	if _, err := in.admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs(members...)); err != nil {
		return err.Error()
	}
	deleted, err := in.admin.DeleteGroups(ctx, group)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return err.Error()
	}
	return ""
}

// said is what the processes wrote to standard error so far.
func (in *installation) said() string {
	text, err := os.ReadFile(in.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		in.t.Error(err)
	}
	return string(text)
}

// committed is the sum of a group's committed offsets; 0 where there are none yet.
func (in *installation) committed(stage string) (sum int64) {
	got, err := in.admin.FetchOffsets(in.ctx, in.topo.Stage(stage).Group)
	if err != nil {
		return 0
	}
	got.Each(func(o kadm.OffsetResponse) { sum += max(o.At, 0) })
	return sum
}

// lag is how many offsets of the stage's input its group has not committed.
func (in *installation) lag(stage string) (sum int64) {
	for _, topic := range in.topo.Stage(stage).From {
		if topic == schemas.Configurations.Name {
			continue
		}
		ends, err := in.admin.ListEndOffsets(in.ctx, topic)
		if err != nil {
			in.t.Fatal(err)
		}
		ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	}
	return sum - in.committed(stage)
}

// levelWithWindows holds every partition's marker in the window store against what the group has committed.
func (in *installation) levelWithWindows() {
	in.t.Helper()
	windows := store.NewRedis(in.redis, in.config.Generation, in.config.Kafka.Partitions)
	got, err := in.admin.FetchOffsets(in.ctx, in.topo.Stage(topology.StageMonitor).Group)
	if err != nil {
		in.t.Fatal(err)
	}
	for p := range in.config.Kafka.Partitions {
		marker, _, err := windows.Load(in.ctx, p, nil)
		if err != nil {
			in.t.Fatal(err)
		}
		if c, _ := got.Lookup(schemas.Events.Name, p); marker.Offset != c.At {
			in.t.Errorf("partition %d: after an orderly stop the window store reflects the log up to offset %d, the group committed %d", p, marker.Offset, c.At)
		}
	}
}

// pause waits a while, unless the test ends before.
func (in *installation) pause(d time.Duration) {
	in.t.Helper()
	select {
	case <-time.After(d):
	case <-in.ctx.Done():
		in.t.Fatal(context.Cause(in.ctx))
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
