package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/topology"
)

// The tests named TestServers_ ask the real servers that `make servers` and `make test-servers` start, the ones named TestThree_ the
// three nodes of Kafka that the latter starts besides; the ones named TestScript_ hold servers.sh itself and start no server.

// patience bounds every test that waits for a server: two busy cores, one broker.
const patience = 60 * time.Second

func TestServers_CommittedTransactionIsSeenOnceAndAbortedNever(t *testing.T) {
	ctx, client := kafka(t)
	topic := newTopic(ctx, t, client, 1)
	producer, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("STREAMGAUGE_TEST_KAFKA")), kgo.DefaultProduceTopic(topic),
		kgo.TransactionalID(topic), kgo.TransactionTimeout(8*time.Second), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var want []string
	for i := range 10 { // every third one is aborted
		text := fmt.Sprintf("transaction %d", i)
		end := kgo.TryCommit
		if i%3 == 1 {
			end = kgo.TryAbort
		} else {
			want = append(want, text)
		}
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr(); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := producer.EndTransaction(ctx, end); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("STREAMGAUGE_TEST_KAFKA")), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	for len(got) < len(want) { // the last one is committed: nothing aborted can still come in between
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), len(want), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if !slices.Equal(got, want) {
		t.Errorf("a read_committed reader sees %q, want %q", got, want)
	}
}

func TestServers_BrokerRunsWithTheSettingsOfTheFiles(t *testing.T) {
	ctx, client := kafka(t)
	asInTheFiles(ctx, t, client, []int32{1}, "servers/kafka.properties", "servers/kafka-one.properties")
}

func TestThree_EveryBrokerRunsWithTheSettingsOfTheFiles(t *testing.T) {
	ctx, client := kafkaOfThree(t)
	asInTheFiles(ctx, t, client, []int32{1, 2, 3}, "servers/kafka.properties", "servers/kafka-three.properties")
}

func asInTheFiles(ctx context.Context, t *testing.T, client *kgo.Client, nodes []int32, files ...string) {
	t.Helper()
	configs, err := kadm.NewClient(client).DescribeBrokerConfigs(ctx, nodes...)
	if err != nil {
		t.Fatal(err)
	}
	if len(configs) != len(nodes) {
		t.Errorf("%d brokers answer, want %v", len(configs), nodes)
	}
	for _, broker := range configs {
		has := map[string]string{}
		for _, c := range broker.Configs {
			has[c.Key] = c.MaybeValue()
		}
		for _, file := range files {
			for key, want := range properties(t, file) {
				if has[key] != want {
					t.Errorf("node %s: %s is %q on the broker, %q in %s", broker.Name, key, has[key], want, file)
				}
			}
		}
	}
	ask := kmsg.NewPtrApiVersionsRequest()
	ask.ClientSoftwareName, ask.ClientSoftwareVersion = "streamgauge", "test"
	versions, err := ask.RequestWith(ctx, client)
	if err != nil {
		t.Fatal(err)
	}
	level := int16(0)
	for _, f := range versions.FinalizedFeatures {
		if f.Name == "transaction.version" {
			level = f.MaxVersionLevel
		}
	}
	if level != 2 {
		t.Errorf("transaction.version is %d, want 2", level)
	}
}

// One of three may be away: what all in-sync replicas must have is still acknowledged, and is there when the node is back.
func TestThree_OneNodeMayDieAndComesBackWithItsReplicas(t *testing.T) {
	ctx, client := kafkaOfThree(t)
	admin := kadm.NewClient(client)
	topic := newTopic(ctx, t, client, 3)
	inSync := func() int {
		d, err := admin.ListTopics(ctx, topic)
		if err != nil || len(d[topic].Partitions) == 0 {
			return 0
		}
		return len(d[topic].Partitions[0].ISR)
	}
	for sent := range 2 {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte{byte(sent)}}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if sent == 0 {
			node(t, "kill", "kafka-2")
		}
	}
	for inSync() == 3 && ctx.Err() == nil { // until the controller has missed its heartbeats
		<-time.After(100 * time.Millisecond)
	}
	if out, err := script(t, nil, "node", "freeze", "kafka-2"); err == nil || !strings.Contains(out, "kafka-2 does not run") {
		t.Errorf("freezing a dead node: %v, %q", err, out)
	}
	node(t, "start", "kafka-2")
	for inSync() < 3 {
		if ctx.Err() != nil {
			t.Fatalf("%d replicas are in sync after %s, want 3", inSync(), patience)
		}
		<-time.After(100 * time.Millisecond)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := ends.Lookup(topic, 0); o.Offset != 2 {
		t.Errorf("%d records are there, want 2: %v", o.Offset, o.Err)
	}
}

func node(t *testing.T, verb, name string) {
	t.Helper()
	if out, err := script(t, nil, "node", verb, name); err != nil {
		t.Fatalf("%s %s: %v, %s", verb, name, err, out)
	}
}

