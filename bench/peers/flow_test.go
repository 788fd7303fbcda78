package peers

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/schemas"
)

// aFlow has six records, due every 10 ms, in two partitions; the broker wrote 2 before 0.
func aFlow(ids bool) *flow {
	f := &flow{rate: 100, records: make([]*kgo.Record, 6), sent: []sent{
		{partition: 0, offset: 11, late: 3 * ms}, {partition: 1, offset: 5}, {partition: 0, offset: 10}, {partition: 1, offset: 6}, {partition: 0, offset: 12}, {partition: 1, offset: 7}}}
	if ids {
		f.ids = []string{"a", "b", "c", "d", "e", "f"}
	}
	return f
}

const ms = time.Millisecond

// TestFlow_ResultsAreJoinedToTheirRecords, by id where there is one, else by the partition's order.
func TestFlow_ResultsAreJoinedToTheirRecords(t *testing.T) {
	results := []seen{{0, "c", 50 * ms}, {0, "a", 60 * ms}, {1, "b", 70 * ms}, {1, "d", 80 * ms}, {0, "e", 90 * ms}, {1, "f", 95 * ms}}
	want := []arrival{{0, 0, 60 * ms}, {1, 10 * ms, 70 * ms}, {0, 20 * ms, 50 * ms}, {1, 30 * ms, 80 * ms}, {0, 40 * ms, 90 * ms}, {1, 50 * ms, 95 * ms}}
	for _, ids := range []bool{true, false} {
		got, err := aFlow(ids).match(results)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ids %t: %v, %v, want %v", ids, got, err, want)
		}
	}
	if got := want[2].millis(); got != 30 {
		t.Errorf("latency %g ms, want 30 from when it was due", got)
	}
}

