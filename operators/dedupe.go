package operators

import (
	"context"
	"fmt"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// FutureTolerance is how far an event's time may be ahead of the broker's append time (DESIGN, contract 2): clocks of producers drift,
// but a stamp far ahead would push the watermark over everything that follows.
const FutureTolerance = int64(5 * time.Minute / time.Millisecond)

// Reasons of monitor.
const (
	ReasonFuture          = "future"
	ReasonBeyondRetention = "beyond_retention"
	ReasonConflict        = "conflict"
	ReasonRedelivery      = "redelivery"
	ReasonUnknownState    = "unknown_state"
	ReasonUnsupportedKind = "unsupported_kind"
	ReasonUnknownEvent    = "unknown_event"   // a stateChange is parked until the event comes that it names
	ReasonSuperseded      = "superseded"      // a stateChange older than the state that is known
	ReasonParkedOverflow  = "parked_overflow" // a stateChange beyond window.MaxHeld
	ReasonParkedExpired   = "parked_expired"  // a stateChange whose event did not come within window.HeldTime
)

// Dedupe lets through what the log may take and takes once (DESIGN, contract 3). It finds the event's customer and decides, in this
// order: future, beyond_retention, then for a known id redelivery, duplicate or conflict. A rejected event leaves no id behind.
type Dedupe struct{}

// Name implements Operator.
func (Dedupe) Name() string { return "dedupe" }

// Process implements Operator.
func (Dedupe) Process(_ context.Context, b *Batch) error {
	for _, it := range b.Items {
		dedupe(b.State, it)
	}
	return nil
}

func dedupe(s *State, it *Item) {
	e := &it.Event
	it.Fact.Config = s.Current().Version
	if !e.Kind.Supported() {
		it.Reject(ReasonUnsupportedKind, fmt.Sprintf("kind %s is not taken by this version", e.Kind))
		return
	}
	c := s.customer(it.Key, e)
	it.customer, it.id = c, window.IDHash(e.ID, e.Side)
	expire(s, it)
	if e.Kind == schemas.KindStateChange {
		changeState(s, it)
		return
	}
	wm, started := c.Watermark()
	it.Fact.Late = started && e.Time < wm
	switch {
	case future(it):
		return
	case started && e.Time <= c.Horizon():
		it.Reject(ReasonBeyondRetention, fmt.Sprintf("time %s is at or before %s, the customer's newest event %s minus the retention of %s; a longer window or slack in the rules widens it",
			instant(e.Time), instant(c.Horizon()), instant(wm), time.Duration(s.Current().Shape.Retention)*time.Millisecond))
		return
	}
	if known, ok := c.Find(it.id); ok {
		settleKnown(it, known)
		return
	}
	if state, given := e.Text(schemas.FieldState); given {
		stateKnown(s, it, state)
	}
}

// future rejects an event whose time is too far ahead of the log's.
func future(it *Item) bool {
	if it.Event.Time <= it.Appended+FutureTolerance {
		return false
	}
	it.Reject(ReasonFuture, fmt.Sprintf("time %s is more than %s ahead of the log's %s; correct the producer's clock and send the event again",
		instant(it.Event.Time), time.Duration(FutureTolerance)*time.Millisecond, instant(it.Appended)))
	return true
}

// stateKnown rejects an event with a state of which the policy does not say whether it counts.
func stateKnown(s *State, it *Item, state string) bool {
	if s.Current().Policy.KnownState(state) {
		return true
	}
	it.Reject(ReasonUnknownState, fmt.Sprintf("state %q is in neither list of the policy; add it to policy.counted or policy.uncounted", state))
	return false
}

// settleKnown decides what a second event with a known id is.
func settleKnown(it *Item, known window.Identity) {
	e := &it.Event
	now := window.Identity{Kind: e.Kind, Time: e.Time, Amount: e.Amount, HasAmount: e.HasAmount, Origin: window.OriginHash(&e.Origin)}
	if now.Origin == known.Origin {
		it.Settle(schemas.Duplicate, ReasonRedelivery, "")
		return
	}
	known.Origin = now.Origin
	if now == known {
		it.Settle(schemas.Duplicate, "", "")
		return
	}
	it.Reject(ReasonConflict, fmt.Sprintf("id %q is known as %s of %s at %s; this one is %s of %s at %s. A correction needs an id of its own",
		e.ID, known.Kind, amountText(known), instant(known.Time), now.Kind, amountText(now), instant(now.Time)))
}

func amountText(i window.Identity) string {
	if !i.HasAmount {
		return "no amount"
	}
	return schemas.FormatAmount(i.Amount)
}

func instant(ms int64) string { return string(schemas.AppendTime(nil, ms)) }
