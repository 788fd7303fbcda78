// Package demo is the product for a person who sees it for the first time: everything embedded, one process, one command. live.go runs
// it on generated traffic and reports, held against the oracle; file.go replays the user's own file and writes what became of each
// line. Both read the product's topics as any consumer would (collect.go) and start the same stages as run (world.go).
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/bench/oracle"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// LiveOptions are demo's on generated traffic.
type LiveOptions struct {
	Events  int64
	Seed    uint64
	Archive archiveChoice
	Stdout  io.Writer
}

// period is how much event time the demo's traffic covers; it ends when the demo starts.
const period = 90 * 24 * time.Hour

// RunLive generates a bank's traffic with laundering patterns in it, runs it through the whole product with embedded servers, holds
// every outcome, feature, verdict and result against the oracle, and prints a report.
func RunLive(ctx context.Context, o LiveOptions) error {
	gen, err := generator.New(liveTraffic(o))
	if err != nil {
		return err
	}
	checker, err := newChecker()
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Stdout, "starting Kafka, Redis and ClickHouse on loopback …")
	w, err := newWorld(ctx, o.Archive, "", quiet())
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Stdout, "archive: %s\nstreaming %s generated events of %s customers over %d days\n", w.archive, thousands(o.Events), thousands(2000), int(period.Hours()/24))
	l := &liveRun{world: w, gen: gen, checker: checker, total: o.Events, began: time.Now(), tally: newTally(), alerts: alertPick{}}
	err = w.run(ctx, func(ctx context.Context) error {
		if err := l.work(ctx); err != nil {
			return err
		}
		return l.report(ctx, o.Stdout)
	})
	err = errors.Join(err, w.close())
	if err == nil && l.different {
		return errors.New("the product and the oracle differ; the report above says where")
	}
	return err
}

func liveTraffic(o LiveOptions) generator.Config {
	c := generator.Default(time.Now().Add(-period - time.Hour).UnixMilli())
	c.Seed, c.Events, c.Period, c.Disorder = o.Seed, o.Events, period, generator.Faults()
	return c
}

// newChecker makes the oracle for the built-in library: it must be told what is in force, for it reads no rules.
func newChecker() (*oracle.Checker, error) {
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: rule.Library()})
	if err != nil {
		return nil, fmt.Errorf("built-in library: %w", err)
	}
	c := oracle.Default()
	c.Retention = set.Plan.Retention
	return oracle.NewChecker(c)
}

// liveRun is one demo.
type liveRun struct {
	*world
	gen     *generator.Generator
	total   int64
	began   time.Time
	fedAt   time.Time
	took    time.Duration
	backlog time.Duration // from the last event sent to the last verdict seen

	sent, judged, refused, results atomic.Int64

	mu        sync.Mutex // of what follows
	checker   *oracle.Checker
	tally     tally
	facts     int64 // all facts, control records and redeliveries included
	hits      []generator.Hit
	alerts    alertPick
	different bool
}

func (l *liveRun) work(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return collect(gctx, l.env.Config.Kafka.Brokers, seen{fact: l.fact, rejection: l.rejection, result: l.result, event: l.event})
	})
	group.Go(func() error {
		p := progress{out: os.Stderr, began: l.began, state: l.progress}
		p.run(gctx)
		return nil
	})
	group.Go(func() error {
		defer stop()
		if err := l.feed(gctx); err != nil {
			return err
		}
		return l.wait(gctx)
	})
	err := group.Wait()
	l.took, l.backlog = time.Since(l.began), time.Since(l.fedAt)
	return err
}

func (l *liveRun) feed(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(l.env.Config.Kafka.Brokers...), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MaxBufferedRecords(20_000), kgo.MetadataMinAge(20*time.Millisecond), kgo.ProducerLinger(2*time.Millisecond))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	produced := kgo.AbortingFirstErrPromise(cl)
	for ctx.Err() == nil {
		e, ok := l.gen.Next()
		if !ok {
			break
		}
		cl.Produce(ctx, &kgo.Record{Topic: e.Topic, Key: []byte(e.Key), Value: e.Value}, produced.Promise())
		l.sent.Add(1)
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	l.fedAt = time.Now()
	return errors.Join(produced.Err(), ctx.Err())
}

// wait ends when every record sent has an outcome and every assessment its result.
func (l *liveRun) wait(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for ctx.Err() == nil {
		done := l.judged.Load() + l.refused.Load()
		if done >= l.sent.Load() && l.results.Load() >= l.assessed() {
			return nil
		}
		if now := done + l.results.Load(); now != last {
			last, since = now, time.Now()
		}
		if time.Since(since) > stuck {
			return fmt.Errorf("nothing moved for %s: %d of %d records have an outcome, %d of %d verdicts were published", stuck, done, l.sent.Load(), l.results.Load(), l.assessed())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (l *liveRun) assessed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tally.outcomes[schemas.Assessed]
}

func (l *liveRun) event(partition int32, offset, appended int64, e *schemas.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checker.Record(&oracle.Record{Partition: partition, Offset: offset, Appended: appended, Event: *e})
	return nil
}

func (l *liveRun) fact(f *schemas.Fact) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checker.Fact(f)
	l.facts++
	if f.Event.Kind == schemas.KindControl || f.Outcome == schemas.Duplicate && f.Reason == "redelivery" {
		return nil
	}
	l.judged.Add(1)
	l.tally.add(f)
	for i := range f.Hits {
		l.hits = append(l.hits, generator.Hit{Rule: f.Hits[i].Rule, Customer: f.Event.Customer, Time: f.Event.Time})
	}
	l.alerts.offer(f)
	return nil
}

func (l *liveRun) rejection(r *schemas.Rejection) error {
	if r.Stage == "intake" {
		l.mu.Lock()
		l.tally.rejected[r.Reason]++
		l.mu.Unlock()
		l.refused.Add(1)
	}
	return nil
}

func (l *liveRun) result(key, value []byte, headers []kgo.RecordHeader, partition int32) error {
	var e struct {
		Type, ID string
		Data     struct{ AssessmentGuid string }
	}
	if err := json.Unmarshal(structured(value, headers), &e); err != nil {
		return fmt.Errorf("result is no CloudEvent: %w", err)
	}
	l.mu.Lock()
	l.checker.Result(&oracle.Result{Type: e.Type, ID: e.ID, GUID: e.Data.AssessmentGuid, Key: string(key), Partition: partition})
	l.mu.Unlock()
	l.results.Add(1)
	return nil
}

func (l *liveRun) progress() (done, total int64, note string) {
	done = l.judged.Load() + l.refused.Load()
	l.mu.Lock()
	alerts := l.tally.levels[schemas.LevelMedium] + l.tally.levels[schemas.LevelHigh] + l.tally.levels[schemas.LevelExtreme]
	l.mu.Unlock()
	return done, l.total, fmt.Sprintf("%s judged · %s · lag %s · %s alerts", thousands(done), perSecond(done, time.Since(l.began)), thousands(l.sent.Load()-done), thousands(alerts))
}
