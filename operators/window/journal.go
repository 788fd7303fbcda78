package window

import (
	"fmt"
	"slices"
)

// Journal takes back what a transaction did to customers. The owner calls Save on a customer before the first change of a transaction;
// every change of it after that is noted by itself; Rollback undoes all of them, newest first, Commit keeps them. One lane has one
// journal. Between Save and the end of the transaction customers may change in any way; outside of one, changes are not noted.
type Journal struct {
	undos []undo
}

type undoKind uint8

const (
	undoSave  undoKind = iota // header, held and dictionary
	undoFold                  // takes a row out of the head
	undoState                 // gives a row of the head its former state
	undoBlock                 // puts a sealed chunk's former version back
	undoSplit                 // takes the newer half out again
	undoSeal                  // puts the newest chunk back into the head
	undoWhole                 // puts everything back
)

type undo struct {
	customer *Customer
	kind     undoKind
	place    int        // a position; for blocks their index
	block    *block     // undoBlock
	state    *stateUndo // undoState
	whole    *wholeUndo // undoSave, undoWhole
}

// wholeUndo is what a customer was; reservoir and dict only for undoWhole.
type wholeUndo struct {
	header    header
	held      []Held
	words     int
	reservoir reservoir
	dict      dictionary
	shape     *Shape
	gap       int
}

// Save begins noting c's changes, if they are not noted yet.
func (j *Journal) Save(c *Customer) {
	if c.journal == j {
		return
	}
	if c.journal != nil {
		panic(fmt.Sprintf("BUG: customer %q is in another transaction", c.id))
	}
	c.journal = j
	j.undos = append(j.undos, undo{customer: c, kind: undoSave, whole: &wholeUndo{header: c.header, held: c.held, words: len(c.dict.ends)}})
}

// add notes one change; without a transaction it does nothing.
func (j *Journal) add(u undo) {
	if j != nil {
		j.undos = append(j.undos, u)
	}
}

// Commit keeps everything since the journal was last empty.
func (j *Journal) Commit() {
	for i := range j.undos {
		j.undos[i].customer.journal = nil
	}
	clear(j.undos)
	j.undos = j.undos[:0]
}

// Rollback puts every customer back to where it was when it was saved.
func (j *Journal) Rollback() {
	for i := len(j.undos) - 1; i >= 0; i-- {
		u := &j.undos[i]
		c := u.customer
		c.gen++
		switch u.kind {
		case undoFold:
			c.head.remove(u.place - c.head.start)
		case undoState:
			c.undoState(u.place, u.state)
		case undoBlock:
			c.blocks[u.place] = u.block
			c.supers.forget(u.place)
			c.restart(u.place)
		case undoSplit:
			c.blocks = slices.Delete(c.blocks, u.place+1, u.place+2)
		case undoSeal:
			c.unseal()
		case undoWhole:
			c.undoWhole(u.whole)
		case undoSave:
			c.header, c.held, c.journal = u.whole.header, u.whole.held, nil
			c.dict.truncate(u.whole.words)
			c.derive()
		}
	}
	clear(j.undos)
	j.undos = j.undos[:0]
}

// noteWhole notes everything, before rows are rewritten.
func (c *Customer) noteWhole() {
	if c.journal == nil {
		return
	}
	w := &wholeUndo{header: c.header, reservoir: c.reservoir, dict: c.dict, shape: c.shape, gap: c.gap}
	w.reservoir.blocks = slices.Clone(c.blocks)
	w.reservoir.head.row, w.reservoir.head.texts = slices.Clone(c.head.row), slices.Clone(c.head.texts)
	w.dict.index = nil // the one that is there changes with what comes
	c.supers = supers{}
	c.journal.add(undo{customer: c, kind: undoWhole, whole: w})
}

func (c *Customer) undoWhole(w *wholeUndo) {
	gen, layout := c.gen, c.layout
	c.header, c.reservoir, c.dict, c.shape, c.gap = w.header, w.reservoir, w.dict, w.shape, w.gap
	c.gen, c.layout, c.supers = gen+1, layout+1, supers{}
	c.head.minis, c.head.valid = nil, 0
	c.head.ids.rebuild(c.head.row)
	c.dict.reindex()
	c.derive()
	if len(c.blocks) > 0 {
		c.restart(0)
	}
}
