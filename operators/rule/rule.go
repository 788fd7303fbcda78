// Package rule is the rule language: it turns a configuration's files into a Set that judges events.
//
// An analyst writes a condition in CEL and declares its windows where they are used: count('1h', direction == 'OUT') >= 10. Compile
// reads all files at once (file.go, read.go), resolves and type-checks every expression before anything runs (expression.go,
// resolve.go, env.go), plans what the windows must measure, equal windows and filters once (planner.go, plan.go), and compiles the
// checked tree to Go closures (closures*.go). Judge then reads one event and its measured aggregates and says, rule by rule, HIT,
// NO_HIT, ND or ERROR, with the values that decided (judge.go, reason.go).
//
// The package measures nothing itself: it says what to measure (Plan) and reads the values from a Frame. It knows no clock, no
// customer and no store. Whatever a configuration holds, Compile is bounded (limits.go) and says every mistake at once, with its
// place and a hint (mistake.go); whatever an event holds, Judge neither fails nor panics.
package rule

import (
	"cmp"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// Set is a compiled configuration: immutable and safe for concurrent readers.
type Set struct {
	Version  int32      // the snapshot's
	Rules    []*Rule    // all, off ones included; files ascending by name, then as they stand
	Features []*Feature // in the same order
	Policy   Policy
	Plan     Plan

	on           [schemas.KindTick + 1]panel // by kind of event
	featureOrder []int                       // of Features: each after those that it reads
	notes        []said
	fraud        map[string]bool // ids of FRAUD rules
}

// Rule is a compiled rule.
type Rule struct {
	ID      string
	Version int32
	Name    string // for people
	Nature  Nature
	Tags    []string       // technique ids
	On      []schemas.Kind // that it judges
	When    string         // the condition as written
	Level   schemas.Level
	Score   int32
	Reason  string // the template as written
	Mode    Mode
	File    string
	Slots   []int // aggregates that the condition reads, through features too, in order of evaluation; nil when off

	kinds    uint16 // On, as bits
	holds    boolFn[Frame]
	measured []measure
	reason   []part
}

// panel are the rules that judge one kind of event: live and shadow, as Set.Rules has them.
type panel struct {
	rules    []*Rule
	verdicts []schemas.RuleVerdict // one per rule, all NO_HIT: what a fact starts from
}

// add lets the rule judge on its kinds.
func (s *Set) add(r *Rule) {
	for k := range s.on {
		if r.kinds&(1<<k) != 0 {
			p := &s.on[k]
			p.rules = append(p.rules, r)
			p.verdicts = append(p.verdicts, schemas.RuleVerdict{Rule: r.ID, Version: r.Version})
		}
	}
}

// Nature says what a rule looks for.
type Nature uint8

const (
	AML   Nature = iota // reviews; never blocks
	Fraud               // may block
)

// Natures lists the natures' names by value.
var Natures = []string{"AML", "FRAUD"}

func (n Nature) String() string { return Natures[n] }

// Mode says whether a rule's hits count.
type Mode uint8

const (
	Live   Mode = iota // judged, counts
	Shadow             // judged for comparison; counts for nothing
	Off                // checked, not planned, not judged
)

// Modes lists the modes' names by value.
var Modes = []string{"live", "shadow", "off"}

func (m Mode) String() string { return Modes[m] }

// Feature is a named number, recorded in every fact where it is determinable, and readable as feature.<name>.
type Feature struct {
	Name string
	Expr string // as written
	File string
	Kind ValueKind // Int, Money, Double or Duration

	compute func(*Frame, *computed)
	slots   []int // aggregates that it reads, through features too
}

// Compile parses, checks and plans a whole snapshot. On failure the error joins one *Mistake for everything that is wrong; the Set is nil.
// It reads nothing but s and keeps nothing of it but strings.
func Compile(s *schemas.Snapshot) (*Set, error) {
	var m mistakes
	files := slices.Clone(s.Files)
	slices.SortStableFunc(files, func(a, b schemas.SnapshotFile) int { return cmp.Compare(a.Name, b.Name) })
	size := 0
	for _, f := range files {
		size += len(f.Content)
	}
	if size > maxFolder {
		m.add("", 0, 0, "the configuration holds %d bytes in %d files; %d bytes are possible", size, len(files), maxFolder)
		return nil, m.err()
	}
	r := reader{mistakes: &m, set: &Set{Version: s.Version, Policy: DefaultPolicy(), fraud: map[string]bool{}}}
	for i := range files {
		if i > 0 && files[i].Name == files[i-1].Name {
			m.add(files[i].Name, 0, 0, "the file is there twice")
			continue
		}
		r.take(&files[i])
	}
	r.readPolicy()
	r.scope = &scope{policy: &r.set.Policy, featureIndex: map[string]int{}, planner: newPlanner()}
	r.readFeatures()
	r.readRules()
	if len(m) == 0 && len(r.set.Rules)+len(r.set.Features) == 0 {
		m.add("", 0, 0, "the configuration holds no rule and no feature (%d files); write a rule or take the built-in ones", len(files))
	}
	r.finish()
	if err := m.err(); err != nil {
		return nil, err
	}
	return r.set, nil
}
