package oracle

import (
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// customer is what the oracle keeps of one: every accepted event, and the stateChanges that came before theirs.
type customer struct {
	events    []*Past // visible ones, ascending by (time, position)
	gone      []*Past // no longer visible, ascending by time: for since alone
	ids       map[identity]*Past
	held      []held // in log order
	watermark int64  // ms; largest time of an accepted event
	started   bool   // watermark has a value
}

// identity of an event within its customer.
type identity struct {
	id   string
	side schemas.Side
}

// Past is an accepted event: in front what every scan reads.
type Past struct {
	Time      int64 // ms
	Amount    int64 // 10⁻⁶ of the base currency
	HasAmount bool  // false: no amount, or in a currency without a rate
	Counted   bool  // by the newest-timed state that is known
	Side      schemas.Side
	position  int64 // offset in the log

	seen  *schemas.Event // as conditions read it: with the newest-timed state and a currency
	first *schemas.Event // as it came: what a second event with this id is compared with
	state known
}

// Kind is the event's kind.
func (p *Past) Kind() schemas.Kind { return p.first.Kind }

// Text is a text field and whether there is one: the newest-timed state known, the base currency where none was given.
func (p *Past) Text(f schemas.Field) (string, bool) { return p.seen.Text(f) }

// Is reports whether the text field has the value.
func (p *Past) Is(f schemas.Field, value string) bool {
	text, given := p.seen.Text(f)
	return given && text == value
}

// Attr is an attribute's text and whether there is one.
func (p *Past) Attr(name string) (string, bool) {
	for _, a := range p.first.Attributes {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// insert puts x at its place in (time, log) order, moves the watermark and sets apart what is no longer visible: time ≤ watermark −
// retention. That changes no answer: windows that reach there are not determinable, ids count as unknown, since has gone.
func (c *customer) insert(x *Past, retention int64) {
	at := len(c.events)
	for at > 0 && c.events[at-1].Time > x.Time { // equal times: behind those that came before
		at--
	}
	c.events = slices.Insert(c.events, at, x)
	c.ids[identity{x.first.ID, x.Side}] = x
	if !c.started || x.Time > c.watermark {
		c.watermark, c.started = x.Time, true
	}
	for c.events[0].Time <= c.watermark-retention {
		old := c.events[0]
		delete(c.ids, identity{old.first.ID, old.Side})
		c.gone = append(c.gone, old)
		c.events[0] = nil
		c.events = c.events[1:]
	}
}