// TestFlow_AMissingOrSecondResultIsAnErrorAndNoFigure.
func TestFlow_AMissingOrSecondResultIsAnErrorAndNoFigure(t *testing.T) {
	good := []seen{{0, "c", ms}, {0, "a", ms}, {1, "b", ms}, {1, "d", ms}, {0, "e", ms}, {1, "f", ms}}
	spoilt := func(i int, x seen) []seen {
		s := slices.Clone(good)
		s[i] = x
		return s
	}
	for name, c := range map[string]struct {
		ids     bool
		results []seen
	}{
		"one too few":           {true, good[:5]},
		"one twice":             {true, spoilt(1, good[0])},
		"of nobody":             {true, spoilt(1, seen{0, "x", ms})},
		"too many in partition": {false, spoilt(1, seen{1, "", ms})},
		"in another partition":  {false, spoilt(1, seen{7, "", ms})},
	} {
		if got, err := aFlow(c.ids).match(c.results); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFlow_AStandstillShowsInEveryRecordThatWasDueDuringIt: the load goes on while nobody answers, and counts from when each was due.
func TestFlow_AStandstillShowsInEveryRecordThatWasDueDuringIt(t *testing.T) {
	servers, err := devserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	cl, err := kgo.NewClient(kgo.SeedBrokers(servers.Brokers()...), kgo.ConsumeTopics(schemas.Events.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), 2, 1, nil, schemas.Events.Name, schemas.OperationRealtime); err != nil {
		t.Fatal(err)
	}
	const stands, rate, n = 400 * ms, 500, 500
	f := &flow{brokers: servers.Brokers(), rate: rate}
	for i := range n {
		id := string([]byte{'a' + byte(i/26/26), 'a' + byte(i/26%26), 'a' + byte(i%26)})
		f.ids = append(f.ids, id)
		f.records = append(f.records, &kgo.Record{Topic: schemas.Events.Name, Key: []byte(id), Value: []byte(`{"subject":"` + id + `"}`)})
	}
	echo, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for stood := false; echo.Err() == nil; {
			fetches := cl.PollFetches(echo)
			fetches.EachRecord(func(r *kgo.Record) {
				cl.Produce(echo, &kgo.Record{Topic: schemas.OperationRealtime, Partition: r.Partition, Value: r.Value}, nil)
			})
			if !stood && fetches.NumRecords() > 0 {
				stood = true
				<-time.After(stands) // what is measured is real time
			}
		}
	}()
	arrivals, err := f.run(t.Context(), nil)
	stop()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	slow := 0
	for _, a := range arrivals {
		if a.millis() < 0 {
			t.Errorf("a result came %g ms before its record was due", -a.millis())
		}
		if a.millis() >= 100 {
			slow++
		}
	}
	if least := int((stands - 100*ms) * rate / time.Second * 9 / 10); slow < least {
		t.Errorf("%d of %d records waited 100 ms or more, want at least the %d that were due in a standstill of %s", slow, n, least, stands)
	}
	if got := f.lateness(); len(got) != n || !slices.IsSorted(got) {
		t.Errorf("lateness of %d of %d records", len(got), n)
	}
}

// TestResumed_IsWhenTheSlowestPartitionJudgedWhatCameAfterTheFact: late results of events from before it are none.
func TestResumed_IsWhenTheSlowestPartitionJudgedWhatCameAfterTheFact(t *testing.T) {
	a := []arrival{{0, 10 * ms, 20 * ms}, {1, 15 * ms, 900 * ms}, {0, 110 * ms, 130 * ms}, {1, 120 * ms, 950 * ms}, {1, 130 * ms, 940 * ms}, {0, 500 * ms, 2000 * ms}}
	for range 30 { // the partitions come in any order
		if got := resumed(a, 100*ms); got != 840*ms {
			t.Fatalf("%s, want 840ms: partition 1 judged its first event from after the fact at 940ms", got)
		}
	}
}

// TestStandstill_IsTheLongestTimeWithoutAResultThatWasDue: not the distance of events that come seldom, and nothing from before the fact.
func TestStandstill_IsTheLongestTimeWithoutAResultThatWasDue(t *testing.T) {
	for _, c := range []struct {
		name string
		a    []arrival
		want time.Duration
	}{
		{"before the fact", []arrival{{0, 10 * ms, 90 * ms}, {0, 200 * ms, 205 * ms}}, 5 * ms},
		{"across the fact", []arrival{{0, 10 * ms, 20 * ms}, {0, 60 * ms, 180 * ms}}, 80 * ms},
		{"events seldom", []arrival{{0, 10 * ms, 20 * ms}, {0, 900 * ms, 907 * ms}}, 7 * ms},
		{"a backlog that moves", []arrival{{0, 110 * ms, 150 * ms}, {0, 120 * ms, 190 * ms}, {0, 130 * ms, 200 * ms}}, 40 * ms},
		{"the slowest partition", []arrival{{0, 110 * ms, 115 * ms}, {1, 120 * ms, 420 * ms}, {0, 130 * ms, 135 * ms}}, 300 * ms},
	} {
		if got := standstill(c.a, 100*ms); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestVerb_EveryBenchIsReachedByItsName, and without one it is the monitor's: flags of old and the children's own go there.
func TestVerb_EveryBenchIsReachedByItsName(t *testing.T) {
	for line, want := range map[string]string{"": "monitor", "--rounds 7": "monitor", "--as servers": "monitor", "monitor --rounds 7": "monitor", "latency --rounds 7": "latency",
		"redis": "redis", "recovery --rate 9": "recovery", "memory --quick": "memory", "scale --svg .": "scale"} {
		var v Verb
		p, err := kong.New(&v)
		if err != nil {
			t.Fatal(err)
		}
		k, err := p.Parse(strings.Fields(line))
		if err != nil || !strings.HasPrefix(k.Command(), want) {
			t.Errorf("bench %s: %v, %v", line, k, err)
			continue
		}
		if strings.Contains(line, "--as") && v.Monitor.As != "servers" || strings.Contains(line, "7") && v.Monitor.Rounds+v.Latency.Rounds != 12 {
			t.Errorf("bench %s: %+v", line, v)
		}
		if v.Redis.Rounds != 5 && want == "redis" {
			t.Errorf("bench redis: %d repetitions, want 5", v.Redis.Rounds)
		}
	}
}
