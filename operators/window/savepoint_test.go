package window_test

import (
	"bytes"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
)

// abort runs a transaction of random changes, possibly across configurations, and takes it back: nothing must remain of it. Some
// transactions are kept instead.
func (h *history) abort() {
	h.t.Helper()
	h.touch()
	before, m := h.c.Whole(nil), h.m.clone()
	h.note("begin")
	h.j.Save(h.c)
	for range h.r.IntN(4) {
		for range h.r.IntN(4) {
			switch h.r.IntN(6) {
			case 0:
				h.setState()
			case 1:
				h.hold()
			default:
				h.offer(h.event())
			}
		}
		if h.r.IntN(4) == 0 {
			h.adopt()
			h.touch()
		}
		if h.r.IntN(6) == 0 {
			h.c.Trim()
		}
	}
	if h.r.IntN(4) == 0 {
		h.note("commit")
		h.j.Commit()
		return
	}
	h.j.Rollback()
	h.note("abort")
	if got := h.c.Whole(nil); !bytes.Equal(got, before) {
		h.fail("after the abort:\n got %x\nwant %x", got, before)
	}
	h.m = m
}

// TestSavepoint_AbortedTransactionLeavesNoTrace holds the encoding after an undo against the one before, and the answers after it
// against a model that never saw the aborted events.
func TestSavepoint_AbortedTransactionLeavesNoTrace(t *testing.T) {
	defer window.SetLimits(smallLimits())()
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
