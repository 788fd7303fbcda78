package oracle

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/streamgauge/streamgauge/schemas"
)

// maxDifferences bounds what a report tells in words: enough to see whether one cause or several are behind it.
const maxDifferences = 10

// Report is what a comparison found. The zero value is a comparison of nothing.
type Report struct {
	Records   int // of topic events
	Released  int // held stateChanges that records released or let expire: one more fact each
	Compared  int // facts compared with what they must be
	Different int // of them, with at least one difference
	Missing   int // facts that must be and are not
	Surplus   int // facts that must not be, and second ones
	Features  int // determinable feature values among the compared
	Verdicts  int // rule verdicts among the compared

	Results    Results
	Rejections Rejections

	Outcomes    map[schemas.Outcome]int            // expected, per fact
	Reasons     map[string]int                     // expected, per fact that has one
	Levels      map[schemas.Level]int              // expected, per assessed record
	Rules       map[string]map[schemas.Verdict]int // expected, per rule
	AtWatermark map[string]int                     // expected, per rule: hits that only the second evaluation finds
	First       []string                           // the first differences in words, at most 10
}

// Exact reports whether every record, and everything that one released, has its one fact, its one result and, where Config.Rejections
// asks for them, its one rejection, as they must be.
func (r *Report) Exact() bool {
	return r.ExactFacts() && r.Results.Missing+r.Results.Surplus+r.Results.Different == 0 &&
		r.Rejections.Missing+r.Rejections.Surplus+r.Rejections.Different == 0
}

// ExactFacts is Exact without results and rejections.
func (r *Report) ExactFacts() bool {
	return r.Different+r.Missing+r.Surplus == 0 && r.Compared == r.Records+r.Released
}

func (r *Report) String() string {
	s := fmt.Sprintf("%d compared, %d different, %d missing, %d surplus (%d feature values, %d verdicts)",
		r.Compared, r.Different, r.Missing, r.Surplus, r.Features, r.Verdicts)
	if r.Results.Expected+r.Results.Seen > 0 {
		s += fmt.Sprintf("; results: %d expected, %d seen, %d missing, %d surplus, %d different",
			r.Results.Expected, r.Results.Seen, r.Results.Missing, r.Results.Surplus, r.Results.Different)
	}
	if r.Rejections.Expected+r.Rejections.Seen > 0 {
		s += fmt.Sprintf("; rejections: %d expected, %d seen, %d missing, %d surplus, %d different",
			r.Rejections.Expected, r.Rejections.Seen, r.Rejections.Missing, r.Rejections.Surplus, r.Rejections.Different)
	}
	if len(r.First) > 0 {
		s += "\n  " + strings.Join(r.First, "\n  ")
	}
	return s
}

// place is where a fact's record stands in topic events, and which of its facts it is.
type place struct {
	partition int32
	offset    int64
	seq       int32
}

func (p place) String() string {
	s := fmt.Sprintf("partition %d offset %d", p.partition, p.offset)
	if p.seq != 0 {
		s += fmt.Sprintf(" seq %d", p.seq)
	}
	return s
}

// Checker compares a run while it is read: records, facts, results and rejections in any interleaving, each partition's records in offset
// order. It holds a want or fact until its counterpart comes, of every assessment what its result must be, and of every input record how
// often monitor rejects it. Not safe for concurrent use.
type Checker struct {
	oracle  *Oracle
	wants   map[place]*Want
	early   map[place]*schemas.Fact
	met     map[place]struct{} // wants whose fact has come
	guids   map[string]*expectation
	refused map[schemas.Origin]*refusals
	report  Report
}

// NewChecker makes a checker for one run. It fails with every mistake of the configuration at once.
func NewChecker(cfg Config) (*Checker, error) {
	o, err := New(cfg)
	if err != nil {
		return nil, err
	}
	c := newChecker()
	c.oracle = o
	return c, nil
}

func newChecker() *Checker {
	return &Checker{
		wants: map[place]*Want{}, early: map[place]*schemas.Fact{}, met: map[place]struct{}{},
		guids: map[string]*expectation{}, refused: map[schemas.Origin]*refusals{},
		report: Report{
			Outcomes: map[schemas.Outcome]int{}, Reasons: map[string]int{}, Levels: map[schemas.Level]int{},
			Rules: map[string]map[schemas.Verdict]int{}, AtWatermark: map[string]int{},
		},
	}
}

// Record takes the next record of topic events.
func (c *Checker) Record(r *Record) {
	w, released := c.oracle.Step(r)
	c.want(&w)
	for i := range released {
		c.want(&released[i])
	}
}

