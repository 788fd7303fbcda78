package demo

import (
	"context"
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
}

// Run implements the verb.
func (c Command) Run(ctx context.Context) error {
	m, err := input.ParseMapping(c.Map)
	if err != nil {
		return err
	}
	choice := archiveChoice{Off: c.NoArchive, URL: c.Clickhouse}
	return RunFile(ctx, FileOptions{Input: c.Input, Mapping: m, Rules: c.Rules, Out: c.Out, Archive: choice, Stdout: os.Stdout})
}
