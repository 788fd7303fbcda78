package archive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/schemas"
)

var errLost = errors.New("the answer was lost")

func TestArchive_KilledBetweenIntentAndInsertLosesNothing(t *testing.T) { diesAt(t, afterIntent) }

func TestArchive_KilledBetweenInsertAndCommitDoublesNothing(t *testing.T) { diesAt(t, afterInsert) }

// diesAt kills a child three times at a point, each time in another block, with facts arriving in between so that a successor that
// chose its own block ends would choose others.
func diesAt(t *testing.T, point string) {
	b := newBed(t, 1, engineURL(t)).migrated()
	b.produce(0, b.generate(0, 300)...)
	for n := 1; n <= 3; n++ {
		c := b.child(t, 100, fmt.Sprintf("%s:%d", point, n))
		c.dies(t)
		b.invariant()
		b.produce(0, b.generate(0, 170)...)
	}
	c := b.child(t, 1000, "")
	b.exact()
	c.kill()
}

func TestArchive_KilledAtRandomMomentsUnderLoadIsExact(t *testing.T) {
	const partitions = 3
	b := newBed(t, partitions, engineURL(t)).migrated()
	r := rand.New(rand.NewPCG(7, 7))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := int32(0); ctx.Err() == nil; i++ {
			b.produce(i%partitions, b.generate(i%partitions, 100)...)
			sleep(ctx, 25*time.Millisecond)
		}
	})
	for range 6 {
		c := b.child(t, 500, "")
		sleep(t.Context(), time.Duration(300+r.IntN(1200))*time.Millisecond)
		c.kill()
		b.invariant()
	}
	cancel()
	wg.Wait()
	b.child(t, 500, "")
	b.exact()
}

func TestArchive_LostInsertAnswerDoublesNothing(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.cfg.MaxRows = 100
	a := b.start(func(w warehouse) warehouse {
		return &tampered{warehouse: w, after: func(n int, _ string, _ []row) error {
			if n%3 > 0 {
				return errLost
			}
			return nil
		}}
	})
	b.produce(0, b.generate(0, 350)...)
	b.exact()
	a.stop()
	if b.cfg.Counters.Failures.Load() == 0 || b.cfg.Counters.Repaired.Load() != 0 {
		t.Errorf("failures %d, want some; repaired rows %d, want 0", b.cfg.Counters.Failures.Load(), b.cfg.Counters.Repaired.Load())
	}
}

// hole leaves a block's token in ClickHouse's log with only the first keep of its rows behind it, as a kill between log and rename does.
func hole(w warehouse, keep int) *tampered {
	return &tampered{warehouse: w, before: func(n int, token string, rows []row) error {
		if n > 1 {
			return nil
		}
		if err := w.insert(context.Background(), token, rows[:keep]); err != nil {
			return err
		}
		return errLost
	}}
}

func TestArchive_RowsMissingUnderAKnownTokenAreRepaired(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 200)...)
	a := b.start(func(w warehouse) warehouse { return hole(w, 50) })
	b.exact()
	a.stop()
	if got := b.cfg.Counters.Repaired.Load(); got != 150 {
		t.Errorf("repaired %d rows, want 150", got)
	}
}

func TestArchive_ASuccessorReadsAnAnnouncedBlockBack(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	b.produce(0, b.generate(0, 200)...)
	b.commits(0, 20, intent{End: 120, Topic: b.topicID()}.String())
	var rows []row
	rows, _ = decodeAll(rows, b.fetch(0, 0, 120))
	if err := b.table().insert(t.Context(), "before", rows[:20]); err != nil {
		t.Fatal(err)
	}
	if err := b.table().insert(t.Context(), token(b.topicID(), 0, 20, 120, 1), rows[20:40]); err != nil { // the token is known, 80 rows are not
		t.Fatal(err)
	}
	var tokens []string
	a := b.start(func(w warehouse) warehouse {
		return &tampered{warehouse: w, before: func(_ int, token string, _ []row) error { tokens = append(tokens, token); return nil }}
	})
	b.exact()
	a.stop()
	if b.cfg.Counters.Repaired.Load() != 80 {
		t.Errorf("repaired %d rows, want 80", b.cfg.Counters.Repaired.Load())
	}
	if len(tokens) < 2 || !strings.HasSuffix(tokens[0], ":0:20:120") || !strings.HasSuffix(tokens[1], ":0:20:120#2") {
		t.Errorf("tokens %q: want the announced block, then its second round", tokens)
	}
}

