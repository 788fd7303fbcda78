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
	pos := c.find(id)
	if pos < 0 {
		return StateUnknown
	}
	b, i := c.locate(pos)
	since, old := b.row[i].time, uint32(0)
	k, known := findStated(b.stated, id)
	if known {
		since, old = b.stated[k].at, b.stated[k].text
	}
	switch {
	case at < since:
		return StateSuperseded
	case at == since && old != 0 && c.dict.value(old) == state:
		return StateRepeated
	}
	c.changed(lsn)
	c.gen++
	if b != &c.head {
		b = c.edit(c.blockAt(pos))
	} else if c.journal != nil {
		c.journal.add(undo{customer: c, kind: undoState, place: pos, state: &stateUndo{b.row[i], slices.Clone(b.text(i)), b.stated}})
	}
	entry := stated{id: id, at: at, text: c.dict.id(state)}
	if b.stated = slices.Clone(b.stated); known {
		b.stated[k] = entry
	} else {
		b.stated = slices.Insert(b.stated, k, entry)
	}
	c.restate(b, i, &entry, counted)
	if b == &c.head && b.row[i].flags&rowFresh == 0 {
		c.restated = append(slices.Clip(c.restated), id)
	}
	c.settle(pos)
	return StateApplied
}

// restate gives row i of b the state of an entry.
func (c *Customer) restate(b *block, i int, s *stated, counted bool) {
	r := &b.row[i]
	r.flags = r.flags&^rowCounted | rowStated
	if counted {
		r.flags |= rowCounted
	}
	for k, col := range c.shape.Columns {
		if col == (Column{Field: schemas.FieldState}) && r.time > c.colFrom[k] {
			b.text(i)[c.shape.prog.state] = s.text
		}
	}
	r.bits = c.classify(b, i)
	if b == &c.head {
		b.valid = min(b.valid, i/miniRows)
	} else {
		b.valid = 0
	}
}

// stated is the state that a stateChange gave an event.
type stated struct {
	id   uint64
	at   int64
	text uint32 // dictionary id
}

func findStated(all []stated, id uint64) (int, bool) {
	return slices.BinarySearchFunc(all, id, func(s stated, id uint64) int { return cmp.Compare(s.id, id) })
}

// mergeStated is both, by id.
func mergeStated(a, b []stated) []stated {
	out := append(slices.Clone(a), b...)
	slices.SortFunc(out, func(x, y stated) int { return cmp.Compare(x.id, y.id) })
	return out
}

// stateUndo is a row of the head as it was before SetState.
type stateUndo struct {
	row    row
	text   []uint32
	stated []stated
}

func (c *Customer) undoState(pos int, u *stateUndo) {
	b, i := c.locate(pos)
	b.row[i], b.stated = u.row, u.stated
	copy(b.text(i), u.text)
	b.valid = min(b.valid, i/miniRows)
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
	c.store.whole = true
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
		c.held, c.store.whole = rest, true
	}
	return out
}

// changed notes the record that changes the customer.
func (c *Customer) changed(lsn int64) { c.lsn = max(c.lsn, lsn) }
