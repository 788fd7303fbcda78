package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// stand is servers, topics and rules with running clients of one kind on them, for benches that load them from outside.
type stand struct {
	common  *Common
	ground  ground
	files   []schemas.SnapshotFile
	number  int // of the stands so far; names group and generation
	peer    string
	stages  []string // of a monitor; none: monitor alone
	likes   Round    // whose records' mean sizes the passthrough's have
	task    *task
	at      site
	workers []*process
}

// open prepares everything and waits until so many workers rest in their group. The caller closes the stand, whatever open returned.
func (s *stand) open(ctx context.Context, workers int) error {
	s.task = &task{Group: fmt.Sprintf("streamgauge-bench-%d", s.number), Stages: s.stages}
	s.task.FactBytes, s.task.ResultBytes = s.likes.sizes()
	s.task.Config = s.common.config(site{}, s.number)
	var err error
	if s.at, err = s.ground.open(ctx, s.task.topology()); err != nil {
		s.ground = nil
		return err
	}
	s.task.Config = s.common.config(s.at, s.number)
	env := &pipeline.Env{Config: s.task.Config, Log: slog.New(slog.DiscardHandler)}
	if err := pipeline.Prepare(ctx, s.task.topology(), env); err != nil {
		return err
	}
	if _, err := pipeline.Apply(ctx, env, s.files, true); err != nil {
		return err
	}
	for ordinal := range workers {
		if err := s.start(ordinal); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// start adds the worker of this number; it does not wait for it.
func (s *stand) start(ordinal int) error {
	t := *s.task
	t.Ordinal = ordinal
	p, err := start(s.peer, &t)
	if err != nil {
		return err
	}
	s.workers = append(s.workers, p)
	return nil
}

// settle waits until the workers rest in their group and have each ended a transaction.
func (s *stand) settle(ctx context.Context) error {
	admin, err := connect(s.at.brokers)
	if err != nil {
		return err
	}
	defer admin.Close()
	g := &gauge{admin: admin, client: s.workers[0], others: s.workers[1:], task: s.task}
	return g.settle(ctx, schemas.Snapshot{Version: 1, Files: s.files})
}

// close stops the workers that still run and takes away what is left.
func (s *stand) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deletedWithin+time.Minute)
	defer cancel()
	var errs []error
	for _, p := range s.workers {
		errs = append(errs, p.stop())
	}
	s.workers = nil
	if s.ground != nil {
		errs = append(errs, s.ground.close(ctx, s.task))
	}
	return errors.Join(errs...)
}

// chain is intake's own way from a producer's record to an event.
func (s *stand) chain() []operators.Operator { return intakeChain(s.task.topology()) }

// both are the stages between a producer and a verdict.
var both = []string{topology.StageIntake, topology.StageMonitor}

// sizes are the mean sizes of the round's facts and of its CloudEvents without their header.
func (r *Round) sizes() (fact, result int) {
	mean := func(sum, n int64) int { return int((sum + n/2) / max(n, 1)) }
	return mean(r.FactBytes, r.Facts), max(0, mean(r.ResultBytes, r.Results)-headerBytes(resultHeaders))
}
