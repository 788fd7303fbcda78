package oracle

import (
	"slices"

	"github.com/streamgauge/streamgauge/schemas"
)

// customer is what the oracle keeps of one: every accepted event that can still matter.
type customer struct {
	events    []entry // visible ones, ascending by (time, position)
	ids       map[identity]*schemas.Event
	watermark int64 // ms; largest time of an accepted event
	started   bool  // watermark has a value

	// The newest counted event that is no longer visible, for since: whatever is accepted later is younger than all invisible ones.
	gone    int64 // ms; its time
	hasGone bool
}

// identity of an event within its customer.
type identity struct {
	id   string
	side schemas.Side
}

// entry is an accepted event: in front what every scan reads.
type entry struct {
	time      int64 // ms
	amount    int64 // 10⁻⁶ of the base currency
	side      schemas.Side
	hasAmount bool
	counted   bool  // by its state
	position  int64 // offset in the log
	event     *schemas.Event
}

// insert puts x at its place in (time, log) order, moves the watermark and forgets what is no longer visible: time ≤ watermark −
// retention. That changes no answer: windows that reach there are not determinable, ids count as unknown, since has gone.
func (c *customer) insert(x entry, retention int64) {
	at := len(c.events)
	for at > 0 && c.events[at-1].time > x.time { // equal times: behind those that came before
		at--
	}
	c.events = slices.Insert(c.events, at, x)
	c.ids[identity{x.event.ID, x.event.Side}] = x.event
	if !c.started || x.time > c.watermark {
		c.watermark, c.started = x.time, true
	}
	for c.events[0].time <= c.watermark-retention {
		old := c.events[0].event
		delete(c.ids, identity{old.ID, old.Side})
		if c.events[0].counted {
			c.gone, c.hasGone = max(c.gone, old.Time), true
		}
		c.events[0] = entry{}
		c.events = c.events[1:]
	}
}

// view is a customer as one of its events meets it: the event is folded in, nothing after it is.
type view struct {
	customer  *customer
	event     *entry
	retention int64 // ms
}

// over calls f for every counted event with a time in (τ−window, τ], τ being the event's time, and reports whether the window lies in
// front of the horizon as a whole.
func (v *view) over(window int64, f func(x *entry)) (known bool) {
	from, to := v.event.time-window, v.event.time
	if from < v.customer.watermark-v.retention {
		return false
	}
	for i := len(v.customer.events) - 1; i >= 0 && v.customer.events[i].time > from; i-- {
		if x := &v.customer.events[i]; x.time <= to && x.counted {
			f(x)
		}
	}
	return true
}

// since is the time from the last counted event before this one, in (time, log) order, to this one; ok is false where there is none.
func (v *view) since() (ms int64, ok bool) {
	e := v.event
	last, ok := v.customer.gone, v.customer.hasGone
	for i := range v.customer.events {
		x := &v.customer.events[i]
		before := x.time < e.time || x.time == e.time && x.position < e.position
		if before && x.counted && (!ok || x.time >= last) {
			last, ok = x.time, true
		}
	}
	return e.time - last, ok
}
