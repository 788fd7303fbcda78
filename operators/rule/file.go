package rule

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/streamgauge/streamgauge/schemas"
)

// file is one YAML file of the folder with the places of its values, so that a mistake inside an expression has its line and column.
type file struct {
	name  string
	lines [][]rune
	*mistakes
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?(?s:(.*))$`)

// documents parses the file. What is no YAML, or not a mapping, is a mistake.
func documents(sf *schemas.SnapshotFile, m *mistakes) (*file, []*yaml.Node) {
	f := &file{name: sf.Name, mistakes: m}
	switch {
	case !strings.HasSuffix(sf.Name, ".yaml") && !strings.HasSuffix(sf.Name, ".yml"):
		f.add(f.name, 0, 0, "a configuration folder holds .yaml and .yml files only; move this one elsewhere")
		return f, nil
	case !utf8.ValidString(sf.Content):
		f.add(f.name, 0, 0, "not UTF-8 text")
		return f, nil
	}
	for _, l := range strings.Split(sf.Content, "\n") {
		f.lines = append(f.lines, []rune(l))
	}
	var docs []*yaml.Node
	d := yaml.NewDecoder(strings.NewReader(sf.Content))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return f, docs
		}
		if err != nil {
			p := yamlLine.FindStringSubmatch(err.Error())
			line, _ := strconv.Atoi(p[1])
			f.add(f.name, line, 1, "not YAML: %s", p[2])
			return f, docs
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 || n.Content[0].Tag == "!!null" {
			continue // an empty document between separators
		}
		if r := n.Content[0]; r.Kind != yaml.MappingNode {
			f.at(r, "a document is a rule, `features: […]` or `policy: {…}`, not %s", describe(r))
		} else {
			docs = append(docs, r)
		}
	}
}

// at adds a mistake at n.
func (f *file) at(n *yaml.Node, format string, args ...any) {
	f.add(f.name, n.Line, n.Column, format, args...)
}

// entry is one key of a mapping.
type entry struct{ key, value *yaml.Node }

// mapping reads n's entries. Keys that are neither in keys nor in later, twice there or no text are mistakes; so are the keys in later,
// which a later version brings.
func (f *file) mapping(n *yaml.Node, what string, keys, later []string) map[string]entry {
	if n.Kind != yaml.MappingNode {
		f.at(n, "%s is a mapping of %s, not %s", what, oneOf(keys), describe(n))
		return nil
	}
	m := map[string]entry{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			f.at(k, "a key of %s is text, not %s", what, describe(k))
		case m[k.Value].key != nil:
			f.at(k, "`%s` stands twice, first in line %d", clip(k.Value), m[k.Value].key.Line)
		case keys != nil && slices.Contains(later, k.Value):
			f.at(k, "`%s` is not available in this version", k.Value)
		case keys != nil && !slices.Contains(keys, k.Value):
			f.at(k, "`%s`: no such key of %s%s", clip(k.Value), what, didYouMean(k.Value, append(keys[:len(keys):len(keys)], later...)))
		case v.Kind == yaml.AliasNode || v.Anchor != "":
			f.at(v, "anchors and aliases are not available: write the value out")
		default:
			m[k.Value] = entry{k, v}
		}
	}
	return m
}

// scalar reads n as text.
func (f *file) scalar(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		f.at(n, "%s is text, not %s", what, describe(n))
		return "", false
	case n.Anchor != "":
		f.at(n, "anchors and aliases are not available: write the value out")
		return "", false
	}
	return n.Value, true
}

// words reads n as text of 1 to maxText characters.
func (f *file) words(n *yaml.Node, what string) string {
	s, ok := f.scalar(n, what)
	if c := utf8.RuneCountInString(s); ok && (c == 0 || c > maxText) {
		f.at(n, "%s has %d characters; 1 to %d are allowed", what, c, maxText)
	}
	return s
}

// int reads n as a whole number from lo to hi.
func (f *file) int(n *yaml.Node, what string, lo, hi int64) int64 {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || v < lo || v > hi {
		f.at(n, "%s is a whole number from %d to %d, not %s", what, lo, hi, describe(n))
		return lo
	}
	return v
}

// choice reads n as one of the names and returns its index.
func (f *file) choice(n *yaml.Node, what string, names []string) int {
	s, ok := f.scalar(n, what)
	for i, name := range names {
		if ok && s == name {
			return i
		}
	}
	if ok {
		f.at(n, "%s is %s, not `%s`%s", what, oneOf(names), clip(s), didYouMean(s, names))
	}
	return 0
}

// list returns the elements of a sequence.
func (f *file) list(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n.Kind != yaml.SequenceNode:
		f.at(n, "%s is a list, not %s", what, describe(n))
		return nil
	case len(n.Content) > maxList:
		f.at(n, "%s has %d elements; %d are allowed", what, len(n.Content), maxList)
		return nil
	}
	return n.Content
}

// texts reads a list of texts without repetitions.
func (f *file) texts(n *yaml.Node, what string) (all []string) {
	for _, e := range f.list(n, what) {
		s := f.words(e, "an element of "+what)
		if s == "" {
			continue
		}
		if slices.Contains(all, s) {
			f.at(e, "`%s` stands twice in %s", clip(s), what)
			continue
		}
		all = append(all, s)
	}
	return all
}

// describe names what n holds, for a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return "`" + clip(n.Value) + "`"
}

// place finds the line and column of the offset-th character of n's value in the file. Folding and quoting change white space and
// quotes only, so it aligns the other characters.
func (f *file) place(n *yaml.Node, offset int) (line, column int) {
	l, c := n.Line-1, n.Column-1
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		l, c = l+1, 0
	} else if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		c++
	}
	for i, want := range []rune(n.Value) {
		for l < len(f.lines) {
			if c >= len(f.lines[l]) {
				l, c = l+1, 0
			} else if blank(want) || f.lines[l][c] == want {
				break
			} else {
				c++
			}
		}
		if i == offset {
			break
		}
		if !blank(want) {
			c++
		}
	}
	if l >= len(f.lines) {
		return n.Line, n.Column
	}
	return l + 1, c + 1
}

func blank(r rune) bool { return r == ' ' || r == '\n' || r == '\t' || r == '\r' }
