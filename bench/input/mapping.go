package input

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/streamgauge/streamgauge/operators"
)

// Mapping says which of a file's columns are the canonical ones, and in which units they are. The zero value maps nothing: canonical
// columns are then those of the same name.
type Mapping struct{ columns []column }

// column is one canonical column and where the file has it.
type column struct {
	canonical string // of operators.FlatColumns
	from      string // the file's name for it
	scale     int    // amount: power of ten, −18 to 18
	time      timeForm
}

type timeForm uint8

const (
	iso    timeForm = iota // RFC 3339 and the like
	unix                   // seconds since 1970
	unixMS                 // milliseconds since 1970
)

var timeForms = map[string]timeForm{"iso": iso, "unix": unix, "unixms": unixMS}

// maxScale bounds an amount's power of ten, either way: schemas.ParseScaled's own limit.
const maxScale = 18

// ParseMapping reads canonical=column[:modifier], separated by commas: customer=acct,amount=amt_cents:1e-2,time=ts:unix. The modifier of
// an amount is the power of ten it is multiplied with (1e-18 to 1e18), that of a time is unix, unixms or iso; the others take none. Every
// mistake is reported at once.
func ParseMapping(s string) (Mapping, error) {
	var m Mapping
	var errs []error
	if strings.TrimSpace(s) == "" {
		return m, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		c, err := parseColumn(part)
		if err == nil && slices.ContainsFunc(m.columns, func(o column) bool { return o.canonical == c.canonical }) {
			err = fmt.Errorf("map %q: %s is mapped twice", strings.TrimSpace(part), c.canonical)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.columns = append(m.columns, c)
	}
	if err := errors.Join(errs...); err != nil {
		return Mapping{}, err
	}
	return m, nil
}

func parseColumn(part string) (c column, err error) {
	part = strings.TrimSpace(part)
	name, from, ok := strings.Cut(part, "=")
	if !ok {
		return c, fmt.Errorf("map %q: want canonical=column, such as customer=acct", part)
	}
	c.canonical = strings.TrimSpace(name)
	from, modifier, modified := cutLast(from, ":")
	c.from = strings.TrimSpace(from)
	var errs []error
	mistake := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("map %q: "+format, append([]any{part}, args...)...))
	}
	if !slices.Contains(operators.FlatColumns, c.canonical) {
		mistake("%q is no canonical column%s; there are %s", c.canonical, didYouMean(c.canonical), strings.Join(operators.FlatColumns, ", "))
	}
	if c.from == "" {
		mistake("the file's column is empty")
	}
	if !modified {
		return c, errors.Join(errs...)
	}
	known := false
	switch c.canonical {
	case "amount":
		if c.scale, known = parseScale(modifier); !known {
			mistake("modifier %q of amount: want a power of ten such as 1e-2 (cents), from 1e-%d to 1e%d", modifier, maxScale, maxScale)
		}
	case "time":
		if c.time, known = timeForms[modifier]; !known {
			mistake("modifier %q of time: want unix (seconds), unixms or iso", modifier)
		}
	default:
		mistake("modifier %q: only amount and time take one", modifier)
	}
	return c, errors.Join(errs...)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func parseScale(s string) (exp int, ok bool) {
	digits, found := strings.CutPrefix(s, "1e")
	exp, err := strconv.Atoi(digits)
	return exp, found && err == nil && exp >= -maxScale && exp <= maxScale
}

// didYouMean names the canonical column that is at most two edits away, if one is.
func didYouMean(name string) string {
	best, hint := 3, ""
	for _, c := range operators.FlatColumns {
		if d := distance(strings.ToLower(name), c); d < best && d < len(c) {
			best, hint = d, fmt.Sprintf(", did you mean %s?", c)
		}
	}
	return hint
}

// distance is the number of single-byte edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// output is a canonical column or attribute that a file's column gives: its key as JSON with the colon, and how its values convert.
type output struct {
	key      []byte
	customer bool // the partition key
	amount   bool
	scale    int
	isTime   bool
	time     timeForm
}

// outputs returns what the file's column of that name gives: every canonical column that is mapped to it, the canonical one of the same
// name unless that is mapped elsewhere, else an attribute.
func (m Mapping) outputs(name string) (outs []output) {
	mapped := false // the canonical column of this name has its place elsewhere
	for _, c := range m.columns {
		if c.from == name {
			outs = append(outs, c.output())
		}
		mapped = mapped || c.canonical == name
	}
	if !mapped && slices.Contains(operators.FlatColumns, name) {
		outs = append(outs, column{canonical: name}.output())
	}
	if len(outs) > 0 {
		return outs
	}
	if !strings.HasPrefix(name, operators.AttributePrefix) {
		name = operators.AttributePrefix + name
	}
	return []output{{key: jsonKey(name)}}
}

func (c column) output() output {
	return output{
		key: jsonKey(c.canonical), customer: c.canonical == "customer",
		amount: c.canonical == "amount", scale: c.scale, isTime: c.canonical == "time", time: c.time,
	}
}

// missing reports what the header of a CSV lacks: columns that the mapping names, and required ones that neither the mapping nor the
// header gives. Every record of such a file would be rejected.
func (m Mapping) missing(header []string) error {
	var errs []error
	for _, c := range m.columns {
		if !slices.Contains(header, c.from) {
			errs = append(errs, fmt.Errorf("the header has no column %q, which is mapped to %s", c.from, c.canonical))
		}
	}
	for _, name := range operators.FlatColumns[:operators.FlatRequired] {
		mapped := slices.ContainsFunc(m.columns, func(c column) bool { return c.canonical == name })
		if !mapped && !slices.Contains(header, name) {
			errs = append(errs, fmt.Errorf("the header has no column %s, which is required; map it: %s=COLUMN", name, name))
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("the header's columns are %s", strings.Join(header, ", ")))
	}
	return errors.Join(errs...)
}
