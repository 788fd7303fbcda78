package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/streamgauge/streamgauge"

// house is the top level: the folders, which must all be there, and the files, which may.
var house = struct{ folders, files []string }{
	folders: []string{"bench", "deploy", "operators", "pipeline", "schemas", "topology"},
	files:   []string{"LICENSE", "Makefile", "README.md", "go.mod", "go.sum", "main.go", "main_test.go", "readme_test.go"},
}

// layers in the order of the import law: a package imports its own layer and those before it. "main" stands for the root package.
var layers = []string{"schemas", "operators", "topology", "pipeline", "bench", "main"}

// vagueNames say nothing about what is inside.
var vagueNames = []string{"internal", "pkg", "util", "utils", "common", "types", "helper", "helpers"}

// clients reach out of the process, or exist to be asked from outside; each stands for everything below it.
var clients = []string{
	"net", "os", "syscall", "database/sql", "golang.org/x/net", "golang.org/x/sys", "google.golang.org/grpc",
	"github.com/twmb/franz-go", "github.com/IBM/sarama", "github.com/confluentinc/confluent-kafka-go", "github.com/segmentio/kafka-go",
	"github.com/redis", "github.com/alicebob/miniredis", "github.com/ClickHouse", "github.com/ebitengine/purego",
	"github.com/prometheus/client_golang", "go.opentelemetry.io/otel",
}

// parsers lie beside the clients by name, but only read text.
var parsers = []string{"net/url", "net/netip", "net/mail"}

// clockReads are the functions of package time that look at, or wait for, the machine's clock.
var clockReads = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

func TestLayering(t *testing.T) {
	violations, parsed := layering(os.DirFS("."))
	for _, v := range violations {
		t.Error(v)
	}
	if parsed < 10 { // schemas alone has more
		t.Errorf("only %d Go files were found from the repository's root", parsed)
	}
}

