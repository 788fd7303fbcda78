package rule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing wrong in a configuration.
type Mistake struct {
	File         string
	Line, Column int // from 1; 0 where the mistake is about the file or the folder
	Text         string
}

func (m *Mistake) Error() string {
	switch {
	case m.File == "":
		return m.Text
	case m.Line == 0:
		return fmt.Sprintf("%s: %s", m.File, m.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Column, m.Text)
}

// mistakes collects what is wrong, so that all of it is said at once.
type mistakes []*Mistake

func (m *mistakes) add(file string, line, column int, format string, args ...any) {
	*m = append(*m, &Mistake{File: file, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
}

// err joins the mistakes by file and place; nil if there are none.
func (m mistakes) err() error {
	slices.SortStableFunc(m, func(a, b *Mistake) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(m))
	for i, x := range m {
		all[i] = x
	}
	return errors.Join(all...)
}

// didYouMean is "; did you mean `x`?" for the nearest of the names, or "" where none is near.
func didYouMean(got string, names []string) string {
	best, at := 1+len(got)/3, ""
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n), best); d <= best && (at == "" || d < best) {
			best, at = d, n
		}
	}
	if at == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean `%s`?", at)
}

// distance counts insertions, deletions, replacements and swaps of neighbours between a and b; above limit any larger number will do.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	two, one := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one = one, row
	}
	return one[len(b)]
}

// clip shortens a text for a message.
func clip(s string) string {
	const most = 80
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:most]) + "…"
}

// oneOf is "a, b or c".
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
