package sim

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// world is one run: tasks, of which one moves at a time, and the clock.
type world struct {
	rnd   *rand.Rand
	now   time.Time
	steps int
	tasks []*task
	later []timer
	cur   *task
	wrong []string // what must never happen, and did

	group *group
	redis *redis
	procs []*process

	ending bool // nothing starts any more
	deaths int  // at places with a name
	input  *input

	flushEvery time.Duration
	flushAt    int
	memory     int // bytes that a lane may take
	callKeys   int // customers in one call of a flush; 0: as many as Redis gets
}

// task is one thread of a process, parked between two steps.
type task struct {
	proc  *process
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	wake  time.Time   // it goes on at
	ready func() bool // or as soon as; nil: only then
	done  bool
	sent  bool // a request that is on its way arrives though its process dies
}

// timer is something that happens by itself.
type timer struct {
	at time.Time
	fn func()
}

// killed unwinds the task of a killed process.
type killed struct{}

// start makes a task of a process.
func (w *world) start(p *process, work func()) *task {
	t := &task{proc: p, wake: w.now}
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		defer func() {
			t.done = true
			if r := recover(); r != nil {
				if _, ok := r.(killed); !ok {
					panic(r)
				}
			}
		}()
		work()
	})
	w.tasks = append(w.tasks, t)
	return t
}

// end takes a task away where it stands; what it has deferred runs, and ends at its first step.
func (w *world) end(t *task) {
	w.cur = t
	t.stop()
	w.cur, t.done = nil, true
}

// pause lets others move; the task goes on at any later step.
func (w *world) pause() { w.park(w.now, nil) }

// park gives the step away until wake, or until ready.
func (w *world) park(wake time.Time, ready func() bool) {
	if !w.parked(wake, ready) {
		panic(killed{})
	}
}

// parked is park for a place that must not be unwound; it answers false to a task that was killed there.
func (w *world) parked(wake time.Time, ready func() bool) bool {
	t := w.cur
	t.wake, t.ready = wake, ready
	lives := t.yield(struct{}{})
	t.ready = nil
	return lives
}

// never is later than every run ends.
var never = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// until parks the task until cond holds.
func (w *world) until(cond func() bool) {
	if !cond() {
		w.park(never, cond)
	}
}

// after has something happen by itself.
func (w *world) after(d time.Duration, fn func()) {
	w.later = append(w.later, timer{at: w.now.Add(d), fn: fn})
}

func (w *world) fault(format string, args ...any) {
	w.wrong = append(w.wrong, fmt.Sprintf("step %d: ", w.steps)+fmt.Sprintf(format, args...))
}

// step moves one task, or the clock.
func (w *world) step() {
	w.steps++
	w.now = w.now.Add(time.Duration(w.rnd.IntN(400)) * time.Microsecond)
	w.happen()
	w.group.balance()
	w.tasks = slices.DeleteFunc(w.tasks, func(t *task) bool { return t.done })
	var can []*task
	for _, t := range w.tasks {
		if t.proc.frozen.After(w.now) && !t.sent {
			continue
		}
		if !t.wake.After(w.now) || t.ready != nil && t.ready() {
			can = append(can, t)
		}
	}
	if len(can) == 0 {
		w.sleep()
		return
	}
	w.cur = can[w.rnd.IntN(len(can))]
	w.cur.next()
	w.cur = nil
}

// happen runs the timers that are due, in their order.
func (w *world) happen() {
	for {
		i := -1
		for j, t := range w.later {
			if !t.at.After(w.now) && (i < 0 || t.at.Before(w.later[i].at)) {
				i = j
			}
		}
		if i < 0 {
			return
		}
		fn := w.later[i].fn
		w.later = slices.Delete(w.later, i, i+1)
		fn()
	}
}

// sleep moves the clock to whatever comes next.
func (w *world) sleep() {
	next := w.now.Add(50 * time.Millisecond)
	for _, t := range w.tasks {
		at := t.wake
		if t.proc.frozen.After(at) {
			at = t.proc.frozen
		}
		if at.Before(next) && at.After(w.now) {
			next = at
		}
	}
	for _, t := range w.later {
		if t.at.Before(next) && t.at.After(w.now) {
			next = t.at
		}
	}
	w.now = next
}

// clock is the pipeline's Clock.
type clock struct{ w *world }

func (c clock) Now() time.Time {
	if t := c.w.cur; t != nil && t.proc.committed {
		t.proc.committed = false
		c.w.at("K7") // the commit is confirmed, nothing of it is marked for the window store
	}
	return c.w.now
}

func (c clock) Sleep(ctx context.Context, d time.Duration) {
	c.w.park(c.w.now.Add(d), func() bool { return ctx.Err() != nil })
}

// Timeout is no timeout: what a request takes, and whether it fails, is the plan's to say.
func (c clock) Timeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