// TestLayering_CheckerFindsPlantedViolations holds the checker itself: each row adds one file to a lawful house, and names what must be said.
func TestLayering_CheckerFindsPlantedViolations(t *testing.T) {
	src := func(pkg string, imports ...string) string {
		for i, s := range imports {
			imports[i] = "import _ " + strconv.Quote(s) + "\n"
		}
		return "package " + pkg + "\n" + strings.Join(imports, "")
	}
	ours := func(p string) string { return module + "/" + p }
	for _, c := range []struct {
		file, content, want string // want "" = lawful
	}{
		{"schemas/a.go", src("schemas", "time", "strings", "github.com/twmb/avro"), ""},
		{"schemas/a.go", src("schemas", ours("operators")), "schemas/a.go: schemas must not import operators"},
		{"schemas/wire/a.go", src("wire", ours("topology")), "schemas/wire/a.go: schemas must not import topology"},
		{"schemas/a_test.go", src("schemas_test", ours("pipeline/store")), "schemas/a_test.go: schemas must not import pipeline/store"},
		{"operators/a.go", src("operators", ours("schemas"), ours("operators/window"), ours("operators/rule")), ""},
		{"operators/a.go", src("operators", ours("topology")), "operators/a.go: operators must not import topology"},
		{"operators/window/a.go", src("window", ours("schemas"), "math/bits"), ""},
		{"operators/window/a.go", src("window", ours("operators")), "operators/window/a.go: the leaf operators/window must not import operators"},
		{"operators/rule/a.go", src("rule", ours("operators/window")), "operators/rule/a.go: the leaf operators/rule must not import operators/window"},
		{"operators/rule/a.go", src("rule", ours("operators/rule/library")), ""},
		{"operators/rule/a_test.go", src("rule_test", ours("operators/window")), ""},
		{"topology/a.go", src("topology", ours("operators/rule"), ours("schemas")), ""},
		{"topology/a.go", src("topology", ours("pipeline")), "topology/a.go: topology must not import pipeline"},
		{"pipeline/a.go", src("pipeline", ours("topology"), "os", "net/http", "github.com/twmb/franz-go/pkg/kgo"), ""},
		{"pipeline/a.go", src("pipeline", ours("bench/oracle")), "pipeline/a.go: pipeline must not import bench/oracle"},
		{"bench/a.go", src("bench", ours("pipeline/devserver"), "os"), ""},
		{"bench/a.go", src("bench", module), "bench/a.go: bench must not import main"},
		{"bench/oracle/a.go", src("oracle", ours("operators/window")), "bench/oracle/a.go: the oracle must not import operators/window"},
		{"bench/oracle/a_test.go", src("oracle_test", ours("bench/generator")), ""},
		{"deploy/a_test.go", src("deploy_test", ours("pipeline"), "os"), ""},
		{"deploy/a.go", src("deploy", ours("schemas")), "deploy/a.go: deploy holds tests only"},
		{"operators/a.go", src("operators", "net"), "operators/a.go: net is for pipeline and above"},
		{"operators/a.go", src("operators", "net/http"), "operators/a.go: net/http is for pipeline and above"},
		{"schemas/a.go", src("schemas", "os/exec"), "schemas/a.go: os/exec is for pipeline and above"},
		{"topology/a.go", src("topology", "github.com/redis/go-redis/v9"), "topology/a.go: github.com/redis/go-redis/v9 is for pipeline and above"},
		{"operators/a.go", src("operators", "github.com/ClickHouse/clickhouse-go/v2"), "operators/a.go: github.com/ClickHouse/clickhouse-go/v2 is for pipeline and above"},
		{"operators/rule/a.go", src("rule", "github.com/twmb/franz-go/pkg/kgo"), "operators/rule/a.go: github.com/twmb/franz-go/pkg/kgo is for pipeline and above"},
		{"operators/a_test.go", src("operators_test", "os", "net"), ""},
		{"operators/a.go", src("operators", "network", "osmosis/x", "net/url"), ""},
		{"operators/a.go", "package operators\nimport \"time\"\nvar t = time.Now()\n", "operators/a.go:3: time.Now reads the machine's clock"},
		{"schemas/a.go", "package schemas\nimport clock \"time\"\nvar now = clock.Now\n", "schemas/a.go:3: time.Now reads the machine's clock"},
		{"topology/a.go", "package topology\nimport . \"time\"\nvar now = Now\n", "topology/a.go: time must not be imported with a dot"},
		{"operators/a.go", "package operators\nimport \"time\"\nvar d = time.Since(time.Time{})\n", "operators/a.go:3: time.Since reads the machine's clock"},
		{"operators/a.go", "package operators\nimport \"time\"\nvar s struct{ Now int }\nvar u, d = s.Now, time.Second\n", ""},
		{"operators/a_test.go", "package operators\nimport \"time\"\nvar t = time.Now()\n", ""},
		{"pipeline/a.go", "package pipeline\nimport \"time\"\nvar t = time.Now()\n", ""},
		{"operators/helpers/a.go", src("helpers"), "operators/helpers: a folder is named for what is in it"},
		{"pipeline/internal/a.txt", "", "pipeline/internal: a folder is named for what is in it"},
		{"cmd/a.go", src("cmd"), "cmd: not a folder of the house"},
		{"notes.md", "", "notes.md: not a file of the house's top level"},
		{"second.go", src("main"), "second.go: not a file of the house's top level"},
		{".golangci.yml", "", ""},
		{".ci/run", "", ""},
		{"bin/streamgauge", "", ""},
		{"out.prof", "", ""},
		{"operators/testdata/planted/a.go", src("planted", ours("pipeline")), ""},
		{"operators/a.go", "package operators\nimport \"", "operators/a.go: does not parse"},
	} {
		t.Run(c.file, func(t *testing.T) {
			fsys := fstest.MapFS{
				".gitignore": {Data: []byte("/.cache/\n/bin/\n*.prof\n")},
				"main.go":    {Data: []byte(src("main", ours("bench"), ours("pipeline")))},
			}
			for _, f := range house.folders {
				fsys[f+"/doc.md"] = &fstest.MapFile{}
			}
			fsys[c.file] = &fstest.MapFile{Data: []byte(c.content)}
			got, _ := layering(fsys)
			if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Errorf("%s\nsaid %q\nwant %q", c.content, got, c.want)
			}
		})
	}
	if got, _ := layering(fstest.MapFS{"main.go": {Data: []byte("package main")}}); len(got) != len(house.folders) {
		t.Errorf("an empty house: said %q, want one line for each of %q", got, house.folders)
	}
}

