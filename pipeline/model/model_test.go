package model

import (
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// steps of one run, not counting those after the faults. A run of them commits about 70 records, and flushes ten times.
const steps = 600

// Runs of a sound form, and seeds at most until an ablation is found, where STREAMGAUGE_TEST_MODEL_RUNS does not say otherwise.
const (
	fewRuns = 1000
	within  = 20000
)

// TestMain makes the collector rare: a run leaves a few hundred kilobytes of garbage and holds almost nothing.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1500)
	os.Exit(m.Run())
}

// many is the number of runs that make test-model asks for, 0 for a short test.
func many(t *testing.T) int {
	text := os.Getenv("STREAMGAUGE_TEST_MODEL_RUNS")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 {
		t.Fatalf("STREAMGAUGE_TEST_MODEL_RUNS=%q is no number of runs", text)
	}
	return n
}

// schedule makes the steps of a seed.
func schedule(seed uint64) []uint64 {
	r := random(mix(seed + 1))
	out := make([]uint64, steps)
	for i := range out {
		out[i] = r.next()
	}
	return out
}

// tally is what a variant's runs came to.
type tally struct {
	runs, violating int
	breaches        map[breach]int
	first           uint64 // the first violating seed
	stats           stats
}

// try runs seeds until one violates, or all of them.
func try(v variant, from uint64, runs int, all bool) tally {
	out := tally{breaches: map[breach]int{}}
	for seed := from; seed < from+uint64(runs); seed++ {
		s := run(&v.rules, schedule(seed), nil)
		out.runs++
		out.stats.add(&s.stats)
		if s.found == nil {
			continue
		}
		out.breaches[s.found.breach]++
		if out.violating++; out.violating == 1 {
			if out.first = seed; !all {
				break
			}
		}
	}
	return out
}

func (a tally) String() string {
	var kinds []string
	for _, b := range slices.Sorted(maps.Keys(a.breaches)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", b, a.breaches[b]))
	}
	return fmt.Sprintf("%6d of %6d  %s", a.violating, a.runs, strings.Join(kinds, ", "))
}

// minimal prints the shortest schedule that shrinking finds for a seed.
func minimal(v variant, seed uint64) string {
	var lines []string
	short := shrink(&v.rules, schedule(seed))
	run(&v.rules, short, &lines)
	return fmt.Sprintf("seed %d, %d of %d steps:\n  %s", seed, len(short), steps, strings.Join(lines, "\n  "))
}

// shrink leaves steps out, in ever smaller parts, as long as the same invariant breaks.
func shrink(ru *rules, schedule []uint64) []uint64 {
	want := run(ru, schedule, nil).found.breach
	for part := len(schedule) / 2; part > 0; {
		shorter := false
		for at := 0; at < len(schedule); {
			less := slices.Delete(slices.Clone(schedule), at, min(at+part, len(schedule)))
			if s := run(ru, less, nil); s.found != nil && s.found.breach == want {
				schedule, shorter = less, true
			} else {
				at += part
			}
		}
		if !shorter {
			part /= 2
		}
	}
	return schedule
}

func TestModel_SoundFormsHoldUnderEveryFault(t *testing.T) {
	runs := many(t)
	if runs == 0 {
		runs = fewRuns
		if raceDetector { // ten times as slow, and one goroutine has no races
			runs /= 5
		}
	}
	for _, v := range slices.Concat(sound, harmless) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got := try(v, 0, runs, false)
			t.Logf("%s\n%+v", got, got.stats)
			if got.violating > 0 {
				t.Fatal(minimal(v, got.first))
			}
			got.stats.check(t, got.runs, v)
		})
	}
}

// check says whether the runs met what they are for: a model in which nothing happens holds too.
func (a *stats) check(t *testing.T, runs int, v variant) {
	for _, c := range []struct {
		what       string
		got, every int // once in so many runs at least
	}{
		{"twenties of committed records", a.committed / 20, 1},
		{"confirmed flushes", a.flushes, 1},
		{"aborted transactions", a.aborts, 1},
		{"failovers that lose writes", a.lostWrites, 5},
		{"wiped stores", a.wipes, 20},
		{"rebuilt partitions", a.rebuilds, 5},
		{"takeovers of unstable offsets", a.takeovers, 20},
		{"moves that lose keys", a.moves, 5},
		{"steps of emptying", a.resets, 5},
		{"flushes that find another's prefix", a.adopted, 20},
	} {
		if c.got*c.every < runs {
			t.Errorf("%d %s in %d runs; at least one in %d was expected", c.got, c.what, runs, c.every)
		}
	}
	if v.rules.deltas && v.rules.perCall > 0 && a.full*20 < runs {
		t.Errorf("%d FULL answers in %d runs: deltas meet nothing unexpected", a.full, runs)
	}
}

func TestModel_EveryGuardTakenAwayIsFound(t *testing.T) {
	runs := many(t) / 20
	for _, v := range ablations {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			got := try(v, 0, runs, true)
			if got.violating == 0 {
				got = try(v, 0, within, false)
			}
			t.Log(got)
			if got.violating == 0 {
				t.Fatalf("%d runs, and nothing breaks without this guard", got.runs)
			}
			if os.Getenv("STREAMGAUGE_TEST_MODEL_TRACE") != "" {
				t.Log(minimal(v, got.first))
			}
		})
	}
}

func TestModel_SameScheduleIsTheSameRun(t *testing.T) {
	var one, two []string
	for seed := range uint64(20) {
		run(&formS, schedule(seed), &one)
		run(&formS, schedule(seed), &two)
	}
	if len(one) < 1000 || !slices.Equal(one, two) {
		t.Fatalf("%d and %d lines, not the same", len(one), len(two))
	}
}

func TestShrink_KeepsWhatBreaksAndLittleElse(t *testing.T) {
	v := ablations[slices.IndexFunc(ablations, func(v variant) bool { return strings.HasPrefix(v.name, "M:") })]
	seed := try(v, 0, within, false).first
	short := shrink(&v.rules, schedule(seed))
	whole, again := run(&v.rules, schedule(seed), nil).found, run(&v.rules, short, nil).found
	if again == nil || again.breach != whole.breach {
		t.Fatalf("the run breaks with %v, its minimal one with %v", whole, again)
	}
	if len(short) > 40 {
		t.Errorf("an aborted transaction that is not undone takes %d of %d steps to show", len(short), steps)
	}
}
