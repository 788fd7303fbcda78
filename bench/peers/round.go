package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
)

// Round is one measurement of one peer.
type Round struct {
	Peer       string  `json:"peer"`   // monitor or passthrough
	Events     int64   `json:"events"` // consumed: the group committed the offset behind the last one
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // user and system, of the client's process alone
	PeakKiB    int64   `json:"peak_kib"`    // its largest resident set
	EventBytes int64   `json:"event_bytes"` // of all values read
	KeyBytes   int64   `json:"key_bytes"`   // of all their keys
	Outcome
}

// EventsPerSecond is the round's throughput.
func (r *Round) EventsPerSecond() float64 { return float64(r.Events) / r.Seconds }

// CPUMicros is the client's CPU time for an event, µs.
func (r *Round) CPUMicros() float64 { return 1e6 * r.CPUSeconds / float64(r.Events) }

// round measures one peer once, on servers of its own or on given ones that it leaves as they were.
func (s *series) round(ctx context.Context, peer, profile string) (r Round, err error) {
	s.rounds++
	t := &task{Group: fmt.Sprintf("streamgauge-bench-%d", s.rounds), FactBytes: s.factBytes, ResultBytes: s.resultBytes, Profile: profile}
	t.Config = s.command.config(site{}, s.rounds)
	at, err := s.ground.open(ctx, t.topology())
	if err != nil {
		return r, err
	}
	if s.detour != nil {
		undo, err := s.detour(&at)
		if err != nil {
			return r, errors.Join(err, s.ground.close(ctx, t))
		}
		defer undo()
	}
	t.Config = s.command.config(at, s.rounds)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deletedWithin)
		defer cancel()
		err = errors.Join(err, s.ground.close(ctx, t))
	}()
	r, err = s.measured(ctx, peer, t)
	if err != nil {
		return r, fmt.Errorf("round of the %s: %w", peer, err)
	}
	r.Outcome, err = readOutcome(ctx, at.brokers)
	if err == nil {
		err = r.check(s.command.Events, controlsEach*int64(s.command.Partitions))
	}
	if err != nil {
		return r, fmt.Errorf("the %s's output: %w", peer, err)
	}
	return r, nil
}

// measured prepares the topics, starts the client, gives it the events and times it.
func (s *series) measured(ctx context.Context, peer string, t *task) (r Round, err error) {
	env := &pipeline.Env{Config: t.Config, Log: slog.New(slog.DiscardHandler)}
	topo := t.topology()
	if err := pipeline.Prepare(ctx, topo, env); err != nil {
		return r, err
	}
	if _, err := pipeline.Apply(ctx, env, s.files, true); err != nil {
		return r, err
	}
	admin, err := connect(t.Config.Kafka.Brokers)
	if err != nil {
		return r, err
	}
	defer admin.Close()
	client, err := start(peer, t)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, client.stop()) }()
	g := &gauge{admin: admin, client: client, task: t}
	if err := g.settle(ctx, schemas.Snapshot{Version: 1, Files: s.files}); err != nil {
		return r, err
	}
	if s.settled != nil {
		if err := s.settled(ctx, client, site{t.Config.Kafka.Brokers, t.Config.Redis.Address}); err != nil {
			return r, err
		}
	}
	gen, err := generator.New(s.command.traffic(s.now))
	if err != nil {
		return r, err
	}
	events, err := fill(ctx, t.Config.Kafka.Brokers, intakeChain(topo), gen)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, events.close()) }()
	r, err = g.measure(ctx, events)
	r.Peer = peer
	if err == nil && s.done != nil {
		err = s.done(ctx, client, site{t.Config.Kafka.Brokers, t.Config.Redis.Address}, r)
	}
	return r, err
}

// gauge times one client.
type gauge struct {
	admin  *kadm.Client
	client *process
	task   *task
	others []*process // that share the group with client
}

// settledWithin bounds the start of a client until its group has come to rest: static members of a real broker take a few seconds.
const settledWithin = time.Minute

// controlsEach is how many control records a partition gets before the events: apply's, and settle's.
const controlsEach = 2