func TestServers_TopicIsNotCreatedByATypingMistake(t *testing.T) {
	ctx, client := kafka(t)
	err := client.ProduceSync(ctx, &kgo.Record{Topic: "paymnets", Value: []byte("x")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("producing to a topic that nobody created: %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
}

func TestServers_RedisNeverEvictsAndKeepsItsLog(t *testing.T) {
	addr := os.Getenv("STREAMGAUGE_TEST_REDIS")
	if addr == "" {
		t.Skip("STREAMGAUGE_TEST_REDIS names no server: make test-servers starts one")
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	for key, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "save": ""} {
		got, err := client.ConfigGet(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
}

func TestScript_StartsWhereTheConfigurationFileLooks(t *testing.T) {
	text, err := os.ReadFile("servers/streamgauge.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config, err := topology.ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("servers/servers.sh")
	if err != nil {
		t.Fatal(err)
	}
	for variable, address := range map[string]string{"STREAMGAUGE_KAFKA_PORT": strings.Join(config.Kafka.Brokers, ","), "STREAMGAUGE_REDIS_PORT": config.Redis.Address} {
		_, rest, _ := strings.Cut(string(script), "${"+variable+":-")
		port, _, _ := strings.Cut(rest, "}")
		if want := "127.0.0.1:" + port; address != want {
			t.Errorf("servers.sh starts on %s (%s), streamgauge.yaml looks at %s", want, variable, address)
		}
	}
}

func TestScript_StopSparesAProcessThatIsNotOurs(t *testing.T) {
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = stranger.Wait() // it is killed below
	}()
	dir := t.TempDir()
	for _, pidFile := range []string{
		fmt.Sprintf("%d 1 29092\n", stranger.Process.Pid), // the id was given to somebody else since
		fmt.Sprintf("%d\n", stranger.Process.Pid),
		fmt.Sprintf("%d %s 29092\n", stranger.Process.Pid, startTime(t, stranger.Process.Pid)), // right in all but its directory
		"\n", "1\n", "-1 1 1\n", "not a pid\n", "../self 1 1\n",
	} {
		for _, name := range []string{"kafka", "redis"} {
			if err := os.WriteFile(filepath.Join(dir, name+".pid"), []byte(pidFile), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := script(t, []string{"STREAMGAUGE_SERVERS_DIR=" + dir}, "stop")
		if err != nil || !strings.Contains(out, "kafka is not running") || !strings.Contains(out, "redis is not running") {
			t.Errorf("pid file %q: %v, %q", pidFile, err, out)
		}
		select {
		case <-ended:
			t.Fatalf("pid file %q: stop ended a process that is not ours", pidFile)
		default:
		}
	}
	if err := stranger.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
}

func TestScript_SaysPlainlyWhatIsMissing(t *testing.T) {
	old := `#!/bin/sh
echo 'openjdk version "11.0.2" 2019-01-15' >&2`
	for _, c := range []struct {
		has  map[string]string // programs in PATH besides the shell's own
		want string
	}{
		{map[string]string{"id": "#!/bin/sh\necho 1000"}, "redis-server is missing and only root can install it: sudo apt-get install redis-server"},
		{map[string]string{"redis-server": "#!/bin/sh"}, "java is missing (java): Kafka needs Java 17 or newer"},
		{map[string]string{"redis-server": "#!/bin/sh", "java": old}, "java is version 11 (java): Kafka needs 17 or newer"},
	} {
		bin := t.TempDir()
		for _, tool := range []string{"bash", "dirname", "mkdir", "flock", "sed", "head", "cat", "readlink"} {
			p, err := exec.LookPath(tool)
			if err != nil {
				t.Skipf("this machine has no %s", tool)
			}
			if err := os.Symlink(p, filepath.Join(bin, tool)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range c.has {
			if err := os.WriteFile(filepath.Join(bin, name), []byte(text+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		out, err := script(t, []string{"PATH=" + bin, "JAVA_HOME=", "STREAMGAUGE_SERVERS_DIR=" + t.TempDir()}, "start")
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("with %q: %v, %q, want %q", slices.Collect(maps.Keys(c.has)), err, out, c.want)
		}
	}
}

func kafka(t *testing.T) (context.Context, *kgo.Client) {
	t.Helper()
	return connect(t, "STREAMGAUGE_TEST_KAFKA")
}

func kafkaOfThree(t *testing.T) (context.Context, *kgo.Client) {
	t.Helper()
	return connect(t, "STREAMGAUGE_TEST_KAFKA_THREE")
}

func connect(t *testing.T, variable string) (context.Context, *kgo.Client) {
	t.Helper()
	addresses := os.Getenv(variable)
	if addresses == "" {
		t.Skipf("%s names no server: make test-servers starts one", variable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addresses, ",")...), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return ctx, client
}

// newTopic creates a topic of one partition that no other run has, and deletes it when the test ends.
func newTopic(ctx context.Context, t *testing.T, client *kgo.Client, replicas int16) string {
	t.Helper()
	admin := kadm.NewClient(client)
	topic := fmt.Sprintf("servers-test-%d", time.Now().UnixNano())
	if _, err := admin.CreateTopic(ctx, 1, replicas, nil, topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if _, err := admin.DeleteTopic(ctx, topic); err != nil {
			t.Errorf("topic %s stays behind: %v", topic, err)
		}
	})
	return topic
}

func properties(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			all[key] = value
		}
	}
	return all
}

func script(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", append([]string{"servers/servers.sh"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// startTime is field 22 of the process's stat line, as servers.sh reads it.
func startTime(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	return strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))[19]
}
