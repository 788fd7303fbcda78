package pipeline

import (
	"testing"
	"time"
)

// clockwork runs a lane's transactions against a broker whose EndTxn takes what end says of the rest before it, with so many records
// waiting at every poll, and returns how many of the last half rested each time, and what a record waited on average.
func clockwork(p *pace, n, records int, perRecord time.Duration, end func(gap time.Duration) time.Duration) (rested map[time.Duration]int, waited time.Duration) {
	rested = map[time.Duration]int{}
	now := time.Unix(0, 0)
	if !p.ended.IsZero() {
		now = p.ended
	}
	var sum time.Duration
	for i := range n {
		rest := p.rest(now)
		now = now.Add(rest)
		began := now
		gap := began.Sub(p.ended)
		took := min(records, p.limit)
		judging := time.Duration(took) * perRecord
		ending := end(gap)
		now = now.Add(judging + ending)
		if i >= n/2 {
			rested[rest]++
			sum += (rest+judging+ending)/2 + ending
		}
		p.committed(began, now, took, judging, ending, 4000)
	}
	return rested, sum / time.Duration(n-n/2)
}

const ms = time.Millisecond

func tuned(time.Duration) time.Duration { return 2500 * time.Microsecond }

// defaults are brokers that retry inside every 20 ms.
func defaults(gap time.Duration) time.Duration { return 2500*time.Microsecond + max(20*ms-gap, 0) }

func TestPace_RestsAsShortAsTheBrokersAllow(t *testing.T) {
	const n = 2000
	for name, c := range map[string]struct {
		end    func(time.Duration) time.Duration
		rest   time.Duration
		waited time.Duration // at most, with what exploring costs
	}{
		"tuned":    {tuned, 5 * ms, 8 * ms},
		"defaults": {defaults, 20 * ms, 16 * ms},
	} {
		p := newPace(4000)
		rested, waited := clockwork(&p, n, 10, time.Microsecond, c.end)
		if rested[c.rest] < n/2*8/10 || waited > c.waited {
			t.Errorf("%s: rested %v, waited %s; want %s in 8 of 10, and at most %s", name, rested, waited, c.rest, c.waited)
		}
	}
}

// Somebody sets add.partitions.to.txn.retry.backoff.ms while the lane runs, or back.
func TestPace_FollowsBrokersThatChange(t *testing.T) {
	p := newPace(4000)
	clockwork(&p, 1000, 10, time.Microsecond, tuned)
	if rested, _ := clockwork(&p, 1000, 10, time.Microsecond, defaults); rested[20*ms] < 350 {
		t.Errorf("after the brokers became slower: rested %v", rested)
	}
	if rested, _ := clockwork(&p, 2000, 10, time.Microsecond, tuned); rested[5*ms] < 700 {
		t.Errorf("after the brokers became faster: rested %v", rested)
	}
}

func TestPace_WhatComesAfterAPauseIsJudgedAtOnce(t *testing.T) {
	p := newPace(4000)
	clockwork(&p, 100, 10, time.Microsecond, defaults)
	if r := p.rest(p.ended.Add(41 * ms)); r != 0 {
		t.Errorf("a lane that was idle for 41 ms rests %s more", r)
	}
	before := p.tried
	for range 100 { // commits after pauses say nothing of a rest
		began := p.ended.Add(time.Second)
		p.committed(began, began.Add(90*ms), 1, 0, 90*ms, 4000)
	}
	if p.tried != before {
		t.Error("what an idle lane measures was taken for the rest's")
	}
}

func TestPace_APollIsWhatFitsIntoItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		perRecord time.Duration
		records   int
		want      int
	}{
		"cheap records, all there": {time.Microsecond, 100_000, 4000},
		"dear records":             {100 * time.Microsecond, 100_000, 500},
		"dearer than sense":        {10 * ms, 100_000, 200},
		"few records":              {time.Microsecond, 10, 1000},
	} {
		p := newPace(4000)
		clockwork(&p, 200, c.records, c.perRecord, tuned)
		if p.limit != c.want {
			t.Errorf("%s: polls %d, want %d", name, p.limit, c.want)
		}
	}
	if p := newPace(60); p.limit != 60 {
		t.Errorf("polls %d, configured are 60", p.limit)
	}
}
