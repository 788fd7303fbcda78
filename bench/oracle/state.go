package oracle

import (
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// What DESIGN, contracts 4 and 5, leave open about a stateChange is decided here as follows. The engine is built by the same text.
//
//   - A stateChange names the customer's event by (id, side). Its own time is the state's, its origin its own; it stands on no clock of the
//     customer's: it moves no watermark, is never late and never beyond_retention.
//   - Checks, in this order: a time above append time + 5 min is rejected `future`; a state in neither list of the policy, or none at all,
//     is rejected `unknown_state`, before anything is looked up or held. Then the visible event of that (id, side) decides.
//   - An event's own state has the event's time. An event that came without a state has none: any stateChange is newer. It counts.
//   - The newest-timed state holds; of equal times that which stands later in the log. An older one is `applied`, reason `superseded`, and
//     changes nothing. The state and the time of the stateChange that holds once more are `duplicate`, whatever its origin: a redelivery
//     says the same as what it repeats, so it needs no origin to be harmless. A stateChange that says again what the event came with is
//     `applied`: nobody has to keep the text of an event's own state for that.
//   - A stateChange of no visible event, because the event has not come or has left the horizon, is `parked`, reason `unknown_event`, and
//     held by its customer; the 101st is rejected `parked_overflow` instead. What is held is not compared with its likes: a second copy is
//     held too, and is `duplicate` when it is released.
//   - Held for 24 h of log time: at the customer's first payment, transaction or stateChange (whatever becomes of it) whose append time is
//     24 h or more above its own, it is rejected `parked_expired`. That comes before anything else of that record: an event does not
//     find a stateChange that expired with it, and makes room for one.
//   - When its event is accepted, all that is held for it is applied in log order, each by the rules above, before the event is judged: the
//     states are known at the event's position. A condition that asks for the state of the past sees it, the fact keeps the event as it came.
//     Released, they stand behind the event's own state: of equal times the stateChange wins.
//   - Their facts have the place and the append time of that record, and seq from 1: first what expired, then what was released, each in
//     log order.
//   - Past verdicts stand: a stateChange judges nothing.

// Bounds of what a customer holds (DESIGN, contract 4).
const (
	heldFor  = day
	heldMost = 100
)

// known is the newest-timed state that is known of an event.
type known struct {
	given   bool // false: the event came without a state, and no stateChange has come
	state   string
	time    int64 // ms
	changed bool  // by a stateChange; else the event came with it
}

// held is a stateChange that waits for its event.
type held struct {
	event    schemas.Event
	appended int64 // ms
}

// knows reports whether the policy says anything of the state.
func (c *Config) knows(state string) bool {
	return slices.Contains(c.Counted, state) || slices.Contains(c.Uncounted, state)
}

func (c *Config) counts(state string) bool { return !slices.Contains(c.Uncounted, state) }

// stateChange decides what becomes of the record, which is one.
func (t *turn) stateChange() {
	c, w, cfg := t.customer, t.record, &t.oracle.cfg
	e := &w.Event
	switch x := c.ids[identity{e.ID, e.Side}]; {
	case e.Time > w.Appended+futureTolerance:
		w.Reason = "future"
	case !e.Has(schemas.FieldState) || !cfg.knows(e.State):
		w.Reason = "unknown_state"
	case x != nil:
		w.Outcome, w.Reason = cfg.change(x, e)
	case len(c.held) == heldMost:
		w.Reason = "parked_overflow"
	default:
		w.Outcome, w.Reason = schemas.Parked, "unknown_event"
		c.held = append(c.held, held{event: *e, appended: w.Appended})
	}
}

// change holds a stateChange against its event.
func (c *Config) change(x *Past, e *schemas.Event) (schemas.Outcome, string) {
	switch s := &x.state; {
	case s.changed && s.state == e.State && s.time == e.Time:
		return schemas.Duplicate, ""
	case s.given && e.Time < s.time:
		return schemas.Applied, "superseded"
	}
	x.state = known{given: true, state: e.State, time: e.Time, changed: true}
	x.seen.SetText(schemas.FieldState, e.State)
	x.Counted = c.counts(e.State)
	return schemas.Applied, ""
}

// expire rejects what the customer has held for too long.
func (t *turn) expire() {
	now := t.record.Appended
	t.take(func(h *held) bool { return now >= h.appended+heldFor }, func(*held) (schemas.Outcome, string) {
		return schemas.Rejected, "parked_expired"
	})
}

// release applies what the customer holds for the event, which has just been accepted.
func (t *turn) release(x *Past) {
	t.take(func(h *held) bool { return h.event.ID == x.first.ID && h.event.Side == x.Side }, func(h *held) (schemas.Outcome, string) {
		return t.oracle.cfg.change(x, &h.event)
	})
}

// take takes some of what is held out of the customer, in log order, each as a fact of its own.
func (t *turn) take(which func(*held) bool, settle func(*held) (schemas.Outcome, string)) {
	c := t.customer
	kept := c.held[:0]
	for _, h := range c.held {
		if !which(&h) {
			kept = append(kept, h)
			continue
		}
		w := Want{
			Partition: t.record.Partition, Offset: t.record.Offset, Seq: int32(len(t.released)) + 1, Appended: t.record.Appended, Event: h.event,
			generation: t.record.generation, prefix: t.record.prefix, currency: t.record.currency, others: t.record.others, rejections: t.record.rejections,
		}
		w.Outcome, w.Reason = settle(&h)
		t.released = append(t.released, w)
	}
	c.held = kept
}
