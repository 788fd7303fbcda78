// Command streamgauge monitors transactions in real time on Kafka, Redis and ClickHouse. This file parses and wires; what the verbs do
// is in the packages below.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/streamgauge/streamgauge/bench/demo"
	"github.com/streamgauge/streamgauge/bench/peers"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/topology"
)

// verbs is the command line.
type verbs struct {
	Demo     demo.Command `cmd:"" help:"Run the whole product with embedded servers, on generated traffic or on your own file."`
	Run      runVerb      `cmd:"" help:"Run the stages on real servers, as a configuration file says."`
	Apply    applyVerb    `cmd:"" help:"Validate a rules folder, publish it and switch every partition to it."`
	Migrate  migrateVerb  `cmd:"" help:"Bring ClickHouse's tables up to date; run does the same when it starts."`
	Bench    peers.Verb   `cmd:"" help:"Measure one of the design's figures by name and print it beside its goal."`
	Describe describeVerb `cmd:"" help:"Print the topology as text and as a mermaid flow chart."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	var v verbs
	k := kong.Parse(&v, kong.Name("streamgauge"), kong.Description("Real-time transaction monitoring: exact windows, one verdict per event."),
		kong.UsageOnError(), kong.BindTo(ctx, (*context.Context)(nil)))
	err := k.Run()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "streamgauge:", err)
		os.Exit(1)
	}
	if ctx.Err() != nil {
		os.Exit(130) // stopped by a signal, cleanly
	}
}

// configFile is the flag that run, apply and the like share.
type configFile struct {
	Config string `help:"Configuration file (YAML); without it the defaults: Kafka on 127.0.0.1:9092, Redis on 127.0.0.1:6379, no archive." type:"existingfile" placeholder:"FILE" env:"STREAMGAUGE_CONFIG"`
}

// env reads the file and makes the environment of a process that logs to stderr.
func (c configFile) env() (*pipeline.Env, error) {
	var text []byte
	if c.Config != "" {
		var err error
		if text, err = os.ReadFile(c.Config); err != nil {
			return nil, err
		}
	}
	conf, err := topology.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Config, err)
	}
	ordinal := 0
	if s := os.Getenv("STREAMGAUGE_ORDINAL"); s != "" {
		if ordinal, err = strconv.Atoi(s); err != nil || ordinal < 0 {
			return nil, fmt.Errorf("STREAMGAUGE_ORDINAL: %q is not a number from 0; each replica needs its own", s)
		}
	}
	return &pipeline.Env{Config: conf, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Ordinal: ordinal}, nil
}

type runVerb struct{ configFile }

// Run implements the verb.
func (v runVerb) Run(ctx context.Context) error {
	env, err := v.env()
	if err != nil {
		return err
	}
	return pipeline.Run(ctx, topology.Monitoring(&env.Config), env)
}

type applyVerb struct {
	configFile
	Dir string `arg:"" help:"Folder with rules, features and policy." type:"existingdir"`
}

// Run implements the verb.
func (v applyVerb) Run(ctx context.Context) error {
	env, err := v.env()
	if err != nil {
		return err
	}
	files, err := pipeline.ReadRules(v.Dir)
	if err != nil {
		return err
	}
	applied, err := pipeline.Apply(ctx, env, files, false)
	switch {
	case err != nil:
		return fmt.Errorf("%s is refused, the configuration in force stays:\n%w", v.Dir, err)
	case applied.Changed:
		fmt.Printf("configuration %d is published and begins in every partition\n", applied.Version)
	default:
		fmt.Printf("configuration %d in force is this folder already\n", applied.Version)
	}
	return nil
}

type migrateVerb struct{ configFile }

// Run implements the verb.
func (v migrateVerb) Run(ctx context.Context) error {
	env, err := v.env()
	if err != nil {
		return err
	}
	applied, err := pipeline.Migrate(ctx, env)
	if err != nil {
		return err
	}
	for _, name := range applied {
		fmt.Println("applied", name)
	}
	if len(applied) == 0 {
		fmt.Println("the tables are up to date")
	}
	return nil
}

type describeVerb struct{ configFile }

// Run implements the verb.
func (v describeVerb) Run() error {
	env, err := v.env()
	if err != nil {
		return err
	}
	t := topology.Monitoring(&env.Config)
	fmt.Printf("%s\n%s", t.Text(), t.Mermaid())
	return nil
}
