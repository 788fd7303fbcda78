package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// What every test of the package ends with, on the embedded broker and on a real one: wait until all is judged, read the topics as a
// read_committed consumer, hold them against the oracle.

// oracleConfig is the library as the oracle must know it.
func oracleConfig(t *testing.T) oracle.Config {
	t.Helper()
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: rule.Library()})
	if err != nil {
		t.Fatal(err)
	}
	c := oracle.Default()
	c.Retention, c.Rejections = set.Plan.Retention, true
	return c
}

// compare holds every record of topic events, every fact, every result and every rejection by monitor against the oracle. The options say how to reach the broker.
func compare(ctx context.Context, t *testing.T, opts ...kgo.Opt) oracle.Report {
	t.Helper()
	checker, err := oracle.NewChecker(oracleConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	read(ctx, t, schemas.Events.Name, func(r *kgo.Record) {
		rec := oracle.Record{Partition: r.Partition, Offset: r.Offset, Appended: r.Timestamp.UnixMilli()}
		rec.Broken = len(r.Value) > pipeline.MaxEvent || schemas.Events.Codec.Decode(r.Value, &rec.Event) != nil
		checker.Record(&rec)
	}, opts...)
	read(ctx, t, schemas.Facts.Name, func(r *kgo.Record) {
		var f schemas.Fact
		if err := schemas.Facts.Codec.Decode(r.Value, &f); err != nil {
			t.Errorf("fact at partition %d offset %d: %v", r.Partition, r.Offset, err)
			return
		}
		checker.Fact(&f)
	}, opts...)
	read(ctx, t, schemas.OperationRealtime, func(r *kgo.Record) { checker.Result(resultOf(r)) }, opts...)
	read(ctx, t, schemas.RejectedRecords.Name, func(r *kgo.Record) {
		var j schemas.Rejection
		if err := schemas.RejectedRecords.Codec.Decode(r.Value, &j); err != nil {
			t.Errorf("rejection at partition %d offset %d: %v", r.Partition, r.Offset, err)
			return
		}
		checker.Rejection(&j)
	}, opts...)
	report := checker.Report()
	if !report.Exact() {
		t.Errorf("not exact:\n%s", report.String())
	}
	if report.Compared == 0 || report.Features == 0 || report.Results.Seen == 0 {
		t.Errorf("nothing was compared:\n%s", report.String())
	}
	return report
}

func resultOf(r *kgo.Record) *oracle.Result {
	var e struct {
		Type, ID string
		Data     struct{ AssessmentGuid string }
	}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return &oracle.Result{Type: err.Error()}
	}
	return &oracle.Result{Type: e.Type, ID: e.ID, GUID: e.Data.AssessmentGuid, Key: string(r.Key), Partition: r.Partition}
}

// read calls fn for every committed record of a topic up to its end as of now, each partition in its order.
func read(ctx context.Context, t *testing.T, topic string, fn func(*kgo.Record), opts ...kgo.Opt) {
	t.Helper()
	cl := connect(t, append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatalf("ends of topic %s: %v", topic, err)
	}
	open := map[int32]int64{} // by partition: where it ends, until that is reached
	from := map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			open[o.Partition], from[o.Partition] = o.Offset, kgo.NewOffset().AtStart()
		}
	})
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(open) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read topic %s, %d partitions are not at their end: %v", topic, len(open), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := open[r.Partition]
			if r.Offset < end && !r.Attrs.IsControl() {
				fn(r)
			}
			if r.Offset >= end-1 { // the end of a log is a record, or the marker of the transaction before it
				delete(open, r.Partition)
			}
		})
	}
}

// drain waits until intake and monitor have committed every record that their topics hold. Nobody may write to the inputs meanwhile.
func drain(ctx context.Context, t *testing.T, topo *topology.Topology, opts ...kgo.Opt) {
	t.Helper()
	cl := connect(t, opts...)
	defer cl.Close()
	admin := kadm.NewClient(cl)
	for _, name := range []string{topology.StageIntake, topology.StageMonitor} {
		stage := topo.Stage(name)
		for _, topic := range stage.From {
			if topic == schemas.Configurations.Name { // read by whoever needs it, committed by nobody
				continue
			}
			next := map[int32]int64{} // by partition: offset behind the last record; a marker behind it need not be committed
			read(ctx, t, topic, func(r *kgo.Record) { next[r.Partition] = r.Offset + 1 }, opts...)
			await(ctx, t, "stage "+name, func() string { return behind(ctx, admin, stage.Group, topic, next) })
		}
	}
}

// behind says in words what the group has not committed of a topic; empty when it is level.
func behind(ctx context.Context, admin *kadm.Client, group, topic string, next map[int32]int64) string {
	got, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return err.Error()
	}
	for p, want := range next {
		if c, _ := got.Lookup(topic, p); c.At < want {
			return fmt.Sprintf("group %s has committed topic %s partition %d up to offset %d of %d", group, topic, p, c.At, want)
		}
	}
	return ""
}

// await asks until nothing is missing any more; what is when ctx ends, fails the test.
func await(ctx context.Context, t *testing.T, what string, missing func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		m := missing()
		if m == "" {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v; the last answer was: %s", what, context.Cause(ctx), m)
		}
	}
}

func connect(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}