func TestArchive_ABlockOverAMonthsEndIsRepairedMonthByMonth(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	now := time.Now().UTC()
	edge := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	facts := b.generate(0, 200)
	for i, f := range facts {
		f.Appended = edge + int64(i) - 120
	}
	b.produce(0, facts...)
	a := b.start(func(w warehouse) warehouse { return hole(w, 100) }) // in the older month 20 rows are left out, the newer one's token is unknown
	b.exact()
	a.stop()
	if got := b.cfg.Counters.Repaired.Load(); got != 20 {
		t.Errorf("repaired %d rows, want 20", got)
	}
	var months uint64
	b.row("SELECT uniqExact(toYYYYMM(appended)) FROM {db}.facts", &months)
	if months != 2 {
		t.Errorf("%d months, want 2", months)
	}
}

func TestArchive_TheSecondTokensOwnHoleIsRepairedByAThird(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.produce(0, b.generate(0, 100)...)
	a := b.start(func(w warehouse) warehouse {
		return &tampered{warehouse: w, before: func(n int, token string, rows []row) error {
			switch n {
			case 1, 3: // the first attempts under the token and under token#2 leave one row and the token
				if err := w.insert(context.Background(), token, rows[:1]); err != nil {
					return err
				}
				return errLost
			}
			return nil
		}}
	})
	b.exact()
	a.stop()
	if got := b.cfg.Counters.Repaired.Load(); got != 99+98 {
		t.Errorf("repaired %d rows, want 197", got)
	}
}

func TestArchive_ClickHouseDownAndBackDropsNothing(t *testing.T) {
	dir, p := t.TempDir(), newProxy(t)
	engine := ownEngine(t, dir)
	p.to(engine.URL)
	b := newBed(t, 2, p.url())
	b.cfg.MaxRows = 500
	a := b.start(nil)
	for round := range 4 {
		b.produce(0, b.generate(0, 3000)...)
		b.produce(1, b.generate(1, 3000)...)
		eventually(t, "a block of this round", func() bool { return b.cfg.Counters.Blocks.Load() > int64(round*4) })
		if round%2 == 0 { // the process dies, most likely with an INSERT under way
			engine.Kill()
			p.cut()
			engine = ownEngine(t, dir)
			p.to(engine.URL)
		} else { // the line breaks, the server goes on
			p.cut()
			p.to(engine.URL)
		}
	}
	b.exact()
	a.stop()
}

func TestArchive_TwoMembersComeAndGoAndStoreEachFactOnce(t *testing.T) {
	const partitions = 6
	b := newBed(t, partitions, engineURL(t)).migrated()
	b.cfg.MaxRows = 300
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := int32(0); ctx.Err() == nil; i++ {
			b.produce(i%partitions, b.generate(i%partitions, 50)...)
			sleep(ctx, 10*time.Millisecond)
		}
	})
	defer wg.Wait()
	defer cancel()
	slow := func(w warehouse) warehouse { // so that rebalances meet inserts under way
		return &tampered{warehouse: w, before: func(int, string, []row) error { sleep(ctx, 30*time.Millisecond); return nil }}
	}
	members := []*running{b.start(slow)}
	for round := range 6 {
		before := b.cfg.Counters.Blocks.Load()
		if round%2 == 0 {
			members = append(members, b.start(slow))
		} else {
			members[0].stop()
			members = members[1:]
		}
		eventually(t, "blocks after the rebalance", func() bool { b.invariant(); return b.cfg.Counters.Blocks.Load() > before+10 })
	}
	cancel()
	wg.Wait()
	b.exact()
	for _, m := range members {
		m.stop()
	}
}

func TestArchive_FencedCommitInsertsNothing(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	var inserts, inTime atomic.Int64
	fault := b.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: Group, Err: kerr.FencedMemberEpoch, Count: -1})
	a := b.start(func(w warehouse) warehouse {
		return &tampered{warehouse: w, before: func(int, string, []row) error { inserts.Add(1); return nil }}
	})
	b.produce(0, b.generate(0, 100)...)
	if err := fault.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	inTime.Store(inserts.Load())
	a.stop()
	if inserts.Load() != 0 {
		t.Errorf("%d inserts behind a fenced commit", inserts.Load())
	}
	fault.Remove()
	b.start(nil)
	b.exact()
}

func TestArchive_CommitThatIsAppliedButNotAnsweredIsRepeated(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	b.cfg.MaxRows = 50
	b.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: Group, Err: kerr.RequestTimedOut, Count: 3},
		kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: Group, Err: kerr.CoordinatorLoadInProgress, Count: 3})
	b.produce(0, b.generate(0, 500)...)
	b.start(nil)
	b.exact()
}

// fetch reads records of a partition of topic facts.
func (b *bed) fetch(partition int32, from, end int64) (rs []*kgo.Record) {
	b.t.Helper()
	return fetchRange(b.t, b.kafka.ListenAddrs(), schemas.Facts.Name, partition, from, end)
}
