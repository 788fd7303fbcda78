package window_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

const day = int64(24 * 3600 * 1000)

// sevenWidths are the windows of the benchmarks: a minute to ninety days.
var sevenWidths = []int64{day / 1440, day / 144, day / 24, day, 7 * day, 30 * day, 90 * day}

func benchShape() *window.Shape {
	return &window.Shape{Version: 1, Retention: 91 * day, Classify: func(p *schemas.Past) uint64 {
		if p.Amount >= 9000*schemas.Micro {
			return 1
		}
		return 0
	}}
}

func benchEvent(i int, at int64) schemas.Event {
	e := schemas.Event{Kind: schemas.KindPayment, Side: schemas.SideOut, Time: at, HasAmount: true, Amount: int64(i%9973) * schemas.Micro,
		Origin: schemas.Origin{Topic: "payments", Partition: 1, Offset: int64(i)}}
	e.SetText(schemas.FieldCurrency, "EUR")
	e.SetText(schemas.FieldCounterparty, [...]string{"a", "b", "c", "d", "e", "f", "g"}[i%7])
	return e
}

// filled is a customer with n events a minute apart, and the time of the last.
func filled(n int) (*window.Customer, int64) {
	c := window.New("team", "customer", benchShape())
	at := start
	for i := range n {
		at += day / 1440
		e := benchEvent(i, at)
		c.Fold(&e, benchID(i), true, true, int64(i))
	}
	return c, at
}

func benchID(i int) uint64 {
	x := uint64(i) * 0x9e3779b97f4a7c15 // spread as a hash is
	return x ^ x>>29
}

func BenchmarkFold_InOrder(b *testing.B) {
	for _, rows := range []int{1_000, 200_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			c, at := filled(rows)
			b.ReportAllocs()
			i := rows
			for b.Loop() {
				if i++; i%rows == 0 { // keep the size
					b.StopTimer()
					c, at = filled(rows)
					b.StartTimer()
				}
				at += 60_000
				e := benchEvent(i, at)
				c.Fold(&e, benchID(i), true, true, int64(i))
			}
		})
	}
}

func BenchmarkFold_LateByHundredRows(b *testing.B) {
	c, at := filled(10_000)
	b.ReportAllocs()
	i := 10_000
	for b.Loop() {
		i++
		e := benchEvent(i, at-100*60_000)
		c.Unfold(c.Fold(&e, benchID(i), true, true, int64(i)))
	}
}

func BenchmarkAnswer_CountAndTotalOverSevenWindows(b *testing.B) {
	for _, rows := range []int{100, 10_000, 200_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			c, at := filled(rows)
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				for _, w := range sevenWidths {
					i, j := c.Span(at-w, at)
					n += c.Count(i, j, window.All, window.None)
					sum := c.Total(i, j, window.All, window.None)
					n += int64(sum.Lo)
				}
			}
			if n == 0 {
				b.Fatal("nothing counted")
			}
		})
	}
}

func BenchmarkAnswer_ScansOverADay(b *testing.B) {
	c, at := filled(200_000)
	var marks window.Marks
	i, j := c.Span(at-day, at)
	b.Run("count of a filter", func(b *testing.B) {
		for b.Loop() {
			c.Count(i, j, 0, window.None)
		}
	})
	b.Run("extremes", func(b *testing.B) {
		for b.Loop() {
			c.Extremes(i, j, window.All, window.None)
		}
	})
	b.Run("distinct", func(b *testing.B) {
		for b.Loop() {
			c.Distinct(i, j, window.All, window.None, schemas.FieldCounterparty, &marks)
		}
	})
}

// BenchmarkTrim_OneRowOf200k is what a hot customer pays per flush once its history is full.
func BenchmarkTrim_OneRowOf200k(b *testing.B) {
	c, at := filled(int(91 * day / 60_000))
	i := c.Len()
	b.ReportAllocs()
	for b.Loop() {
		i++
		at += 60_000
		e := benchEvent(i, at)
		c.Fold(&e, benchID(i), true, true, int64(i))
		c.Trim()
	}
	b.ReportMetric(float64(c.Len()), "rows")
}

func BenchmarkFind_UnknownID(b *testing.B) {
	c, _ := filled(200_000)
	i := 1 << 30
	for b.Loop() {
		i++
		if _, ok := c.Find(benchID(i)); ok {
			b.Fatal("found")
		}
	}
}

func BenchmarkStore_200kRows(b *testing.B) {
	c, _ := filled(200_000)
	stored := c.Append(nil)
	shape := func(int32) *window.Shape { return benchShape() }
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(stored)))
		buf := make([]byte, 0, len(stored))
		for b.Loop() {
			buf = c.Append(buf[:0])
		}
		b.ReportMetric(float64(len(stored))/200_000, "B/row")
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(stored)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := window.Decode(stored, shape); err != nil {
				b.Fatal(err)
			}
		}
	})
	if binary.BigEndian.Uint64(stored) != 199_999 {
		b.Fatal("lsn")
	}
}
