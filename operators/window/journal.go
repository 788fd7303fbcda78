package window

import "fmt"

// Journal takes back what a transaction did to customers. The owner calls Save on a customer before the first change of a transaction;
// every change of it after that is noted by itself; Rollback undoes all of them, newest first, Commit keeps them. One lane has one
// journal. Between Save and the end of the transaction customers may change in any way; outside of one, changes are not noted.
type Journal struct {
	undos []undo
}

type undoKind uint8

const (
	undoSave  undoKind = iota // header, held and dictionary
	undoFold                  // takes a row out
	undoState                 // gives a row its former state
	undoAdopt                 // puts everything back
)

type undo struct {
	customer *Customer
	kind     undoKind
	place    int
	state    *stateUndo
	whole    *wholeUndo
	save     header
	held     []Held
	words    int
}

// wholeUndo is a copy of what Adopt and Trim rewrite.
type wholeUndo struct {
	rows  rows
	dict  dictionary
	shape *Shape
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
	j.undos = append(j.undos, undo{customer: c, kind: undoSave, save: c.header, held: c.held, words: len(c.dict.values)})
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
		switch u.kind {
		case undoFold:
			c.remove(u.place)
		case undoState:
			c.undoState(u.place, u.state)
		case undoAdopt:
			c.rows, c.dict, c.shape, c.header = u.whole.rows, u.whole.dict, u.whole.shape, u.save
		case undoSave:
			c.header, c.held, c.journal = u.save, u.held, nil
			c.dict.truncate(u.words)
		}
	}
	clear(j.undos)
	j.undos = j.undos[:0]
}
