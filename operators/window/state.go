package window

import (
	"cmp"
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// StateResult says what SetState did.
type StateResult uint8

const (
	StateUnknown    StateResult = iota // no visible event has the id: Hold it
	StateApplied                       // the event has the state now
	StateRepeated                      // it had it already, by a change of the same time
	StateSuperseded                    // it has a state of a later time
)

func (r StateResult) String() string {
	return [...]string{"unknown", "applied", "repeated", "superseded"}[r]
}

// SetState gives the event with this id hash a state as of time at: of several the newest-timed holds, of equal times the later in the
// log; the state that an event came with has the event's time. counted says whether the state counts; lsn is the change's offset + 1.
// Afterwards everything is as if the event had come with the state.
func (c *Customer) SetState(id uint64, at int64, state string, counted bool, lsn int64) StateResult {
	i := c.find(id, c.Horizon())
	if i < 0 {
		return StateUnknown
	}
	r := &c.row[i]
	since, old := r.time, uint32(0)
	k, known := c.findStated(id)
	if known {
		since, old = c.stated[k].at, c.stated[k].text
	}
	if at < since {
		return StateSuperseded
	}
	if at == since && old != 0 && c.dict.value(old) == state {
		return StateRepeated
	}
	c.changed(lsn)
	u := &stateUndo{row: *r, column: c.stateColumn(), stated: c.stated}
	if u.column >= 0 {
		u.text = c.text(i)[u.column]
	}
	c.journal.add(undo{customer: c, kind: undoState, place: i, state: u})
	word := c.dict.id(state)
	c.stated = slices.Clone(c.stated)
	if !known {
		c.stated = slices.Insert(c.stated, k, stated{})
	}
	c.stated[k] = stated{id: id, at: at, text: word}
	r.flags = r.flags&^rowCounted | rowStated
	if counted {
		r.flags |= rowCounted
	}
	if u.column >= 0 {
		c.text(i)[u.column] = word
	}
	r.bits = c.classify(i)
	return StateApplied
}

func (r *rows) findStated(id uint64) (int, bool) {
	return slices.BinarySearchFunc(r.stated, id, func(s stated, id uint64) int { return cmp.Compare(s.id, id) })
}

// statedAt is the id's entry, or nil.
func (r *rows) statedAt(id uint64) *stated {
	if k, ok := r.findStated(id); ok {
		return &r.stated[k]
	}
	return nil
}

// stateUndo is a row as it was before SetState.
type stateUndo struct {
	row    row
	column int
	text   uint32
	stated []stated
}

func (c *Customer) undoState(i int, u *stateUndo) {
	c.row[i], c.stated = u.row, u.stated
	if u.column >= 0 {
		c.text(i)[u.column] = u.text
	}
}

// stateColumn is the stored column that holds the state, or −1.
func (c *Customer) stateColumn() int {
	for k, col := range c.shape.Columns {
		if col.Attr == "" && col.Field == schemas.FieldState {
			return c.shape.prog.text[k]
		}
	}
	return -1
}

// Held is a stateChange that came before its event.
type Held struct {
	ID       uint64 // IDHash of the event that it names
	Appended int64  // the broker's append time, ms
	LSN      int64  // its offset + 1
	Record   []byte // the owner's form of the record, given back with it; must not change
}

// Bounds of what is held (DESIGN, contract 4).
const (
	MaxHeld  = 100       // stateChanges of a customer
	HeldTime = dayMillis // ms of log time
)

// Hold keeps a stateChange until its event comes; it reports false, and keeps nothing, where MaxHeld are held.
func (c *Customer) Hold(h Held) bool {
	if len(c.held) >= MaxHeld {
		return false
	}
	c.changed(h.LSN)
	c.held = append(slices.Clip(c.held), h) // a journal may share the old ones
	return true
}

// TakeHeld takes out what is held for an event, in log order; lsn is the offset + 1 of the record that brought the event.
func (c *Customer) TakeHeld(id uint64, lsn int64) []Held {
	return c.takeHeld(lsn, func(h *Held) bool { return h.ID == id })
}

// ExpireHeld takes out what has been held for HeldTime at log time now, in log order.
func (c *Customer) ExpireHeld(now, lsn int64) []Held {
	return c.takeHeld(lsn, func(h *Held) bool { return now-h.Appended >= HeldTime })
}

// HeldLen is the number of stateChanges held; oldest is the append time of the first, meaningless for none.
func (c *Customer) HeldLen() (n int, oldest int64) {
	if len(c.held) == 0 {
		return 0, 0
	}
	return len(c.held), c.held[0].Appended
}

func (c *Customer) takeHeld(lsn int64, take func(*Held) bool) (out []Held) {
	var rest []Held
	for i := range c.held {
		if take(&c.held[i]) {
			out = append(out, c.held[i])
		} else {
			rest = append(rest, c.held[i])
		}
	}
	if len(out) > 0 {
		c.changed(lsn)
		c.held = rest
	}
	return out
}

// changed notes the record that changes the customer.
func (c *Customer) changed(lsn int64) { c.lsn = max(c.lsn, lsn) }
