package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// broker is an embedded one with topic events of so many partitions, each of n records.
func broker(t *testing.T, partitions int32, n int) (*Env, *topology.Stage, *kgo.Client) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, schemas.Events.Name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	config := topology.DefaultConfig()
	config.Kafka.Brokers = c.ListenAddrs()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for p := range partitions {
		for i := range n {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.Events.Name, Partition: p, Value: []byte(fmt.Sprint(i))}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &Env{Config: config, Log: slog.New(slog.DiscardHandler)}, topology.Monitoring(&config).Stage(topology.StageMonitor), cl
}

func join(t *testing.T, env *Env, stage *topology.Stage, name string) *groupSession {
	t.Helper()
	s, err := newSession(t.Context(), env, stage, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// turn polls once, as a lane does, and returns what came.
func turn(t *testing.T, s *groupSession) (Polled, []Ownership) {
	t.Helper()
	polled, err := s.Poll(t.Context(), 100*time.Millisecond, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(polled.Halted) > 0 {
		t.Fatal(polled.Halted[0])
	}
	owned := s.Owned()
	s.Allow()
	return polled, owned
}

// The client tells of one revoke and is silent of the next until a transaction ends; an idle lane begins none.
func TestSession_AnIdleLaneSeesEveryRevoke(t *testing.T) {
	env, stage, _ := broker(t, 3, 0)
	first := join(t, env, stage, "first")
	has := map[int32]bool{}
	lost := 0
	until := func(what string, others []*groupSession, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); {
			if time.Now().After(deadline) {
				t.Fatalf("%s: has %v, lost %d", what, has, lost)
			}
			_, owned := turn(t, first)
			for _, o := range owned {
				if o.Gained {
					has[o.Partition] = true
				} else if has[o.Partition] {
					delete(has, o.Partition)
					lost++
				}
			}
			for _, s := range others {
				turn(t, s)
			}
		}
	}
	until("alone", nil, func() bool { return len(has) == 3 })
	second := join(t, env, stage, "second")
	until("with a second", []*groupSession{second}, func() bool { return lost == 1 })
	third := join(t, env, stage, "third")
	until("with a third", []*groupSession{second, third}, func() bool { return lost == 2 })
}

// Retention has deleted the log's beginning before the group committed anything: an abort must not go back to offset 0.
func TestSession_AnAbortBeforeTheFirstCommitGoesBackToTheLogsStart(t *testing.T) {
	env, stage, cl := broker(t, 1, 10)
	var gone kadm.Offsets
	gone.AddOffset(schemas.Events.Name, 0, 4, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	s := join(t, env, stage, "lane")
	poll := func() Records {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
			polled, owned := turn(t, s)
			for _, o := range owned {
				if o.Start != 4 || o.Committed.Offset != -1 {
					t.Errorf("gained %+v, want start 4 and nothing committed", o)
				}
			}
			if len(polled.Parts) > 0 {
				return polled.Parts[0]
			}
		}
		t.Fatal("no records")
		return Records{}
	}
	for try := range 3 {
		if got := poll().Records[0].Offset; got != 4 {
			t.Fatalf("try %d: offset %d, want 4", try, got)
		}
		if err := s.Begin(); err != nil {
			t.Fatal(err)
		}
		if err := s.Abort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A partition that is paused in the middle of what was polled is committed so far and no further, whatever others commit, and goes on
// there when it is resumed.
func TestSession_APausedPartitionIsCommittedAsFarAsItWasJudged(t *testing.T) {
	env, stage, _ := broker(t, 2, 10)
	s := join(t, env, stage, "lane")
	seen := map[int32]int64{0: 0, 1: 0} // next expected
	commit := func(places ...Place) {
		t.Helper()
		if err := s.Begin(); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.Commit(t.Context(), places); err != nil || !ok {
			t.Fatalf("commit %v: %v, %v", places, ok, err)
		}
	}
	var places []Place
	for deadline := time.Now().Add(20 * time.Second); len(places) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("no records of both partitions")
		}
		polled, _ := turn(t, s)
		if len(polled.Parts) == 0 {
			continue
		}
		from := len(places)
		for _, r := range polled.Parts {
			at := Place{Partition: r.Partition, Offset: r.Records[len(r.Records)-1].Offset + 1, Metadata: "m"}
			if r.Partition == 0 {
				s.Pause(0)
				at.Offset = 3
			}
			seen[r.Partition] = at.Offset
			places = append(places, at)
		}
		commit(places[from:]...)
	}
	check := func(want int64) {
		t.Helper()
		got, err := s.Committed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got[0].Offset != want || got[0].Metadata != "m" || got[1].Offset != seen[1] {
			t.Errorf("committed %v, want partition 0 at %d", got, want)
		}
	}
	check(3)
	if polled, _ := turn(t, s); len(polled.Parts) > 0 && polled.Parts[0].Partition == 0 {
		t.Errorf("records of a paused partition: %v", polled.Parts[0].Records[0].Offset)
	}
	s.Resume(0, 3)
	var got []int64
	for deadline := time.Now().Add(20 * time.Second); len(got) < 7; {
		if time.Now().After(deadline) {
			t.Fatalf("after the resume came %v", got)
		}
		polled, _ := turn(t, s)
		for _, r := range polled.Parts {
			for _, rec := range r.Records {
				got = append(got, rec.Offset)
			}
		}
	}
	if got[0] != 3 || got[6] != 9 {
		t.Errorf("after the resume came offsets %v, want 3 to 9", got)
	}
	commit(Place{Partition: 0, Offset: 10, Metadata: "m"})
	check(10)
}

// A commit of what was not polled is our mistake, and must not become an offset.
func TestSession_AForeignPlaceIsNotCommitted(t *testing.T) {
	env, stage, _ := broker(t, 2, 1)
	s := join(t, env, stage, "lane")
	for deadline := time.Now().Add(20 * time.Second); ; {
		if polled, _ := turn(t, s); len(polled.Parts) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no records")
		}
	}
	if err := s.Begin(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if ok, err := s.Commit(ctx, []Place{{Partition: 7, Offset: 1}}); ok {
		t.Errorf("committed: %v", err)
	}
}