// layering walks a repository and returns what breaks the house's law, one line each, and how many Go files it parsed.
// Hidden entries, testdata and what .gitignore names are not looked at.
func layering(fsys fs.FS) (violations []string, parsed int) {
	say := func(format string, args ...any) { violations = append(violations, fmt.Sprintf(format, args...)) }
	ignored := ignores(fsys)
	for _, f := range house.folders {
		if info, err := fs.Stat(fsys, f); err != nil || !info.IsDir() {
			say("%s: this folder of the house is missing", f)
		}
	}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		name := d.Name()
		switch {
		case err != nil || p == ".":
			return err
		case strings.HasPrefix(name, ".") || name == "testdata" || ignored(p, d.IsDir()):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.IsDir() && !strings.Contains(p, "/") && !slices.Contains(house.folders, p):
			say("%s: not a folder of the house (%s)", p, strings.Join(house.folders, " "))
			return fs.SkipDir
		case d.IsDir() && slices.Contains(vagueNames, name):
			say("%s: a folder is named for what is in it, not %q", p, name)
		case !d.IsDir() && !strings.Contains(p, "/") && !slices.Contains(house.files, p):
			say("%s: not a file of the house's top level (%s)", p, strings.Join(house.files, " "))
		case !d.IsDir() && strings.HasSuffix(p, ".go"):
			parsed++
			for _, v := range lawOf(fsys, p) {
				say("%s%s", p, v)
			}
		}
		return nil
	})
	if err != nil {
		say("walk: %v", err)
	}
	return violations, parsed
}

// lawOf returns what one Go file breaks, each beginning with ": " or ":LINE: ".
func lawOf(fsys fs.FS, p string) (broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	src, err := fs.ReadFile(fsys, p)
	if err != nil {
		return []string{": " + err.Error()}
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, p, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{": does not parse: " + err.Error()}
	}
	dir, test := path.Dir(p), strings.HasSuffix(p, "_test.go")
	pure := slices.Contains(layers[:3], layerOf(dir)) && !test
	if layerOf(dir) == "deploy" && !test {
		say(": deploy holds tests only: programs are in pipeline and above")
		return broken
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			say(": import %s: %v", spec.Path.Value, err)
			continue
		}
		if target, ok := cutModule(imported); ok {
			if v := importLaw(dir, target, test); v != "" {
				say(": %s", v)
			}
		} else if pure && isClient(imported) {
			say(": %s is for pipeline and above; %s is pure", imported, layerOf(dir))
		}
		if imported == "time" && pure {
			broken = append(broken, clockReadsOf(set, file, spec)...)
		}
	}
	return broken
}

// importLaw says why dir must not import target, both relative to the module's root; "" if it may.
func importLaw(dir, target string, test bool) string {
	from, to := layerOf(dir), layerOf(target)
	shown := target
	if shown == "." {
		shown = "main"
	}
	switch {
	case from == "deploy":
		return ""
	case slices.Index(layers, to) < 0 || slices.Index(layers, to) > slices.Index(layers, from):
		return fmt.Sprintf("%s must not import %s: the law is %s", from, shown, strings.Join(layers, " ← "))
	case test || to == "schemas":
		return ""
	case within(dir, "bench/oracle") && !within(target, "bench/oracle"):
		return fmt.Sprintf("the oracle must not import %s: it shares only schemas with what it judges", shown)
	case from == "operators" && dir != "operators":
		leaf := strings.Join(strings.SplitN(dir, "/", 3)[:2], "/")
		if !within(target, leaf) {
			return fmt.Sprintf("the leaf %s must not import %s: leaves import at most schemas", leaf, shown)
		}
	}
	return ""
}

// clockReadsOf finds uses of the clock through the import spec of package time.
func clockReadsOf(set *token.FileSet, file *ast.File, spec *ast.ImportSpec) (broken []string) {
	local := "time"
	if spec.Name != nil {
		local = spec.Name.Name
	}
	if local == "." {
		return []string{": time must not be imported with a dot: uses of the clock could not be seen"}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || !slices.Contains(clockReads, sel.Sel.Name) {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
			broken = append(broken, fmt.Sprintf(":%d: time.%s reads the machine's clock; below pipeline it is injected",
				set.Position(sel.Pos()).Line, sel.Sel.Name))
		}
		return true
	})
	return broken
}

// ignores reads the two forms of .gitignore lines that the house uses: /folder/ at the root, and a pattern for names anywhere.
func ignores(fsys fs.FS) func(p string, dir bool) bool {
	text, _ := fs.ReadFile(fsys, ".gitignore") // none: nothing is ignored
	lines := strings.Fields(string(text))
	return func(p string, dir bool) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			if rooted, ok := strings.CutPrefix(line, "/"); ok {
				return dir && strings.TrimSuffix(rooted, "/") == p
			}
			matched, err := path.Match(line, path.Base(p))
			return err == nil && matched
		})
	}
}

func layerOf(dir string) string {
	if dir == "." {
		return "main"
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

func cutModule(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func isClient(imported string) bool {
	return !slices.Contains(parsers, imported) && slices.ContainsFunc(clients, func(c string) bool { return within(imported, c) })
}

func within(p, parent string) bool { return p == parent || strings.HasPrefix(p, parent+"/") }
