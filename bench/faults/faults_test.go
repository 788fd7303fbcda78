//go:build synctests

package faults

import (
	"context"
	"testing"
	"time"
)

// seeds is how many schedules each kind of fault is tried with.
const seeds = 3

func each(t *testing.T, n int64, disturb func(tr *trial, ctx context.Context)) {
	for seed := range uint64(seeds) {
		t.Run("", func(t *testing.T) { run(t, seed+1, n, disturb) })
	}
}

func TestProduct_WithoutFaultsIsWhatTheOracleSays(t *testing.T) {
	run(t, 11, 6000, nil)
}

// The undo: without it an aborted batch is counted twice.
func TestProduct_AbortedTransactionsLeaveNothingBehind(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		for tr.pause(ctx, 40*time.Millisecond) {
			tr.aborts.Add(1)
		}
	})
}

// Going on after an unconfirmed End writes its batch twice when the commit had been applied.
func TestProduct_LostEndTxnAnswersDuplicateNothing(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		for tr.pause(ctx, 200*time.Millisecond) {
			tr.deaf.Store(true)
			time.Sleep(30 * time.Second) // longer than the client tries: the lane must give the session up
			tr.deaf.Store(false)
			time.Sleep(time.Second)
		}
		if tr.poisons.Load() == 0 {
			tr.t.Error("no session was given up: the fault did not happen")
		}
	})
}

func TestProduct_CutConnectionsLoseNothing(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		for tr.pause(ctx, 100*time.Millisecond) {
			tr.cut(0.5)
		}
	})
}

// The base check of the flush and the marker check of the load: without them a store that lost a suffix is silently wrong for ever. What
// it lost shows when it is read, so processes die too: before a loss that their successor's first loads meet, and behind one that flushes
// may have papered over.
func TestProduct_WindowStoreThatLosesWhatItConfirmedIsRebuilt(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		tr.pace.Store(int64(time.Second))
		old := tr.windows.Snapshot()
		for tr.pause(ctx, 20*time.Second) {
			switch tr.rnd.IntN(4) {
			case 0:
				old = tr.windows.Snapshot()
			case 1:
				tr.windows.Restore(old)
			case 2:
				tr.restart()
			case 3:
				tr.restart()
				tr.amnesia.Store(old)
			}
		}
	})
}

func TestProduct_KilledProcessesContinueExactly(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		tr.pace.Store(int64(time.Second))
		for tr.pause(ctx, 20*time.Second) {
			tr.restart()
		}
	})
}

// Lanes that stop together leave no group, so a rebalance that is under way then would keep the last of them for 10 to 70 s.
func TestProduct_StoppingInTheMiddleOfARebalanceIsQuick(t *testing.T) {
	each(t, 2000, func(tr *trial, ctx context.Context) {
		tr.pace.Store(int64(time.Second))
		for tr.pause(ctx, 1500*time.Millisecond) {
			began := time.Now()
			if err := tr.product.stop(); err != nil {
				tr.t.Errorf("the product ended with: %v", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				tr.t.Errorf("the product took %s to stop", took)
			}
			time.Sleep(12 * time.Second) // the static members' sessions end, so that the next start is a rebalance again
			tr.product = tr.start()
		}
	})
}

func TestProduct_EveryFaultAtOnceIsStillExact(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		tr.pace.Store(int64(time.Second))
		old := tr.windows.Snapshot()
		for tr.pause(ctx, 15*time.Second) {
			switch tr.rnd.IntN(8) {
			case 0:
				tr.aborts.Add(2)
			case 1:
				tr.deaf.Store(true)
				time.Sleep(time.Duration(tr.rnd.Int64N(int64(25 * time.Second))))
				tr.deaf.Store(false)
			case 2:
				tr.cut(0.3)
			case 3:
				tr.windows.Restore(old)
			case 4:
				old = tr.windows.Snapshot()
			case 5:
				tr.restart()
			case 6:
				tr.restart()
				tr.amnesia.Store(old)
			case 7:
				tr.lies.Store(1)
			}
		}
		tr.lies.Store(0)
	})
}
