package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/topology"
)

// world is the whole product with embedded servers in this process: what demo and bench run on.
type world struct {
	env     *pipeline.Env
	topo    *topology.Topology
	archive string // "on", or "off: why"
	servers *devserver.Servers
	house   *devserver.ClickHouse
	dir     string // of the ClickHouse engine; removed by close
}

// archiveChoice says where facts go.
type archiveChoice struct {
	Off bool   // no archive
	URL string // a ClickHouse of one's own; empty: the embedded engine
}

// newWorld starts the servers. A missing ClickHouse engine is no error: the archive is off then, and says why.
func newWorld(ctx context.Context, choice archiveChoice, rules string, log *slog.Logger) (*world, error) {
	w := &world{archive: "on"}
	servers, err := devserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	w.servers = servers
	c := topology.DefaultConfig()
	c.Kafka.Brokers, c.Redis.Address = servers.Brokers(), servers.RedisAddress()
	c.Rules = rules
	switch {
	case choice.Off:
		w.archive = "off: as asked"
	case choice.URL != "":
		c.ClickHouse.URL = choice.URL
	default:
		if err := w.startEngine(ctx); err != nil {
			if !errors.Is(err, devserver.ErrNoEngine) {
				return nil, errors.Join(err, w.close())
			}
			w.archive = "off: " + err.Error()
			break
		}
		c.ClickHouse.URL = w.house.URL
	}
	if err := c.Check(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	w.env = &pipeline.Env{Config: c, Log: log}
	w.topo = topology.Monitoring(&c)
	if err := pipeline.Prepare(ctx, w.topo, w.env); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) startEngine(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "streamgauge-clickhouse-"); err != nil {
		return err
	}
	w.house, err = devserver.StartClickHouse(ctx, w.dir)
	return err
}

// archived reports whether facts go to ClickHouse.
func (w *world) archived() bool { return w.env.Config.ClickHouse.URL != "" }

// run runs the product beside work and ends it when work is done; the first error of either ends both.
func (w *world) run(ctx context.Context, work func(ctx context.Context) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, gctx := errgroup.WithContext(running)
	group.Go(func() error { return pipeline.Run(gctx, w.topo, w.env) })
	group.Go(func() error {
		defer stop()
		return work(gctx)
	})
	return group.Wait()
}

// close stops the servers and removes what they wrote.
func (w *world) close() error {
	var errs []error
	if w.house != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		errs = append(errs, w.house.Close(ctx))
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	w.servers.Close()
	return errors.Join(errs...)
}

// quiet is the log of a demo: warnings and errors to stderr, so that the report stays readable.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// perSecond is n in d as a rate.
func perSecond(n int64, d time.Duration) string {
	if d <= 0 {
		return "–"
	}
	return fmt.Sprintf("%s/s", thousands(int64(float64(n)/d.Seconds())))
}
