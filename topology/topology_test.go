package topology_test

import (
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/topology"
)

func TestParseConfig_EmptyFileIsTheDefaults(t *testing.T) {
	got, err := topology.ParseConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := topology.DefaultConfig(); got.Kafka.Partitions != want.Kafka.Partitions || got.Monitor != want.Monitor || len(got.Sources) != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestParseConfig_EveryMistakeComesAtOnceByKeyAndValue(t *testing.T) {
	_, err := topology.ParseConfig([]byte(`
organisation: ""
generation: 0
kafka: {brokers: ["nowhere"], partitions: 0, replication: 1, min_in_sync: 3, events_kept: 5m, colour: blue}
redis: {address: "127.0.0.1:0", database: -1}
clickhouse: {url: "ftp://x", database: "a b"}
sources:
  - {name: a, team: t, topic: payments, format: spektr}
  - {name: a, team: "", topic: payments, format: xml}
intake: {workers: 0}
monitor: {lanes: 1000, max_poll: 0, flush_every: 2m, flush_at: 0}
shards: 3
`))
	if err == nil {
		t.Fatal("a file of mistakes passed")
	}
	for _, part := range []string{
		"organisation: empty", "generation: 0", `kafka.brokers: "nowhere"`, "kafka.partitions: 0", "kafka.min_in_sync: 3", "kafka.events_kept: 5m", "colour", "shards",
		`redis.address: "127.0.0.1:0"`, "redis.database: -1", `clickhouse.url: "ftp://x"`, `clickhouse.database: "a b"`, "the name is given twice", "team is empty",
		`topic "payments" belongs to source "a"`, `format "xml"`, "intake.workers: 0", "monitor.lanes: 1000", "monitor.max_poll: 0", "monitor.flush_every: 2m", "monitor.flush_at: 0",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in:\n%v", part, err)
		}
	}
}

func TestParseConfig_RedisIsOneAddressOrSomeNodesOfACluster(t *testing.T) {
	for text, want := range map[string]string{
		"redis: {}":                                  "127.0.0.1:6379",
		"redis: {address: \"r:1\"}":                  "r:1",
		"redis: {addresses: [\"r:1\"]}":              "r:1",
		"redis: {addresses: [\"r:1\", \"r:2\"]}":     "r:1 r:2",
		"redis: {address: \"r:1\", cluster: true}":   "r:1",
		"redis: {addresses: [\"r:1\"], database: 3}": "r:1",
	} {
		c, err := topology.ParseConfig([]byte(text))
		if got := strings.Join(c.Redis.Nodes(), " "); err != nil || got != want {
			t.Errorf("%s: nodes %q, error %v, want %q", text, got, err, want)
		}
	}
	_, err := topology.ParseConfig([]byte(`redis: {address: "r:1", addresses: ["r:1", "r:1", "r:0", "r"], cluster: true, database: 3}`))
	for _, part := range []string{
		`redis.address: "r:1" stands beside redis.addresses`, `redis.addresses: "r:1" is given twice`, `redis.addresses: "r:0" is not`, `redis.addresses: "r" is not`, "redis.database: 3 with redis.cluster",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in:\n%v", part, err)
		}
	}
}

func TestParseConfig_ADurationWithoutAUnitIsAMistakeThatShowsHow(t *testing.T) {
	_, err := topology.ParseConfig([]byte("kafka: {startup_wait: 30}"))
	if err == nil || !strings.Contains(err.Error(), `"30"`) || !strings.Contains(err.Error(), "30s") {
		t.Errorf("%v", err)
	}
}

func TestMonitoring_IsValidAndCoPartitioned(t *testing.T) {
	c := topology.DefaultConfig()
	c.Kafka.Partitions = 24
	m := topology.Monitoring(&c)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	// A fact, a result and a rejection of monitor go to the partition that their event came from.
	for _, name := range []string{"events", "facts", "operation-realtime", "rejected"} {
		if x := m.Topic(name); x.Partitions != 24 || !x.LogTime {
			t.Errorf("topic %s: %d partitions, log time %v", name, x.Partitions, x.LogTime)
		}
	}
	if got := m.Topic("events").Config["retention.ms"]; got != "604800000" {
		t.Errorf("events are kept %s ms, want 7 days: %v", got, 7*24*time.Hour)
	}
}

func TestTopology_ValidateNamesEveryMistakeOfTheWiring(t *testing.T) {
	broken := topology.Topology{
		Topics: []topology.Topic{{Name: "a", Partitions: 1}, {Name: "a", Partitions: 1}, {Name: "orphan", Partitions: 0}},
		Stages: []topology.Stage{{Name: "s", Group: "g", From: []string{"missing", "orphan"}}, {Name: "r", Group: "g"}},
	}
	err := broken.Validate()
	if err == nil {
		t.Fatal("a broken topology passed")
	}
	for _, part := range []string{`topic "a" is given twice`, `topic "orphan": 0 partitions`, `reads topic "missing"`, `"orphan", which nobody writes`, `group "g"`, `stage "r" reads nothing`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in:\n%v", part, err)
		}
	}
}

func TestDescribe_ShowsEveryStageStepAndTopic(t *testing.T) {
	c := topology.DefaultConfig()
	m := topology.Monitoring(&c)
	for _, picture := range []string{m.Text(), m.Mermaid()} {
		for _, s := range m.Stages {
			for _, word := range append(append([]string{s.Name}, s.Steps...), append(s.From, s.To...)...) {
				if !strings.Contains(picture, word) {
					t.Errorf("%q is not in:\n%s", word, picture)
				}
			}
		}
	}
}
