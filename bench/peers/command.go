package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/streamgauge/streamgauge/topology"
)

// Verb is verb bench: each of its commands measures one figure of the design, on its own, and prints it beside its goal.
type Verb struct {
	Monitor  Command  `cmd:"" default:"withargs" help:"The monitor's throughput and CPU per event beside a plain passthrough (the default)."`
	Latency  Latency  `cmd:"" help:"Latency from outside, under an open load: what the monitor adds to the passthrough, and end to end."`
	Redis    Window   `cmd:"" help:"Bytes and keys written to the window store per event."`
	Recovery Recovery `cmd:"" help:"How long partitions stand still after a kill -9 and in planned moves."`
	Memory   Memory   `cmd:"" help:"Bytes per retained event in the monitor's memory and in the window store."`
	Scale    Scale    `cmd:"" help:"CPU per event against the number of customers and of partitions, as plots."`
}

// Common are the flags of every bench.
type Common struct {
	Rounds     int      `help:"How many repetitions." default:"5"`
	Lanes      int      `help:"Transactional sessions of a process." default:"4"`
	Partitions int32    `help:"Of topic events and what is partitioned like it." default:"12"`
	Rules      string   `help:"Folder with rules, features and policy; without it five rules over twenty windows." type:"existingdir" placeholder:"DIR"`
	Kafka      []string `help:"Real brokers instead of the embedded one. They must hold none of our topics: bench makes and deletes them." placeholder:"HOST:PORT"`
	Redis      string   `help:"The real Redis that belongs to --kafka; its database 0 must be empty." placeholder:"HOST:PORT"`
	JSON       bool     `name:"json" help:"Print the report as JSON, every repetition included."`
	Quick      bool     `help:"A tenth of the load or time: to see that a bench works, not what the figures are."`
	Commit     string   `help:"The commit to name in the report; without it the one that the binary was built from, if it knows." placeholder:"HASH"`
}

// load is how much of n a round gets: a tenth, if it is to be quick.
func (c *Common) load(n int64) int64 {
	if c.Quick {
		return max(n/10, 1)
	}
	return n
}

// Command is bench monitor.
type Command struct {
	Common
	Events     int64  `help:"How many events a round has." default:"200000"`
	Cpuprofile string `help:"Let one more round of the monitor write its CPU profile here; it stands in no figure." placeholder:"FILE"`

	Customers int           `kong:"-"` // of the workload; 0: one for each 100 events
	Period    time.Duration `kong:"-"` // of event time that the workload covers; 0: 90 days
	As        string        `hidden:"" help:"What this process is in a bench that another one runs."`
}

// Run implements the verb.
func (c Command) Run(ctx context.Context) error {
	if c.As != "" {
		return runChild(ctx, c.As, os.Stdin, os.Stdout)
	}
	report, err := c.Measure(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return report.WriteJSON(os.Stdout)
	}
	return report.WriteText(os.Stdout)
}

// Measure runs the whole bench and returns what it found. It starts processes of this very program, which it waits for.
func (c Command) Measure(ctx context.Context) (*Report, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s, err := c.series()
	if err != nil {
		return nil, err
	}
	return s.run(ctx)
}

// series prepares rounds of this command.
func (c Command) series() (*series, error) {
	c.Events = c.load(c.Events)
	files, err := rules(c.Rules)
	if err != nil {
		return nil, err
	}
	return &series{command: c, files: files, ground: c.ground(), now: time.Now().UnixMilli()}, nil
}

// ground is where the bench's servers come from.
func (c *Common) ground() ground {
	if len(c.Kafka) > 0 {
		return &given{brokers: c.Kafka, redis: c.Redis}
	}
	return &embedded{}
}

// Bounds of a bench.
const (
	maxEvents = 50_000_000 // the embedded broker holds some 2 KB of memory for each
	maxRounds = 100        // more medians are not better ones
	maxRate   = 1_000_000  // events/s of an open load; one producer reaches less
)

// check finds every mistake of the flags at once.
func (c Command) check() error {
	return errors.Join(within("events", c.Events, 1, maxEvents), c.Common.check())
}

func (c *Common) check() error {
	var bad []error
	bad = append(bad, within("rounds", int64(c.Rounds), 1, maxRounds))
	if int32(c.Lanes) > c.Partitions {
		bad = append(bad, fmt.Errorf("--lanes %d: %d partitions keep %d lanes busy at most; give more --partitions", c.Lanes, c.Partitions, c.Partitions))
	}
	if (len(c.Kafka) > 0) != (c.Redis != "") {
		bad = append(bad, fmt.Errorf("--kafka %q and --redis %q belong together: give both, or none for the embedded servers", c.Kafka, c.Redis))
	}
	conf := c.config(site{brokers: []string{"127.0.0.1:1"}, redis: "127.0.0.1:1"}, 1)
	if len(c.Kafka) > 0 {
		conf.Kafka.Brokers = c.Kafka
	}
	if c.Redis != "" {
		conf.Redis.Address = c.Redis
	}
	return errors.Join(append(bad, conf.Check())...)
}

// within names a flag whose value is out of its bounds.
func within(flag string, value, least, most int64) error {
	if value < least || value > most {
		return fmt.Errorf("--%s %d: give %d to %d", flag, value, least, most)
	}
	return nil
}

// config is the product's configuration of one round: its defaults but for the servers, the flags, and a generation of its own.
func (c *Common) config(at site, round int) topology.Config {
	conf := topology.DefaultConfig()
	conf.Organisation, conf.Generation = "bench", int32(round)
	conf.Rules = c.Rules
	conf.Kafka.Brokers, conf.Redis.Address = at.brokers, at.redis
	conf.Kafka.Partitions, conf.Monitor.Lanes = c.Partitions, c.Lanes
	return conf
}
