package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"golang.org/x/sync/errgroup"

	"github.com/streamgauge/streamgauge/pipeline/archive"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// Run runs the stages of the topology in this process, all or those that env names, until ctx ends or one cannot go on, and waits for
// all of them. It reaches the servers, creates or checks the topics, publishes the configured rules where nothing was ever published,
// and starts the stages. After an orderly end everything judged is committed and the window store is level with it.
func Run(ctx context.Context, t *topology.Topology, env *Env) error {
	if err := errors.Join(t.Validate(), env.checkStages(t)); err != nil {
		return fmt.Errorf("topology %s: %w", t.Name, err)
	}
	admin, err := env.connectKafka(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	windows, closeStore, err := env.connectStore(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	log, err := env.prepare(ctx, admin, t)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	if env.runs(topology.StageIntake) {
		env.startIntake(ctx, group, t)
	}
	if env.runs(topology.StageMonitor) {
		env.startMonitor(ctx, group, t, admin, windows, log)
	}
	if env.runs(topology.StageArchive) && env.Config.ClickHouse.URL != "" {
		group.Go(func() error { return env.runArchive(ctx, t) })
	}
	env.Log.Info("running", "topology", t.Name, "organisation", env.Config.Organisation, "partitions", env.Config.Kafka.Partitions, "archive", env.Config.ClickHouse.URL != "")
	return group.Wait()
}

// runs reports whether this process runs the stage.
func (e *Env) runs(stage string) bool {
	return len(e.Stages) == 0 || slices.Contains(e.Stages, stage)
}

// checkStages finds every stage asked for that the topology does not have.
func (e *Env) checkStages(t *topology.Topology) error {
	var errs []error
	for _, name := range e.Stages {
		if !slices.ContainsFunc(t.Stages, func(s topology.Stage) bool { return s.Name == name }) {
			errs = append(errs, fmt.Errorf("stage %q is not in it; leave the stages out to run all", name))
		}
	}
	return errors.Join(errs...)
}

// publishRules makes the configured folder the first configuration. One that differs from what is in force is left alone: only apply
// switches.
func (e *Env) publishRules(ctx context.Context, admin *kadm.Client) error {
	files, err := Rules(e.Config.Rules)
	if err != nil {
		return err
	}
	a, err := apply(ctx, e, admin, files, true)
	switch {
	case err != nil:
		return fmt.Errorf("rules %s:\n%w", e.Config.Rules, err)
	case a.Changed:
		e.Log.Info("first configuration published", "version", a.Version, "rules", e.Config.Rules)
	case a.Differs:
		e.Log.Warn("the rules folder differs from the configuration in force, which stays; `streamgauge apply` switches", "version", a.Version, "rules", e.Config.Rules)
	}
	return nil
}

func (e *Env) startIntake(ctx context.Context, group *errgroup.Group, t *topology.Topology) {
	stage := t.Stage(topology.StageIntake)
	for i := range e.Config.Intake.Workers {
		name := fmt.Sprintf("%s-%d-%d", stage.Name, e.Ordinal, i)
		w := &intakeWorker{env: e, stage: stage, name: name, log: e.Log.With("stage", stage.Name)}
		group.Go(func() error { return w.run(ctx) })
	}
}

func (e *Env) startMonitor(ctx context.Context, group *errgroup.Group, t *topology.Topology, admin *kadm.Client, windows store.Store, log string) {
	stage := t.Stage(topology.StageMonitor)
	broker := &brokerLog{env: e, admin: admin}
	configs := NewConfigurations(broker, wallClock{}, e.Log)
	halts := &Halts{First: e.Config.Monitor.EndOnHalt}
	lanes := min(e.Config.Monitor.Lanes, int(e.Config.Kafka.Partitions))
	for i := range lanes {
		name := fmt.Sprintf("%s-%d-%d", stage.Name, e.Ordinal, i)
		join := func(ctx context.Context) (Session, error) { return newSession(ctx, e, stage, name) }
		l := NewLane(LaneConfig{
			Name: name, Stage: stage.Name, Chain: stage.Chain, Generation: e.Config.Generation, Partitions: e.Config.Kafka.Partitions,
			TopicID: log, Committer: transactionalID(name), Monitor: e.Config.Monitor, Memory: e.Config.Monitor.Memory << 20 / lanes, Configs: configs, Halts: halts, Logger: e.Log.With("stage", stage.Name, "lane", name),
			Surroundings: Surroundings{Join: join, Log: broker, Past: FactsTopic(broker), Store: windows, Clock: wallClock{}, Go: goroutine},
		})
		group.Go(func() error { return l.Run(ctx) })
	}
}

func (e *Env) runArchive(ctx context.Context, t *topology.Topology) error {
	stage := t.Stage(topology.StageArchive)
	return archive.Run(ctx, archive.Config{
		Kafka: e.kafkaOpts(stage.Name), ClickHouse: e.Config.ClickHouse.URL, Options: archive.Options{Database: e.Config.ClickHouse.Database},
		Topic: stage.From[0], Rejected: schemas.RejectedRecords.Name, Group: stage.Group, Logger: e.Log.With("stage", stage.Name),
	})
}

// Migrate brings the archive's tables up to date and returns what it applied.
func Migrate(ctx context.Context, env *Env) ([]string, error) {
	c := env.Config.ClickHouse
	if c.URL == "" {
		return nil, errors.New("clickhouse.url is empty: there is no archive to migrate")
	}
	conn, err := archive.Open(c.URL)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := env.reach(ctx, "clickhouse", c.URL, conn.Ping); err != nil {
		return nil, err
	}
	return archive.Migrate(ctx, conn, archive.Options{Database: c.Database})
}
