package demo

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/streamgauge/streamgauge/bench/input"
)

// Command is verb demo.
type Command struct {
	Input      []string `help:"Replay this file (.csv or .jsonl, gzip or not) instead of generated traffic; several are read one after the other." type:"existingfile" placeholder:"FILE"`
	Map        string   `help:"How the file's columns are named: customer=acct,amount=amt_cents:1e-2,time=ts:unix." placeholder:"MAP"`
	Rules      string   `help:"Folder with rules, features and policy; without it the built-in library." type:"existingdir" placeholder:"DIR"`
	Out        string   `help:"Folder for facts.jsonl, results.jsonl and rejected.jsonl." default:"demo-out" placeholder:"DIR"`
	Clickhouse string   `help:"Use this ClickHouse instead of the embedded engine." placeholder:"URL"`
	NoArchive  bool     `help:"Run without ClickHouse."`
	Events     int64    `help:"How many generated events to stream." default:"200000"`
	Seed       uint64   `help:"Of the generated traffic: the same seed is the same traffic." default:"1"`
}

// Run implements the verb.
func (c Command) Run(ctx context.Context) error {
	choice := archiveChoice{Off: c.NoArchive, URL: c.Clickhouse}
	if len(c.Input) == 0 {
		return c.runLive(ctx, choice)
	}
	m, err := input.ParseMapping(c.Map)
	if err != nil {
		return err
	}
	return RunFile(ctx, FileOptions{Input: c.Input, Mapping: m, Rules: c.Rules, Out: c.Out, Archive: choice, Stdout: os.Stdout})
}

func (c Command) runLive(ctx context.Context, choice archiveChoice) error {
	var bad []error
	if c.Map != "" {
		bad = append(bad, fmt.Errorf("--map %s: it names a file's columns; give the file by --input", c.Map))
	}
	if c.Rules != "" {
		bad = append(bad, fmt.Errorf("--rules %s: generated traffic is held against an oracle of the built-in rules; try your own on a file by --input", c.Rules))
	}
	if c.Events < 1 {
		bad = append(bad, fmt.Errorf("--events %d: give at least 1", c.Events))
	}
	if err := errors.Join(bad...); err != nil {
		return err
	}
	return RunLive(ctx, LiveOptions{Events: c.Events, Seed: c.Seed, Archive: choice, Stdout: os.Stdout})
}
