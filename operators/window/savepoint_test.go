package window_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
)

// abort runs a transaction of random folds, possibly across configurations, and takes it back, newest change first, as a lane's journal
// does: nothing must remain of it.
func (h *history) abort() {
	h.t.Helper()
	h.touch()
	before := h.c.Append(nil)
	m := *h.m
	m.events = slices.Clone(m.events)
	var journal []func()
	save := func(s window.Savepoint) { journal = append(journal, func() { h.c.Restore(s) }) }
	h.note("begin")
	save(h.c.Save())
	for range h.r.IntN(4) {
		for range h.r.IntN(4) {
			if place, ok := h.offer(h.event()); ok {
				journal = append(journal, func() { h.c.Unfold(place) })
			}
		}
		if h.r.IntN(3) == 0 {
			p := h.plan(int32(len(h.plans)) + 1)
			h.note("configuration %d, retention %d", p.version, p.retention)
			h.m.adopt(*p)
			save(h.c.SaveAll())
			h.c.Adopt(h.shapes[p.version])
		}
	}
	for _, undo := range slices.Backward(journal) {
		undo()
	}
	h.note("abort")
	if got := h.c.Append(nil); !bytes.Equal(got, before) {
		h.fail("after the abort:\n got %x\nwant %x", got, before)
	}
	*h.m = m
}

// TestSavepoint_AbortedTransactionLeavesNoTrace holds the encoding after an undo against the one before, and the answers after it
// against a model that never saw the aborted events.
func TestSavepoint_AbortedTransactionLeavesNoTrace(t *testing.T) {
	for seed := range uint64(40) {
		h := newHistory(t, 1000+seed)
		for range 60 {
			for range 3 {
				h.offer(h.event())
			}
			if h.r.IntN(4) == 0 {
				h.c.Trim()
			}
			h.abort()
		}
	}
}
