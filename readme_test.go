package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/topology"
)

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

// The picture is what describe prints.
func TestReadme_ThePictureIsTheTopology(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	c := topology.DefaultConfig()
	if want := "```mermaid\n" + topology.Monitoring(&c).Mermaid() + "```\n"; !strings.Contains(string(text), want) {
		t.Errorf("the README's picture is not what `streamgauge describe` prints:\n%s", want)
	}
}
