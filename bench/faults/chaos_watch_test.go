package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

const (
	watchEvery = 50 * time.Millisecond
	staleFor   = 20 * time.Second // after a broker was let go that had slept: longer than it takes to learn that it leads nothing any more
)

// watch holds what must be true at all times while everything else is disturbed: no committed offset goes back (I26), and the window
// store reflects nothing that is not committed (I4). It also knows how long each partition stood still.
type watch struct {
	c       *cluster
	windows store.Store
	done    sync.WaitGroup

	mu        sync.Mutex
	committed map[int32]int64
	moved     map[int32]time.Time     // when the watch saw it move last
	longest   map[int32]time.Duration // between two moves, since reset
	compared  int                     // markers with offsets
	wrong     []string
}

func (c *cluster) watch(ctx context.Context) *watch {
	w := &watch{c: c, windows: store.NewRedis(c.redis, c.config.Generation, c.config.Kafka.Partitions), committed: map[int32]int64{}, moved: map[int32]time.Time{}, longest: map[int32]time.Duration{}}
	w.done.Go(func() {
		for sleep(ctx, watchEvery) {
			w.progress(ctx)
		}
	})
	w.done.Go(func() {
		for sleep(ctx, 4*watchEvery) {
			w.markers(ctx)
		}
	})
	return w
}

func (w *watch) wait() { w.done.Wait() }

// offsets are what the group has committed; nil when the brokers do not say. Stable ones have no open transaction behind them.
func (w *watch) offsets(ctx context.Context, stable bool) map[int32]int64 {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	if stable {
		ctx = kadm.RequireStable(ctx)
	}
	got, err := w.c.admin.FetchOffsets(ctx, w.c.topo.Stage(topology.StageMonitor).Group)
	if err != nil {
		return nil
	}
	out := map[int32]int64{}
	for p, o := range got[schemas.Events.Name] {
		if o.Err == nil {
			out[p] = o.At
		}
	}
	return out
}

func (w *watch) progress(ctx context.Context) {
	for p, at := range w.offsets(ctx, false) {
		w.mu.Lock()
		before, known := w.committed[p]
		w.mu.Unlock()
		if at < before && !w.explained(ctx, p, before) {
			w.found("partition %d: the group's offset went back from %d to %d", p, before, at)
		}
		if known && at <= before {
			continue
		}
		now := time.Now()
		w.mu.Lock()
		if last, ok := w.moved[p]; ok {
			w.longest[p] = max(w.longest[p], now.Sub(last))
		}
		w.committed[p], w.moved[p] = at, now
		w.mu.Unlock()
	}
}

func (w *watch) markers(ctx context.Context) {
	held := map[int32]int64{}
	for p := range w.c.config.Kafka.Partitions {
		once, cancel := context.WithTimeout(ctx, time.Second)
		if m, _, err := w.windows.Load(once, p, nil); err == nil {
			held[p] = m.Offset
		}
		cancel()
	}
	for p, at := range w.offsets(ctx, true) { // asked after the markers: what they reflect was committed before
		m, ok := held[p]
		if !ok {
			continue
		}
		w.mu.Lock()
		w.compared++
		w.mu.Unlock()
		if m > at && !w.explained(ctx, p, m) {
			w.found("partition %d: the window store reflects the log up to offset %d, the group committed %d", p, m, at)
		}
	}
}

// explained says whether an answer may be old: a broker that slept answers what it knew until it hears that it leads nothing any more.
// Then the group must say the right thing soon.
func (w *watch) explained(ctx context.Context, p int32, least int64) bool {
	w.c.mu.Lock()
	old := time.Since(w.c.thawed) < staleFor
	w.c.mu.Unlock()
	for i := 0; old && i < 100; i++ {
		if at, ok := w.offsets(ctx, true)[p]; ok && at >= least || ctx.Err() != nil {
			return true
		}
		sleep(ctx, watchEvery)
	}
	return false
}

func (w *watch) found(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.c.note("watch", "%s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, text)
}

// reset begins to measure anew how long partitions stand still, from now on.
func (w *watch) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	clear(w.longest)
	for p := range w.moved {
		w.moved[p] = now
	}
}

// standstill is the longest time since reset in which some partition did not move.
func (w *watch) standstill() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, last := range w.moved {
		longest = max(longest, w.longest[p], time.Since(last))
	}
	return longest
}

// current is how long the partition that has not moved for the longest time has not.
func (w *watch) current() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, last := range w.moved {
		longest = max(longest, time.Since(last))
	}
	return longest
}

// report fails the test for what was wrong at any time.
func (w *watch) report() {
	t := w.c.t
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.wrong[:min(len(w.wrong), 10)] {
		t.Error(s)
	}
	if w.compared == 0 {
		t.Error("no marker of the window store was compared with an offset")
	}
	t.Logf("watched: %d markers compared with committed offsets, %d wrong", w.compared, len(w.wrong))
}
