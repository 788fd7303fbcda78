package archive

import (
	"os"
	"testing"
	"time"
	"sync"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestTmp_Native(t *testing.T) {
	b := newBed(t, 2, os.Getenv("TMP_URL"))
	for p := range int32(2) {
		b.produce(p, b.generate(p, 3000)...)
	}
	a := b.start(func(w warehouse) warehouse { return hole(w, 50) })
	b.exact()
	a.stop()
	for _, r := range b.readFacts() {
		if b.sent[r.place()] == nil { t.Fatal("x") }
	}
}

func TestTmp_Throughput(t *testing.T) {
	const parts = 2
	b := newBed(t, parts, engineURL(t)).migrated()
	b.cfg.FlushInterval = time.Second
	var wg sync.WaitGroup
	for p := range int32(parts) {
		wg.Go(func() {
			for i := range 10 {
				var fs []*schemas.Fact
				for j := range 10000 {
					fs = append(fs, plainFact(p, int64(i*10000+j)))
				}
				b.produce(p, fs...)
			}
		})
	}
	wg.Wait()
	s := time.Now()
	a := b.start(nil)
	for b.cfg.Counters.Rows.Load() < parts*100000 {
		time.Sleep(10*time.Millisecond)
	}
	d := time.Since(s)
	t.Logf("%d rows in %v: %.0f rows/s, %d blocks", b.cfg.Counters.Rows.Load(), d, float64(b.cfg.Counters.Rows.Load())/d.Seconds(), b.cfg.Counters.Blocks.Load())
	b.exact()
	a.stop()
	var active, rows, bytes, pb uint64
	b.row("SELECT count(), sum(rows), sum(bytes_on_disk), 0 FROM system.parts WHERE database='{db}' AND table='facts' AND active", &active, &rows, &bytes, new(uint8))
	b.row("SELECT sum(bytes_on_disk) FROM system.projection_parts WHERE database='{db}' AND table='facts' AND active", &pb)
	t.Logf("parts %d, %.1f bytes/row, projection %.1f bytes/row", active, float64(bytes)/float64(rows), float64(pb)/float64(rows))
}
