package schemas

// Fact is what became of one record of topic events: the whole event and everything that decided its verdict, so that state, audit and
// backtest need nothing else. (Generation, Partition, Offset, Seq) is its identity.
type Fact struct {
	Generation int32 `avro:"generation"` // of the topology, from 1; not the consumer group's
	Partition  int32 `avro:"partition"`  // of topic events
	Offset     int64 `avro:"offset"`     // in topic events
	Seq        int32 `avro:"seq"`        // 0; above 0 only for parked events that this record released
	Appended   int64 `avro:"appended"`   // ms; the broker's append time of the event: log time

	Event   Event   `avro:"event"`
	Outcome Outcome `avro:"outcome"`
	Reason  string  `avro:"reason"` // a code where the outcome needs one: redelivery, future, conflict, …
	Detail  string  `avro:"detail"` // the reason in words, with the values that decided it
	Late    bool    `avro:"late"`   // the event's time is before the customer's watermark

	BaseAmount int64 `avro:"base_amount"` // 10⁻⁶ of the base currency; what rules call amount
	HasBase    bool  `avro:"has_base"`    // false: no rate to the base currency is known

	Config   int32     `avro:"config"`   // version of the configuration that judged it
	Features []Feature `avro:"features"` // named features that were determinable, in the configuration's order

	Assessment   string         `avro:"assessment"`    // guid; empty unless assessed
	Stage        Stage          `avro:"stage"`         // where the assessment stands at this record
	InitialLevel Level          `avro:"initial_level"` // by the rules
	FinalLevel   Level          `avro:"final_level"`   // by the decision; equals InitialLevel where policy decided
	DecisionType string         `avro:"decision_type"` // ACCEPTED or REJECTED; empty while open
	Score        int32          `avro:"score"`         // sum of the live hits' scores
	Rules        []RuleVerdict  `avro:"rules"`         // one per live and shadow rule, in the configuration's order
	Hits         []HitExplained `avro:"hits"`          // one per HIT, live and shadow
}

// Feature is a named feature's exact value: 10⁻⁶ units, big endian two's complement (Avro decimal(38,6)).
type Feature struct {
	Name  string   `avro:"name"`
	Value [16]byte `avro:"value"`
}

// RuleVerdict is one rule's outcome.
type RuleVerdict struct {
	Rule    string  `avro:"rule"`
	Version int32   `avro:"version"`
	Verdict Verdict `avro:"verdict"`
	Note    string  `avro:"note"` // for ND the missing value, for ERROR the error
}

// HitExplained says why a rule fired.
type HitExplained struct {
	Rule    string `avro:"rule"`
	Version int32  `avro:"version"`
	Level   Level  `avro:"level"`
	Score   int32  `avro:"score"`
	Shadow  bool   `avro:"shadow"` // judged for comparison only; counts for nothing
	// A late event's second judgement, at the customer's watermark, found it; at the event's own time the rule did not fire.
	AtWatermark bool        `avro:"at_watermark"`
	Reason      string      `avro:"reason"` // in words, with parameters and measured values filled in
	Values      []Attribute `avro:"values"` // sub-expression and its measured value, in order of evaluation
}

// Reset empties f for reuse and keeps the slices' memory.
func (f *Fact) Reset() {
	features, rules, hits := f.Features[:0], f.Rules[:0], f.Hits[:0]
	f.Event.Reset()
	*f = Fact{Event: f.Event, Features: features, Rules: rules, Hits: hits}
}
