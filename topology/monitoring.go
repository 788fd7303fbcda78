package topology

import (
	"strconv"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/schemas"
)

// Names of the stages.
const (
	StageIntake  = "intake"
	StageMonitor = "monitor"
	StageArchive = "archive"
)

// ArchiveTo is what stage archive writes.
const ArchiveTo = "ClickHouse"

// Monitoring is THE topology: what producers write becomes one ordered log per customer, the log becomes verdicts, every verdict
// becomes a row.
func Monitoring(c *Config) *Topology {
	var inputs []string
	for _, s := range c.Sources {
		inputs = append(inputs, s.Topic)
	}
	t := &Topology{Name: "monitoring"}
	for _, s := range c.Sources {
		t.Topics = append(t.Topics, Topic{Name: s.Topic, Key: "any", Value: s.Format + " JSON", Partitions: c.Kafka.Partitions, Outside: "producers →"})
	}
	kept := map[string]string{"retention.ms": milliseconds(time.Duration(c.Kafka.EventsKept))}
	t.Topics = append(t.Topics,
		Topic{Name: schemas.Events.Name, Key: schemas.Events.Key, Value: "Event", Partitions: c.Kafka.Partitions, LogTime: true, Config: kept, Outside: "apply →"},
		Topic{Name: schemas.OperationRealtime, Key: schemas.Facts.Key, Value: "CloudEvent", Partitions: c.Kafka.Partitions, LogTime: true, Config: map[string]string{"retention.ms": milliseconds(30 * 24 * time.Hour)}, Outside: "alerting consumers"},
		Topic{Name: schemas.Facts.Name, Key: schemas.Facts.Key, Value: "Fact", Partitions: c.Kafka.Partitions, LogTime: true, Config: kept},
		// A rejection wraps an input record that may be as large as brokers take by default.
		Topic{Name: schemas.RejectedRecords.Name, Key: schemas.RejectedRecords.Key, Value: "Rejection", Partitions: c.Kafka.Partitions, LogTime: true, Config: map[string]string{"retention.ms": milliseconds(7 * 24 * time.Hour), "max.message.bytes": strconv.Itoa(MaxRejection)}, Outside: "people"},
		Topic{Name: schemas.Configurations.Name, Key: schemas.Configurations.Key, Value: "Snapshot", Partitions: 1, LogTime: true, Config: map[string]string{"cleanup.policy": "compact"}, Outside: "apply →"},
	)
	t.Stages = []Stage{
		{
			Name: StageIntake, Group: "streamgauge-intake", From: inputs, To: []string{schemas.Events.Name, schemas.RejectedRecords.Name},
			Chain: []operators.Operator{operators.Decode{Sources: c.OperatorSources()}, operators.Validate{}, operators.Link{Organisation: c.Organisation}},
		},
		{
			Name: StageMonitor, Group: "streamgauge-monitor", From: []string{schemas.Events.Name, schemas.Configurations.Name}, To: []string{schemas.OperationRealtime, schemas.Facts.Name, schemas.RejectedRecords.Name},
			Chain: []operators.Operator{operators.Dedupe{}, operators.Enrich{}, operators.Evaluate{}, operators.Assess{}},
		},
		{
			Name: StageArchive, Group: "streamgauge-archive", From: []string{schemas.Facts.Name}, To: []string{ArchiveTo}, Steps: []string{"insert"},
		},
	}
	for i := range t.Stages {
		for _, op := range t.Stages[i].Chain {
			t.Stages[i].Steps = append(t.Stages[i].Steps, op.Name())
		}
	}
	return t
}

// MaxRejection is the largest record of topic rejected: an input record of the brokers' default 1 MiB with its reasons fits with room.
const MaxRejection = 4 << 20

// Rebuild is the monitor stage's chain for a replay: the windows without the verdicts.
func Rebuild() []operators.Operator {
	return []operators.Operator{operators.Dedupe{}, operators.Enrich{FoldOnly: true}}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
