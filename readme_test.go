package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

var update = flag.Bool("update", false, "rewrite the README's picture")

var (
	testDefined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9]*(?:_[A-Za-z0-9]+)*)\(`)
	testNamed   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Za-z0-9]*(?:_[A-Za-z0-9]+)+\b|\bTestLayering\b`)
)

// A guarantee whose test is gone, or was renamed, is a promise that nothing holds.
func TestReadme_EveryTestThatItNamesExists(t *testing.T) {
	defined := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range testDefined.FindAllSubmatch(text, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"README.md", "pipeline/doc.go", "bench/RESULTS.md", "deploy/README.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testNamed.FindAllString(string(text), -1) {
			if !defined[name] {
				t.Errorf("%s names %s, which is no test", page, name)
			}
		}
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The picture is what describe prints.
func TestReadme_ThePictureIsTheTopology(t *testing.T) {
	text := readme(t)
	c := topology.DefaultConfig()
	const open, end = "```mermaid\n", "```\n"
	before, rest, found := strings.Cut(text, open)
	got, behind, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("the README has no mermaid picture")
	}
	want := topology.Monitoring(&c).Mermaid()
	if *update {
		if err := os.WriteFile("README.md", []byte(before+open+want+end+behind), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the README's picture is not what `streamgauge describe` prints; -update rewrites it:\n%s", want)
	}
}

// The numbers of the README's limits are the code's.
func TestReadme_TheLimitsAreTheConstants(t *testing.T) {
	text := readme(t)
	year := func(ms int64) int { return time.UnixMilli(ms).UTC().Year() }
	for _, row := range []string{
		fmt.Sprintf(`| \|amount\| | %s |`, grouped(schemas.FormatAmount(schemas.MaxAmount))),
		fmt.Sprintf("| event time | %d to %d, at most %d min ahead of the log |", year(operators.MinTime), year(operators.MaxTime), operators.FutureTolerance/60_000),
		fmt.Sprintf("| input record | %d MiB, %d levels deep, %d attributes |", operators.MaxValue>>20, operators.MaxDepth, operators.MaxAttributes),
		fmt.Sprintf("| text, ids | %s and %d bytes |", number(operators.MaxText), operators.MaxID),
		fmt.Sprintf("| rules, features | %s, %s |", number(rule.MaxRules), number(rule.MaxFeatures)),
		fmt.Sprintf("| distinct windows, aggregates, filters | %d, %s, %d |", rule.MaxWindows, number(rule.MaxAggregates), rule.MaxFilters),
		fmt.Sprintf("| fields of past events read, scans, sets of equal fields | %d, %d, %d distinct |", rule.MaxColumns, rule.MaxScans, rule.MaxEquals),
		fmt.Sprintf("| distinct values in a window | %s, beyond it ND |", number(window.MaxDistinct)),
		fmt.Sprintf("| how late an event may come | the longest window + `policy.slack` (%d h) |", rule.DefaultPolicy().Slack/3_600_000),
	} {
		if !strings.Contains(text, "\n"+row) {
			t.Errorf("the README's limits lack %s", row)
		}
	}
}

func number(n int) string { return grouped(strconv.Itoa(n)) }

// grouped sets commas between the thousands of a decimal's whole part.
func grouped(decimal string) string {
	whole, fraction, _ := strings.Cut(decimal, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return whole + fraction
}
