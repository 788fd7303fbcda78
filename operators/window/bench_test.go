package window_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// sevenWidths are the windows of the benchmarks: a minute to ninety days.
var sevenWidths = []int64{day / 1440, day / 144, day / 24, day, 7 * day, 30 * day, 90 * day}

// featureShape asks ten features of each width: 70 for all seven.
func featureShape(columns []window.Column, widths ...int64) *window.Shape {
	s := &window.Shape{Version: 1, Retention: 91 * day, Base: "EUR", Columns: columns}
	cp := len(columns) - 1
	for i, c := range columns {
		if c.Field == schemas.FieldCounterparty && c.Attr == "" {
			cp = i
		}
	}
	s.Filters = []window.Filter{{Key: 1, Match: func(p *schemas.Past) bool { return p.Counted && p.HasAmount && p.Amount >= 9000*schemas.Micro }}}
	for k, w := range widths {
		s.Spans = append(s.Spans, window.Span{Length: w})
		add := func(f window.Func, field, filter int) {
			s.Aggregates = append(s.Aggregates, window.Aggregate{Func: f, Span: k, Field: field, Filter: filter, Scan: window.NoScan})
		}
		add(window.Count, window.NoField, window.All)
		for _, f := range []window.Func{window.Sum, window.Avg, window.Min, window.Max, window.Stddev, window.First, window.Last} {
			add(f, window.Amount, window.All)
		}
		add(window.Distinct, cp, window.All)
		add(window.Count, window.NoField, 0)
	}
	return s
}

var counterparty = []window.Column{{Field: schemas.FieldCounterparty}}

// feed makes events of one or many customers, a fixed time apart.
type feed struct {
	e    schemas.Event
	n    int
	at   int64
	step int64
	cps  int
	rise bool // amounts only rise: the worst for extremes
}

var cpNames = func() (out [256]string) {
	for i := range out {
		out[i] = fmt.Sprintf("LT12100001110100%04d", i)
	}
	return out
}()

func (f *feed) next() (e *schemas.Event, id uint64) {
	f.n++
	f.at += f.step
	x := uint64(f.n) * 0x9e3779b97f4a7c15 // spread as a hash is
	x ^= x >> 29
	e = &f.e
	e.Kind, e.Side, e.Time, e.HasAmount, e.Amount = schemas.KindPayment, schemas.SideOut, f.at, true, int64(x%997_300)*schemas.Micro/100
	if f.rise {
		e.Amount = int64(f.n) * schemas.Micro
	}
	e.Origin = schemas.Origin{Topic: "payments", Partition: 1, Offset: int64(f.n)}
	e.SetText(schemas.FieldCurrency, "EUR")
	e.SetText(schemas.FieldCounterparty, cpNames[int(x>>40)%f.cps])
	e.SetText(schemas.FieldCountry, [...]string{"LT", "LV", "EE", "DE"}[x>>50%4])
	e.SetText(schemas.FieldType, [...]string{"TRANSFER", "CARD", "CASH_OUT"}[x>>52%3])
	return e, x
}

// filled is a customer with n events in 90 days, so that each that comes in lets one leave the longest window.
func filled(n int, shape *window.Shape, f *feed) *window.Customer {
	c := window.New("team", "customer", shape)
	f.step = max(1, 90*day/int64(n))
	if f.at == 0 {
		f.at = start
	}
	for range n {
		e, id := f.next()
		c.Fold(e, id, true, true, int64(f.n))
	}
	return c
}

// BenchmarkMeasure_SeventyFeatures is the figure of DESIGN 5: fold one event of a hot customer and measure 7 windows × 10 features.
func BenchmarkMeasure_SeventyFeatures(b *testing.B) {
	for _, n := range []int{100, 10_000, 1_000_000, 5_000_000} {
		if n > 100_000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			benchMeasure(b, featureShape(counterparty, sevenWidths...), &feed{cps: 7}, n, 1)
		})
	}
}

// BenchmarkMeasure_OneWindow shows that a window's length costs nothing.
func BenchmarkMeasure_OneWindow(b *testing.B) {
	for _, w := range []int64{day / 1440, 90 * day} {
		b.Run(fmt.Sprintf("minutes=%d", w/(day/1440)), func(b *testing.B) {
			benchMeasure(b, featureShape(counterparty, w), &feed{cps: 7}, 100_000, 1)
		})
	}
}

// BenchmarkMeasure_RisingAmounts is the worst order for minima: the smallest is always the one that leaves.
func BenchmarkMeasure_RisingAmounts(b *testing.B) {
	benchMeasure(b, featureShape(counterparty, sevenWidths...), &feed{cps: 7, rise: true}, 100_000, 1)
}

// BenchmarkMeasure_TenPercentLate has every tenth event come 30 steps late, measured at its own time and at the watermark.
func BenchmarkMeasure_TenPercentLate(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			benchMeasure(b, featureShape(counterparty, sevenWidths...), &feed{cps: 7}, n, 10)
		})
	}
}

func benchMeasure(b *testing.B, shape *window.Shape, f *feed, n, lateEvery int) {
	c := filled(n, shape, f)
	out := make([]window.Value, len(shape.Aggregates))
	var s window.Scratch
	b.ReportAllocs()
	wm := f.at
	cpu := cpuTime()
	for i := 0; b.Loop(); i++ {
		e, id := f.next()
		if lateEvery > 1 && i%lateEvery == 0 {
			e.Time -= 30 * f.step
		}
		wm = max(wm, e.Time)
		p := c.Fold(e, id, true, true, int64(f.n))
		c.Measure(p, e.Time, out, &s)
		if e.Time < wm {
			c.Measure(p, wm, out, &s)
		}
		if i%1000 == 999 {
			c.Trim()
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used: on a busy machine it says more than the clock.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
