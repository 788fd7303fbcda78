package oracle

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Results is what a comparison of CloudEvents found.
type Results struct {
	Expected  int // assessed records: one CloudEvent each
	Seen      int
	Missing   int
	Surplus   int // of no assessment, or more than one of it
	Different int // pending for completed or the reverse; another type, key, partition or id
}

// Result is one CloudEvent as a consumer of topic operation-realtime sees it.
type Result struct {
	Type      string // with its prefix
	ID        string // the envelope's id
	GUID      string // assessmentGuid
	Key       string // the record's key
	Partition int32
}

// expectation is what is known of one guid's results. An id that comes back after it has left the retention is a second assessment of
// the same identity, hence of the same guid: so all of this counts.
type expectation struct {
	at     place  // of the record
	prefix string // of the types
	key    string

	pending, completed, either int      // wanted; either: the oracle cannot tell
	early                      []Result // came before the record
	gotPending, gotCompleted   int
}

func (x *expectation) wanted() int { return x.pending + x.completed + x.either }

func (c *Checker) expectation(guid string) *expectation {
	x := c.guids[guid]
	if x == nil {
		x = &expectation{}
		c.guids[guid] = x
	}
	return x
}

// expect notes that an assessment must have its result.
func (c *Checker) expect(w *Want) {
	c.report.Results.Expected++
	x := c.expectation(w.Assessment)
	x.at, x.prefix = place{w.Partition, w.Offset, 0}, w.prefix
	x.key = string(schemas.CustomerKey(nil, w.Event.Team, w.Event.Customer))
	switch {
	case w.others:
		x.either++
	case w.Open:
		x.pending++
	default:
		x.completed++
	}
	early := x.early
	x.early = nil
	for i := range early {
		c.match(x, &early[i])
	}
}

// Result takes a CloudEvent of topic operation-realtime.
func (c *Checker) Result(r *Result) {
	c.report.Results.Seen++
	x := c.expectation(r.GUID)
	if x.wanted() == 0 {
		x.early = append(x.early, *r)
		return
	}
	c.match(x, r)
}

// match compares a result with its assessment; how many there must be is counted in the end.
func (c *Checker) match(x *expectation, r *Result) {
	d := &differences{}
	switch r.Type {
	case x.prefix + schemas.OperationPending:
		x.gotPending++
	case x.prefix + schemas.OperationCompleted:
		x.gotCompleted++
	default:
		x.gotCompleted++
		d.add("type: expected %s%s or %s%s, got %q", x.prefix, schemas.OperationPending, x.prefix, schemas.OperationCompleted, r.Type)
	}
	check(d, "key", x.key, r.Key)
	check(d, "partition", x.at.partition, r.Partition)
	check(d, "id", schemas.CloudEventID(r.GUID, r.Type), r.ID)
	if len(d.list) > 0 {
		c.report.Results.Different++
		c.tell("%s, result of assessment %s: %v", x.at, r.GUID, d.list)
	}
}

// count settles how many results there were of each assessment.
func (c *Checker) count() {
	guids := make([]string, 0, len(c.guids))
	for guid, x := range c.guids {
		if x.gotPending != x.pending || x.gotCompleted != x.completed || x.either > 0 || len(x.early) > 0 {
			guids = append(guids, guid)
		}
	}
	slices.SortFunc(guids, func(a, b string) int {
		p, q := c.guids[a].at, c.guids[b].at
		return cmp.Or(cmp.Compare(p.partition, q.partition), cmp.Compare(p.offset, q.offset), cmp.Compare(a, b))
	})
	for _, guid := range guids {
		x := c.guids[guid]
		wanted, got := x.wanted(), x.gotPending+x.gotCompleted+len(x.early)
		right := min(x.pending, x.gotPending) + min(x.completed, x.gotCompleted)
		right += min(x.either, got-right)
		c.report.Results.Missing += max(wanted-got, 0)
		c.report.Results.Surplus += max(got-wanted, 0)
		c.report.Results.Different += min(wanted, got) - min(right, wanted, got)
		if right != wanted || got != wanted {
			c.tell("%s, assessment %s: expected %s, got %s", x.at, guid,
				kinds(x.pending, x.completed, x.either), kinds(x.gotPending, x.gotCompleted, len(x.early)))
		}
	}
}

func kinds(pending, completed, either int) string {
	s := fmt.Sprintf("%d pending, %d completed", pending, completed)
	if either > 0 {
		s += fmt.Sprintf(", %d of either", either)
	}
	return s
}

// CheckResults compares CloudEvents with what assessments must have: exactly one each, pending where a human must decide and completed
// where not, with the key, the partition and the id that the log gives. Facts are not looked at.
func CheckResults(wants iter.Seq[Want], results iter.Seq[Result]) Report {
	c := newChecker()
	for w := range wants {
		c.want(&w)
	}
	for r := range results {
		c.Result(&r)
	}
	clear(c.wants)
	clear(c.refused)
	c.report.Records, c.report.Released, c.report.Rejections = 0, 0, Rejections{}
	return c.Report()
}