func (c *Checker) want(w *Want) {
	at := place{w.Partition, w.Offset, w.Seq}
	c.book(w)
	switch w.Outcome {
	case schemas.Assessed:
		c.expect(w)
	case schemas.Rejected:
		if w.rejections {
			c.refuse(w)
		}
	}
	if f, ok := c.early[at]; ok {
		delete(c.early, at)
		c.compare(at, w, f)
		return
	}
	c.wants[at] = w
}

// book counts what is expected.
func (c *Checker) book(w *Want) {
	r := &c.report
	if w.Seq == 0 {
		r.Records++
	} else {
		r.Released++
	}
	r.Outcomes[w.Outcome]++
	if w.Reason != "" {
		r.Reasons[w.Reason]++
	}
	if w.Outcome == schemas.Assessed {
		r.Levels[w.Level]++
	}
	for _, j := range w.Rules {
		if r.Rules[j.Rule] == nil {
			r.Rules[j.Rule] = map[schemas.Verdict]int{}
		}
		r.Rules[j.Rule][j.Verdict]++
		if j.AtWatermark {
			r.AtWatermark[j.Rule]++
		}
	}
}

// Fact takes a fact. It is copied where it must wait.
func (c *Checker) Fact(f *schemas.Fact) {
	at := place{f.Partition, f.Offset, f.Seq}
	_, met := c.met[at]
	_, waits := c.early[at]
	switch w := c.wants[at]; {
	case met || waits:
		c.report.Surplus++
		c.tell("%s: a second fact, outcome %s", at, f.Outcome)
	case w != nil:
		delete(c.wants, at)
		c.compare(at, w, f)
	default:
		c.early[at] = copied(f)
	}
}

// copied is f with memory of its own.
func copied(f *schemas.Fact) *schemas.Fact {
	g := *f
	g.Event.Attributes, g.Event.Flags = slices.Clone(f.Event.Attributes), slices.Clone(f.Event.Flags)
	g.Features, g.Rules, g.Hits = slices.Clone(f.Features), slices.Clone(f.Rules), slices.Clone(f.Hits)
	return &g
}

func (c *Checker) compare(at place, w *Want, f *schemas.Fact) {
	c.met[at] = struct{}{}
	c.report.Compared++
	c.report.Features += len(f.Features)
	c.report.Verdicts += len(f.Rules)
	if list := Diff(w, f); len(list) > 0 {
		c.report.Different++
		c.tell("%s, customer %q, event %q: %s", at, w.Event.Customer, w.Event.ID, strings.Join(list, "; "))
	}
}

func (c *Checker) tell(format string, args ...any) {
	if len(c.report.First) < maxDifferences {
		c.report.First = append(c.report.First, fmt.Sprintf(format, args...))
	}
}

// Report is what has been found so far; what still waits for its counterpart counts as missing or surplus. It is the caller's copy.
func (c *Checker) Report() Report {
	last := *c
	last.report.First = slices.Clone(c.report.First)
	for _, at := range sorted(c.wants) {
		last.tell("%s, customer %q, event %q: no fact, expected %s", at, c.wants[at].Event.Customer, c.wants[at].Event.ID, c.wants[at].Outcome)
	}
	for _, at := range sorted(c.early) {
		last.tell("%s: a fact of no record, outcome %s", at, c.early[at].Outcome)
	}
	last.report.Missing += len(c.wants)
	last.report.Surplus += len(c.early)
	last.count()
	last.countRefusals()
	return last.report
}

func sorted[V any](m map[place]V) []place {
	places := make([]place, 0, len(m))
	for at := range m {
		places = append(places, at)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.offset, b.offset), cmp.Compare(a.seq, b.seq))
	})
	return places
}

// Compare compares two whole streams, each in any order; memory is bounded where both have the same order.
func Compare(wants iter.Seq[Want], facts iter.Seq[*schemas.Fact]) Report {
	c := newChecker()
	nextWant, stopWants := iter.Pull(wants)
	defer stopWants()
	nextFact, stopFacts := iter.Pull(facts)
	defer stopFacts()
	for wantsLeft, factsLeft := true, true; wantsLeft || factsLeft; {
		var w Want
		var f *schemas.Fact
		if w, wantsLeft = nextWant(); wantsLeft {
			c.want(&w)
		}
		if f, factsLeft = nextFact(); factsLeft {
			c.Fact(f)
		}
	}
	clear(c.guids) // results and rejections are not part of this comparison
	clear(c.refused)
	c.report.Results, c.report.Rejections = Results{}, Rejections{}
	return c.Report()
}
