package rule

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

// Every file of testdata/mistakes is compiled alone; its golden holds all that is wrong with it, in order.
func TestCompile_SaysEveryMistakeWithPlaceAndHint(t *testing.T) {
	files, err := filepath.Glob("testdata/mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		set, err := Compile(&schemas.Snapshot{Files: []schemas.SnapshotFile{{Name: filepath.Base(name), Content: string(content)}}})
		if err == nil || set != nil {
			t.Errorf("%s: compiled", name)
			continue
		}
		golden(t, strings.TrimSuffix(name, ".yaml")+".golden", err.Error()+"\n")
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			if m := new(Mistake); !errors.As(e, &m) {
				t.Errorf("%s: %T", name, e)
			}
		}
	}
}

func TestCompile_RefusesWhatIsNoFolderOfRules(t *testing.T) {
	file := func(name, content string) schemas.SnapshotFile {
		return schemas.SnapshotFile{Name: name, Content: content}
	}
	ok := file("a.yml", condition("amount > 1"))
	for _, c := range []struct {
		files []schemas.SnapshotFile
		want  string
	}{
		{nil, "the configuration holds no rule and no feature (0 files); write a rule or take the built-in ones"},
		{[]schemas.SnapshotFile{file("a.yaml", ""), file("b.yaml", "# nothing\n---\n")}, "the configuration holds no rule and no feature (2 files); write a rule or take the built-in ones"},
		{[]schemas.SnapshotFile{ok, file("notes.txt", "x")}, "notes.txt: a configuration folder holds .yaml and .yml files only; move this one elsewhere"},
		{[]schemas.SnapshotFile{ok, ok}, "a.yml: the file is there twice"},
		{[]schemas.SnapshotFile{ok, file("b.yaml", "\xff")}, "b.yaml: not UTF-8 text"},
		{[]schemas.SnapshotFile{ok, file("b.yaml", "id: R\nlevel: LOW\nwhen: 'true'\n")}, "b.yaml:1:5: the rule `R` is there twice, first in a.yml:1"},
		{[]schemas.SnapshotFile{ok, file("b.yaml", strings.Repeat("#", 1<<20))}, "the configuration holds 1048624 bytes in 2 files; 1048576 bytes are possible"},
	} {
		_, err := Compile(&schemas.Snapshot{Files: c.files})
		if got := fmt.Sprint(err); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestCompile_BoundsHaveTheirNumbers(t *testing.T) {
	many := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	rules := func(n int, when func(i int) string) string {
		return many(n, func(i int) string {
			return fmt.Sprintf("---\nid: R%d\nlevel: LOW\nwhen: %s\n", i, when(i))
		})
	}
	for _, c := range []struct{ name, content, want string }{
		{"64 filters", rules(64, func(i int) string { return fmt.Sprintf("count('1h', amount > %d) > 1", i) }), "<nil>"},
		{"65 filters", rules(66, func(i int) string { return fmt.Sprintf("count('1h', amount > %d) > 1", i) }),
			"rules.yaml:260:26: the folder needs 66 distinct filters; 64 are possible: share conditions and windows over rules, or turn rules off"},
		{"off filters", strings.ReplaceAll(rules(66, func(i int) string { return fmt.Sprintf("count('1h', amount > %d) > 1", i) }), "level", "mode: off\nlevel"), "<nil>"},
		{"aggregates", "features:\n" + many(999, func(i int) string {
			return fmt.Sprintf("- {name: f%d, expr: \"count('%dm') + count('%ds')\"}\n", i, i+1, i+1)
		}),
			"rules.yaml:518:28: the folder needs 1982 distinct aggregates; 1024 are possible: share"},
		{"256 windows", "features:\n" + many(256, func(i int) string { return fmt.Sprintf("- {name: f%d, expr: \"count('%ds')\"}\n", i, i+1) }), "<nil>"},
		{"257 windows", "features:\n" + many(257, func(i int) string { return fmt.Sprintf("- {name: f%d, expr: \"count('%ds')\"}\n", i, i+1) }),
			"rules.yaml:258:29: the folder needs 257 distinct windows; 256 are possible: share conditions and windows over rules, or turn rules off"},
		{"16 scans", rules(16, func(i int) string { return fmt.Sprintf("count('1h', amount > this.amount + %d) > 1", i) }), "<nil>"},
		{"17 scans", rules(17, func(i int) string { return fmt.Sprintf("count('1h', amount > this.amount + %d) > 1", i) }),
			"rules.yaml:68:26: the folder needs 17 distinct scans (conditions with `this.` other than field == this.field); 16 are possible"},
		{"32 columns", rules(32, func(i int) string { return fmt.Sprintf("distinct('1h', attr.a%d) > 1", i) }), "<nil>"},
		{"33 columns", rules(33, func(i int) string { return fmt.Sprintf("distinct('1h', attr.a%d) > 1", i) }),
			"rules.yaml:132:15: the folder needs 33 distinct fields and attributes of past events; 32 are possible"},
		{"16 equalities", rules(16, func(i int) string { return fmt.Sprintf("count('1h', attr.a%d == this.attr.a%d) > 1", i, i) }), "<nil>"},
		{"17 equalities", rules(17, func(i int) string { return fmt.Sprintf("count('1h', attr.a%d == this.attr.a%d) > 1", i, i) }),
			"rules.yaml:68:28: the folder needs 17 distinct combinations of field == this.field; 16 are possible"},
		{"rules", rules(1001, func(int) string { return "'true'" }), "1001 live and shadow rules; 1000 are allowed"},
		{"length", condition("amount > 1 " + strings.Repeat(" ", 4096)), "rules.yaml:4:7: an expression of 4108 characters; 4096 are allowed: name parts of it as features"},
		{"nodes", condition(strings.Repeat("amount>1||", 400) + "true"), "expression node count exceeds limit"},
		{"depth", condition(strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200)), "expression recursion limit exceeded: 100"},
		{"pattern", condition("country.matches('" + strings.Repeat("a", 501) + "')"), "a pattern of 501 characters; 500 are allowed"},
		{"repetition", condition("country.matches('((a{100}){100}){100}')"), "invalid repeat count"},
		{"reason", condition("true") + "reason: '" + strings.Repeat("a", 1001) + "'\n", "`reason` has 1001 characters; 1 to 1000 are allowed"},
		{"list", condition("true") + "params: {l: [" + strings.Repeat("1,", 1000) + "1]}\n", "`params.l` has 1001 elements; 1000 are allowed"},
	} {
		_, err := Compile(snapshot(c.content))
		if got := fmt.Sprint(err); !strings.Contains(got, c.want) || strings.Count(got, "\n") > 3 {
			t.Errorf("%s: got %s, want %s", c.name, clip(got), c.want)
		}
	}
}

// A mistake inside an expression is found in the file, whatever the YAML style.
func TestMistake_PointsIntoTheExpression(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"when: amount > 1 && amout > 2\n", "3:21"},
		{"when: 'country == ''x'' && amout > 2'\n", "3:28"},
		{"when: \"country == \\\"x\\\" && amout > 2\"\n", "3:28"},
		{"when: >\n  country == 'x' &&\n\n    amout > 2\n", "6:5"},
		{"when: |\n  country == 'x' &&\n  amout > 2\n", "5:3"},
		{"when: |-\r\n  country == 'x' &&\r\n  amout > 2\r\n", "5:3"},
		{"when: country == 'ä' &&\n  amout > 2\n", "4:3"},
		{"{when: \"amout > 2\"}\n", ""},
	} {
		_, err := Compile(snapshot("id: R\nlevel: LOW\n" + c.yaml))
		want := "rules.yaml:" + c.want + ": `amout`: no such field; did you mean `amount`?"
		if c.want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%q: got %v, want %s", c.yaml, err, want)
		}
		if err == nil {
			t.Errorf("%q compiled", c.yaml)
		}
	}
}
