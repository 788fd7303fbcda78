package schemas

import "fmt"

// Kind says what an Event is. The zero value is invalid on purpose.
type Kind uint8

const (
	KindInvalid     Kind = iota
	KindPayment          // a payment initiated or received by the customer
	KindTransaction      // a transaction of a team's own payload
	KindRecord           // a change of the customer's profile; reserved
	KindStateChange      // an event's state moved: Event.ID and Side name it, Event.State is the state as of Event.Time
	KindDecision         // a human decided an assessment; reserved
	KindFinding          // a retrospective job judged the customer; reserved
	KindControl          // a new configuration begins here; no customer
	KindTick             // log time passes; reserved
)

// Kinds lists the kinds' names by value, as they stand in topics, files and tables.
var Kinds = []string{"invalid", "payment", "transaction", "record", "stateChange", "decision", "finding", "control", "tick"}

func (k Kind) String() string { return enumName(Kinds, int(k)) }

// Supported reports whether this version of the engine takes the kind; the others are rejected as unsupported_kind.
func (k Kind) Supported() bool {
	return k == KindPayment || k == KindTransaction || k == KindStateChange || k == KindControl
}

// Side is the own customer's part in the event.
type Side uint8

const (
	SideNone Side = iota // the input gave no direction
	SideOut              // the customer paid
	SideIn               // the customer was paid
)

// Sides lists the sides' names by value.
var Sides = []string{"NONE", "OUT", "IN"}

func (s Side) String() string { return enumName(Sides, int(s)) }

// Outcome is what became of one record of topic events; there is exactly one for each.
type Outcome uint8

const (
	OutcomeInvalid Outcome = iota
	Assessed               // judged by the rules
	Applied                // changed state or configuration, nothing to judge
	Duplicate              // known already: redelivered by intake or repeated by the producer
	Rejected               // could not be taken; the reason says why
	Parked                 // waits for something it needs; reserved
)

// Outcomes lists the outcomes' names by value.
var Outcomes = []string{"invalid", "assessed", "applied", "duplicate", "rejected", "parked"}

func (o Outcome) String() string { return enumName(Outcomes, int(o)) }

// Level is a risk level, ordered. Names are those of the reference event format.
type Level uint8

const (
	LevelNone Level = iota
	LevelLow
	LevelMedium
	LevelHigh
	LevelExtreme
)

// Levels lists the levels' names by value.
var Levels = []string{"NONE", "LOW", "MEDIUM", "HIGH", "EXTREME"}

func (l Level) String() string { return enumName(Levels, int(l)) }

// ParseLevel is the inverse of Level.String; it fails with the names that there are.
func ParseLevel(s string) (Level, error) {
	i, err := parseEnum("level", Levels, s)
	return Level(i), err
}

// Verdict is what one rule said of one event.
type Verdict uint8

const (
	NoHit   Verdict = iota
	Hit             // the condition holds
	ND              // not determinable: a value that decides is missing
	Errored         // the condition failed: division by zero, overflow, our own panic
)

// Verdicts lists the verdicts' names by value.
var Verdicts = []string{"NO_HIT", "HIT", "ND", "ERROR"}

func (v Verdict) String() string { return enumName(Verdicts, int(v)) }

func enumName(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("unknown(%d)", i)
}

func parseEnum(what string, names []string, s string) (int, error) {
	for i, n := range names {
		if n == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s %q is none of %v", what, s, names)
}
