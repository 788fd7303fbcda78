package window_test

import (
	"runtime"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
)

// heap is the live heap in bytes.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestMeasure_AllocatesNothing: of a hot customer, but for growth, which is amortised.
func TestMeasure_AllocatesNothing(t *testing.T) {
	shape := featureShape(counterparty, sevenWidths...)
	f := &feed{cps: 7}
	c := filled(3000, shape, f)
	out := make([]window.Value, len(shape.Aggregates))
	var s window.Scratch
	one := func() {
		e, id := f.next()
		c.Measure(c.Fold(e, id, true, true, int64(f.n)), e.Time, out, &s)
	}
	one()
	if n := testing.AllocsPerRun(500, one); n >= 1 {
		t.Errorf("%.2f allocations an event", n)
	}
}

// TestTrim_GivesMemoryBack: of a burst that has left, neither rows nor ids nor texts stay.
func TestTrim_GivesMemoryBack(t *testing.T) {
	shape := featureShape(counterparty, 500)
	shape.Retention = 1000
	c := window.New("t", "c", shape)
	f := &feed{cps: 250, at: 0}
	for i := range 50_000 {
		if f.step = 0; i%10 == 0 {
			f.step = 1
		}
		e, id := f.next()
		c.Fold(e, id, true, true, 1)
		if i%1000 == 0 {
			c.Trim()
		}
	}
	full := c.Bytes()
	for range 25 { // little by little
		f.step = 50
		e, id := f.next()
		c.Fold(e, id, true, true, 1)
		c.Trim()
	}
	if n := c.Bytes(); n > 20_000 || full < 200_000 {
		t.Errorf("%d bytes hold %d events; %d were held before", n, c.Len(), full)
	}
}
