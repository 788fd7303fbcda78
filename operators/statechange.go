package operators

import (
	"fmt"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// changeState takes a stateChange (DESIGN, contract 4): the state, as of the stateChange's time, of the event that its id and side name.
// The newest-timed state known at a place of the log holds; of equal times, the later in the log; the state that an event came with has the
// event's time. One that comes before its event is parked, and released by it. Past verdicts stand.
func changeState(s *State, it *Item) {
	e, c := &it.Event, it.customer
	if state, _ := e.Text(schemas.FieldState); future(it) || !stateKnown(s, it, state) {
		return
	}
	s.touch(c)
	switch outcome, reason := setState(s, c, it.id, e, it.Offset+1); {
	case outcome != schemas.Parked:
		it.Settle(outcome, reason, "")
	case hold(c, it):
		it.Settle(schemas.Parked, reason, "")
	default:
		it.Reject(ReasonParkedOverflow, fmt.Sprintf("%d stateChanges of this customer wait for their events already; send it again when the event %q has come", window.MaxHeld, e.ID))
	}
}

// setState applies a stateChange, parked ones later than they came.
func setState(s *State, c *Customer, id uint64, e *schemas.Event, lsn int64) (schemas.Outcome, string) {
	state, _ := e.Text(schemas.FieldState)
	switch r := c.SetState(id, e.Time, state, s.Current().Policy.Counts(state, true), lsn); r {
	case window.StateApplied:
		return schemas.Applied, ""
	case window.StateSuperseded:
		return schemas.Applied, ReasonSuperseded
	case window.StateRepeated:
		return schemas.Duplicate, ""
	case window.StateUnknown:
		return schemas.Parked, ReasonUnknownEvent
	default:
		panic(fmt.Sprintf("BUG: state change ends as %s", r))
	}
}

// hold parks a stateChange with all that its fact will need.
func hold(c *Customer, it *Item) bool {
	record, err := schemas.Events.Codec.Append(nil, &it.Event)
	if err != nil {
		panic(fmt.Sprintf("BUG: stateChange at offset %d: %v", it.Offset, err))
	}
	return c.Hold(window.Held{ID: it.id, Appended: it.Appended, LSN: it.Offset + 1, Record: record})
}

// release applies what was parked for the event that has just come, in the order of the log.
func release(s *State, it *Item) {
	if n, _ := it.customer.HeldLen(); n == 0 {
		return
	}
	for _, h := range it.customer.TakeHeld(it.id, it.Offset+1) {
		f := it.unpark(&h)
		f.Outcome, f.Reason = setState(s, it.customer, it.id, &f.Event, it.Offset+1)
	}
}

// expire rejects what was parked for too long at the record's place in the log.
func expire(s *State, it *Item) {
	n, oldest := it.customer.HeldLen()
	if n == 0 || it.Appended-oldest < window.HeldTime {
		return
	}
	s.touch(it.customer)
	for _, h := range it.customer.ExpireHeld(it.Appended, it.Offset+1) {
		f := it.unpark(&h)
		f.Outcome, f.Reason = schemas.Rejected, ReasonParkedExpired
		f.Detail = fmt.Sprintf("event %q, whose state it says, did not come within %s; send it again when it has come", f.Event.ID, time.Duration(window.HeldTime)*time.Millisecond)
	}
}

// unpark adds the fact of a parked stateChange to what the record released.
func (it *Item) unpark(h *window.Held) *schemas.Fact {
	it.Released = append(it.Released, schemas.Fact{Seq: int32(len(it.Released)) + 1})
	f := &it.Released[len(it.Released)-1]
	if err := schemas.Events.Codec.Decode(h.Record, &f.Event); err != nil {
		panic(fmt.Sprintf("BUG: parked stateChange of offset %d: %v", h.LSN-1, err))
	}
	return f
}
