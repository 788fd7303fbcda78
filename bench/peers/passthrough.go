package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// passthrough is the monitor without what makes it one: as many sessions with the same settings, which read topic events and write for
// each record one of a fact's size and for each event one of a CloudEvent's, to the same topics and partitions, in transactions that
// end as the monitor's do, when what one poll brought is written.
func passthrough(ctx context.Context, t *task, log *slog.Logger) error {
	stage := t.topology().Stage(topology.StageMonitor)
	env := &pipeline.Env{Config: t.Config, Log: log}
	group, ctx := errgroup.WithContext(ctx)
	for i := range t.Config.Monitor.Lanes {
		name := fmt.Sprintf("passthrough-%d", i)
		p := &plain{fact: make([]byte, t.FactBytes), result: make([]byte, t.ResultBytes), limit: t.Config.Monitor.MaxPoll}
		opts := pipeline.SessionOpts(env, stage, name)
		group.Go(func() error {
			if err := p.run(ctx, opts); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// plain is one session of the passthrough.
type plain struct {
	session      *kgo.GroupTransactSession
	fact, result []byte // what every record of theirs holds
	limit        int    // records of one poll
}

func (p *plain) run(ctx context.Context, opts []kgo.Opt) (err error) {
	client, cancel := context.WithCancel(context.WithoutCancel(ctx)) // of the client's own requests: a rebalance must not hold up the end
	defer cancel()
	if p.session, err = kgo.NewGroupTransactSession(append(opts, kgo.WithContext(client))...); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := p.turn(ctx); err != nil {
			return err
		}
	}
	cancel()
	p.session.CloseAllowingRebalance()
	return nil
}

// turn is one poll and its transaction.
func (p *plain) turn(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := p.session.PollRecords(wait, p.limit)
	defer p.session.AllowRebalance()
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return fmt.Errorf("poll: topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	if fetches.NumRecords() == 0 {
		return nil
	}
	if err := p.session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	produced := kgo.AbortingFirstErrPromise(p.session.Client())
	for it := fetches.RecordIter(); !it.Done(); {
		p.produce(ctx, it.Next(), produced)
	}
	err := produced.Err()
	// A commit that a rebalance turned into an abort is no error: the records come again.
	if _, endErr := p.session.End(context.WithoutCancel(ctx), kgo.TransactionEndTry(err == nil)); endErr != nil {
		return fmt.Errorf("end: %w", endErr)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("produce: %w", err)
	}
	return nil
}

func (p *plain) produce(ctx context.Context, r *kgo.Record, produced *kgo.FirstErrPromise) {
	p.session.Produce(ctx, &kgo.Record{Topic: schemas.Facts.Name, Partition: r.Partition, Key: r.Key, Value: p.fact}, produced.Promise())
	if len(r.Key) == 0 {
		return // a control record, of which the monitor makes a fact only
	}
	p.session.Produce(ctx, &kgo.Record{
		Topic: schemas.OperationRealtime, Partition: r.Partition, Key: r.Key, Value: p.result,
		Headers: resultHeaders,
	}, produced.Promise())
}

// resultHeaders are what a structured CloudEvent carries.
var resultHeaders = []kgo.RecordHeader{{Key: "content-type", Value: []byte(schemas.StructuredContentType)}}
