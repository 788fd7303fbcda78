package generator

import (
	"fmt"
	"hash/fnv"
	"sort"

	"github.com/streamgauge/streamgauge/schemas"
)

// LogRecord is one record of topic events, with what the generator knows about it. Its memory is the caller's.
type LogRecord struct {
	Class     LogClass
	Partition int32
	Offset    int64 // within the partition, from 0, without gaps
	Appended  int64 // ms; log time, never going back
	Key       []byte
	Value     []byte        // Event, encoded; for LogPoison bytes that are no event
	Event     schemas.Event // empty for LogPoison
}

// LogClass says what a record is there for.
type LogClass uint8

const (
	LogControl     LogClass = iota // the configuration begins here: the first record of every partition
	LogOnTime                      // a payment or transaction in the order of its customer's times
	LogOutOfOrder                  // sent late by a delay like an exponential one of 30 s
	LogHours                       // sent hours late, within the retention
	LogEqualTime                   // of a time that another event of its customer has, or a round one away from it
	LogAhead                       // up to 5 min ahead of log time, which is allowed
	LogRedelivery                  // a record that was sent before, of the same origin
	LogRepeat                      // a record that was sent before, of an origin of its own
	LogBeyond                      // one that left the retention, once more; or another event just as old
	LogConflict                    // a known id with another amount, time or kind
	LogFuture                      // more than 5 min ahead of log time
	LogUnknown                     // in a state that no policy knows
	LogUnsupported                 // of a kind that part 2 does not take
	LogPoison                      // bytes that are no event
	LogRetraction                  // a stateChange to a state that does not count
	LogRestoration                 // and one back
	LogEarly                       // a stateChange whose event comes later, sometimes after more than 24 h of log time
	LogRestated                    // a stateChange that says again what holds, from the same origin or another one
	LogSuperseded                  // a stateChange older than the one that holds
	LogOrphan                      // a stateChange whose event never comes; some in crowds of more than 100
	LogAwaited                     // an event that a stateChange came before
	LogBadState                    // a stateChange of the future, or to a state that no policy knows
	NumLogClasses
)

// LogClasses lists the classes' names by value.
var LogClasses = [NumLogClasses]string{
	"control", "on_time", "out_of_order", "hours", "equal_time", "ahead", "redelivery", "repeat", "beyond", "conflict", "future", "unknown", "unsupported",
	"poison", "retraction", "restoration", "early", "restated", "superseded", "orphan", "awaited", "bad_state",
}

func (c LogClass) String() string { return LogClasses[c] }

// Log yields the records of a whole topic events in log order, all partitions interleaved. Not safe for concurrent use.
type Log struct {
	cfg     LogConfig
	r       random
	weights []uint64 // cumulated chances of the customers but the hot one

	emitted int64
	now     int64   // ms; log time
	offsets []int64 // by partition: of the next record
	inputs  int64   // origins given out
	ids     int64   // event ids given out
	newest  []int64 // by customer: largest time of an event that must have been accepted
	recent  []*sent // ring of those
	oldest  int     // where the ring goes on
	old     []*sent // a sample of all that were ever sent, in log order
	changed []*sent // the last ones that a stateChange changed
	early   []early // events that come after their stateChange, in any order
	crowd   int     // orphans still to come
	crowded int     // for this customer
	tally   [NumLogClasses]int64
}

// sent is an accepted event as the generator remembers it.
type sent struct {
	event     schemas.Event
	customer  int
	state     string // the newest-timed one known; "" for none
	stateTime int64
	origin    schemas.Origin // of the stateChange that set it
}

// early is an event that is held back until a record number.
type early struct {
	*sent
	due     int64
	change  schemas.Event // the stateChange that came before it
	expires int64         // ms; log time at which that is too old
}

const (
	recentEvents  = 4_000 // events that repeats, conflicts and stateChanges may take up
	changedEvents = 32    // of which every second stateChange takes up one
	oldEvery      = 16    // of so many events one is remembered for ever
	crowdSize     = 104   // orphans of a crowd: more than the 100 that a customer may hold
)

// NewLog makes a log. It fails with every mistake of the configuration at once.
func NewLog(cfg LogConfig) (*Log, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg, r: newRandom(cfg.Seed, streamLog), weights: zipf(cfg.Customers - 1), now: cfg.Start,
		offsets: make([]int64, cfg.Partitions), newest: make([]int64, cfg.Customers),
	}
	return l, nil
}