// settle waits until every lane has its partitions, and then until each has ended a transaction with them: a session whose partitions
// were taken aborts the next transaction that it ends, however long ago that was, and it must not be the first one measured. What they
// judge is a second control record of the configuration in force, which changes nothing.
func (g *gauge) settle(ctx context.Context, inForce schemas.Snapshot) error {
	waiting, cancel := context.WithTimeout(ctx, settledWithin)
	defer cancel()
	var last error // new brokers know no coordinator for a while
	err := until(waiting, func() (rests bool, err error) {
		if err := g.alive(); err != nil {
			return false, err
		}
		rests, last = g.balanced(waiting)
		return rests, nil
	})
	if err == nil {
		err = g.nudge(waiting, inForce)
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("its group %s did not come to rest with %d lanes on %d partitions within %s", g.task.Group, g.lanes(), g.task.Config.Kafka.Partitions, settledWithin)
		return errors.Join(err, last)
	}
	return err
}

// nudge writes a control record into every partition and waits until they are committed.
func (g *gauge) nudge(ctx context.Context, s schemas.Snapshot) error {
	offsets, err := writeControls(ctx, &g.task.Config, s)
	if err != nil {
		return err
	}
	return until(ctx, func() (bool, error) {
		if err := g.alive(); err != nil {
			return false, err
		}
		committed, err := g.committed(ctx)
		for p, offset := range offsets {
			if committed[p] <= offset {
				return false, err
			}
		}
		return true, err
	})
}

// alive fails when the client ended on its own.
func (g *gauge) alive() error {
	for _, p := range append(g.others, g.client) {
		select {
		case <-p.gone:
			return p.ended()
		default:
		}
	}
	return nil
}

// lanes are the group's members.
func (g *gauge) lanes() int { return (1 + len(g.others)) * g.task.Config.Monitor.Lanes }

// balanced reports whether the group rests with all lanes in it, each with partitions and none left over.
func (g *gauge) balanced(ctx context.Context) (bool, error) {
	described, err := g.admin.DescribeGroups(ctx, g.task.Group)
	if err != nil {
		return false, fmt.Errorf("kafka: describe group: %w", err)
	}
	d := described[g.task.Group]
	if d.Err != nil {
		return false, fmt.Errorf("kafka: describe group: %w", d.Err)
	}
	if d.State != "Stable" || len(d.Members) != g.lanes() {
		return false, nil
	}
	assigned := 0
	for _, m := range d.Members {
		has := 0
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, x := range a.Topics {
				has += len(x.Partitions)
			}
		}
		if has == 0 {
			return false, nil
		}
		assigned += has
	}
	return assigned == int(g.task.Config.Kafka.Partitions), nil
}

// stuckAfter is how long a measured client may commit nothing before the round is given up.
const stuckAfter = 30 * time.Second

// measure makes the events visible and waits until all of them are committed.
func (g *gauge) measure(ctx context.Context, events *filler) (r Round, err error) {
	before, err := g.client.ask(ctx, begin)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := events.release(ctx); err != nil {
		return r, err
	}
	total, last, moved := events.total(), int64(0), began
	err = until(ctx, func() (bool, error) {
		if err := g.alive(); err != nil {
			return false, err
		}
		committed, err := g.committed(ctx)
		if err != nil {
			return false, err
		}
		if r.Events = events.done(committed); r.Events != last {
			last, moved = r.Events, time.Now()
		}
		if time.Since(moved) > stuckAfter {
			return false, fmt.Errorf("nothing was committed for %s, at %d of %d events", stuckAfter, r.Events, total)
		}
		return r.Events == total, nil
	})
	if err != nil {
		return r, err
	}
	r.Seconds = time.Since(began).Seconds()
	after, err := g.client.ask(ctx, end)
	if err != nil {
		return r, err
	}
	r.CPUSeconds, r.PeakKiB, r.EventBytes, r.KeyBytes = (after.CPU - before.CPU).Seconds(), after.Peak, events.bytes, events.keys
	return r, nil
}

// committed are the group's offsets in topic events, by partition.
func (g *gauge) committed(ctx context.Context) (map[int32]int64, error) {
	got, err := g.admin.FetchOffsets(ctx, g.task.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil // nobody joined yet
	}
	if err != nil {
		return nil, fmt.Errorf("kafka: fetch offsets of group %s: %w", g.task.Group, err)
	}
	out := map[int32]int64{}
	for p, o := range got[schemas.Events.Name] {
		if o.Err == nil && o.At > 0 {
			out[p] = o.At
		}
	}
	return out, nil
}
