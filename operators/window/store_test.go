package window_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
)

// storage is a tiny store of one customer: it does what flush.lua does.
type storage struct {
	head   []byte
	chunks map[window.ChunkName][]byte
}

// apply takes a write and reports whether its delta fits.
func (s *storage) apply(w *window.Write) bool {
	if w.Delta != nil {
		d := w.Delta
		if len(s.head) != d.Length || int64(binary.BigEndian.Uint64(s.head)) != d.FromLSN {
			return false
		}
		s.head = append(bytes.Clone(s.head), d.Tail...)
		copy(s.head, d.Header)
	} else {
		s.head = bytes.Clone(w.Value)
	}
	if s.chunks == nil {
		s.chunks = map[window.ChunkName][]byte{}
	}
	for _, x := range w.Chunks {
		s.chunks[x.Name] = bytes.Clone(x.Value)
	}
	for _, n := range w.Dead {
		delete(s.chunks, n)
	}
	return true
}

// flush writes the customer, with any end that a flush can have.
func (h *history) flush() {
	h.t.Helper()
	w := h.c.Write()
	h.note("flush, whole %t, %d chunks, %d dead", w.Delta == nil, len(w.Chunks), len(w.Dead))
	if w.LSN != h.c.LSN() {
		h.fail("a write of LSN %d, the customer has %d", w.LSN, h.c.LSN())
	}
	switch h.r.IntN(5) {
	case 0: // it never arrived
		h.c.Unsure(w)
	case 1: // it arrived, the answer did not
		h.store.apply(w)
		h.c.Unsure(w)
	default:
		if !h.store.apply(w) {
			h.fail("a delta from LSN %d and %d bytes does not fit %d bytes", w.Delta.FromLSN, w.Delta.Length, len(h.store.head))
		}
		h.c.Acked(w)
	}
}

// reload writes the customer and reads it back, as an eviction and a miss do: both have the same whole form.
func (h *history) reload() {
	h.t.Helper()
	h.note("reload")
	w := h.c.Write()
	if !h.store.apply(w) {
		h.fail("a delta does not fit")
	}
	h.c.Acked(w)
	h.sameStored()
}

func (h *history) sameStored() {
	h.t.Helper()
	c, err := window.Decode(bytes.Clone(h.store.head), h.shape)
	if err != nil {
		h.fail("decode what was just encoded: %v", err)
	}
	old := h.c
	h.c = c
	for _, v := range h.pending { // the chunks come under the shape that the customer has, whatever the log has passed
		_ = v
	}
	h.supply(start, 1)
	want, got := old.Whole(nil), c.Whole(nil)
	if !bytes.Equal(got, want) {
		h.fail("encoded, decoded and encoded again:\n got %x\nwant %x", got, want)
	}
	if c.Team() != old.Team() || c.ID() != old.ID() || c.LSN() != old.LSN() || c.Version() != old.Version() || c.Len() != old.Len() {
		h.fail("decoded header differs: %d rows, %d before", c.Len(), old.Len())
	}
}

// TestWrite_NothingIsLeftBehind: when everything has been acknowledged, the store holds the chunks that the head names and no others.
func TestWrite_NothingIsLeftBehind(t *testing.T) {
	defer window.SetLimits(smallLimits())()
	chunks := 0
	for seed := range uint64(60) {
		h := newHistory(t, 5000+seed)
		for range 120 {
			h.step()
		}
		for range 2 { // the second tells what the first has outdated
			h.touch()
			h.hold() // something that a delta cannot say
			h.hold()
			h.reload()
		}
		h.supply(start, 1)
		if got, want := len(h.store.chunks), h.c.Chunks(); got != want {
			t.Errorf("seed %d: %d chunks stored, %d in use", seed, got, want)
		}
		chunks += h.c.Chunks()
	}
	if chunks < 30 {
		t.Errorf("only %d chunks: this test shows nothing", chunks)
	}
}
