package peers

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/topology"
)

// Command is verb bench.
type Command struct {
	Events     int64    `help:"How many events a round has." default:"200000"`
	Rounds     int      `help:"How many rounds monitor and passthrough each have." default:"3"`
	Lanes      int      `help:"Transactional sessions of either." default:"4"`
	Partitions int32    `help:"Of topic events and what is partitioned like it." default:"8"`
	Rules      string   `help:"Folder with rules, features and policy; without it the built-in library." type:"existingdir" placeholder:"DIR"`
	Kafka      []string `help:"Real brokers instead of the embedded one. They must hold none of our topics: bench makes and deletes them." placeholder:"HOST:PORT"`
	Redis      string   `help:"The real Redis that belongs to --kafka; its database 0 must be empty." placeholder:"HOST:PORT"`
	JSON       bool     `name:"json" help:"Print the report as JSON, every round included."`
	Cpuprofile string   `help:"Let one more round of the monitor write its CPU profile here; it stands in no figure." placeholder:"FILE"`
	Commit     string   `help:"The commit to name in the report; without it the one that the binary was built from, if it knows." placeholder:"HASH"`

	As string `hidden:"" help:"What this process is in a bench that another one runs."`
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
	files, err := pipeline.Rules(c.Rules)
	if err != nil {
		return nil, err
	}
	s := &series{command: c, files: files, ground: &embedded{}}
	if len(c.Kafka) > 0 {
		s.ground = &given{brokers: c.Kafka, redis: c.Redis}
	}
	return s.run(ctx)
}

// Bounds of a bench.
const (
	maxEvents = 50_000_000 // the embedded broker holds some 2 KB of memory for each
	maxRounds = 100        // more medians are not better ones
)

// check finds every mistake of the flags at once.
func (c Command) check() error {
	var bad []error
	if c.Events < 1 || c.Events > maxEvents {
		bad = append(bad, fmt.Errorf("--events %d: give 1 to %d", c.Events, maxEvents))
	}
	if c.Rounds < 1 || c.Rounds > maxRounds {
		bad = append(bad, fmt.Errorf("--rounds %d: give 1 to %d", c.Rounds, maxRounds))
	}
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

// config is the product's configuration of one round: its defaults but for the servers, the flags, and a generation of its own.
func (c Command) config(at site, round int) topology.Config {
	conf := topology.DefaultConfig()
	conf.Organisation, conf.Generation = "bench", int32(round)
	conf.Rules = c.Rules
	conf.Kafka.Brokers, conf.Redis.Address = at.brokers, at.redis
	conf.Kafka.Partitions, conf.Monitor.Lanes = c.Partitions, c.Lanes
	return conf
}