// Next returns the next record, and false after the last one.
func (l *Log) Next() (LogRecord, bool) {
	if l.emitted == l.cfg.Records {
		return LogRecord{}, false
	}
	var rec LogRecord
	if l.emitted < int64(l.cfg.Partitions) {
		rec = LogRecord{Class: LogControl, Partition: int32(l.emitted), Event: schemas.Event{Kind: schemas.KindControl, Control: l.cfg.Control}}
	} else {
		l.tick()
		rec = l.record()
	}
	rec.Appended, rec.Offset = l.now, l.offsets[rec.Partition]
	l.offsets[rec.Partition]++
	l.emitted++
	l.tally[rec.Class]++
	if rec.Class != LogPoison {
		rec.Value = l.encode(&rec.Event)
	}
	return rec, true
}

// Tally returns how many records of each class have been emitted.
func (l *Log) Tally() [NumLogClasses]int64 { return l.tally }

func (l *Log) encode(e *schemas.Event) []byte {
	value, err := schemas.Events.Codec.Append(nil, e)
	if err != nil {
		panic(fmt.Sprintf("BUG: generator: event %s: %v", e.ID, err))
	}
	return value
}

// tick moves log time on: in bursts of 400 records, fifty times as dense as on average, and some records of the same millisecond.
func (l *Log) tick() {
	mean := max(uint64(l.cfg.Period.Milliseconds()/l.cfg.Records), 1)
	switch u := l.r.below(tenThousand); {
	case u < 25:
		l.now += int64(l.r.below(mean*800) + 1)
	case u < 7_500:
		l.now += int64(l.r.below(mean/25+1)) + 1
	}
}

// record makes the next record that is no control.
func (l *Log) record() LogRecord {
	for i := range l.early {
		if e := l.early[i]; e.due <= l.emitted {
			l.early = append(l.early[:i], l.early[i+1:]...)
			return l.await(&e)
		}
	}
	if l.crowd > 0 {
		l.crowd--
		return l.orphan(l.crowded)
	}
	u := int(l.r.below(tenThousand))
	for _, s := range l.cfg.shares() {
		if u < s.value {
			return s.make(l)
		}
		u -= s.value
	}
	return l.accept(LogOnTime, l.fresh(l.draw(), l.now-20))
}

// draw picks a customer: 0 is the hot one, the others by Zipf's law.
func (l *Log) draw() int {
	if l.r.below(100) < uint64(l.cfg.Hot) {
		return 0
	}
	u := l.r.below(l.weights[len(l.weights)-1])
	return 1 + sort.Search(len(l.weights), func(i int) bool { return l.weights[i] > u })
}

// place addresses a record to its customer's partition.
func (l *Log) place(class LogClass, e schemas.Event) LogRecord {
	rec := LogRecord{Class: class, Event: e, Key: schemas.CustomerKey(nil, e.Team, e.Customer)}
	h := fnv.New32a()
	h.Write(rec.Key)
	rec.Partition = int32(h.Sum32() % uint32(l.cfg.Partitions))
	return rec
}

// fresh makes a new event with the state that it has by itself.
func (l *Log) fresh(customer int, at int64) *sent {
	s := &sent{event: l.event(customer, at), customer: customer}
	if s.event.Has(schemas.FieldState) {
		s.state, s.stateTime = s.event.State, at
	}
	return s
}

// accept sends an event that must be assessed, and remembers it.
func (l *Log) accept(class LogClass, s *sent) LogRecord {
	l.newest[s.customer] = max(l.newest[s.customer], s.event.Time)
	if len(l.recent) < recentEvents {
		l.recent = append(l.recent, s)
	} else {
		l.recent[l.oldest] = s
		l.oldest = (l.oldest + 1) % recentEvents
	}
	if l.r.below(oldEvery) == 0 {
		l.old = append(l.old, s)
	}
	return l.place(class, s.event)
}

// again is a remembered event that its customer still sees; nil where there is none yet.
func (l *Log) again() *sent {
	for range 8 {
		if len(l.recent) == 0 {
			return nil
		}
		if s := l.recent[l.r.below(uint64(len(l.recent)))]; l.visible(s) {
			return s
		}
	}
	return nil
}

func (l *Log) visible(s *sent) bool {
	return s.event.Time > l.newest[s.customer]-l.cfg.Retention.Milliseconds()
}

// origin is the place of the next input record.
func (l *Log) origin() schemas.Origin {
	l.inputs++
	return schemas.Origin{Topic: schemas.Payments, Partition: int32(l.inputs % 3), Offset: l.inputs}
}
