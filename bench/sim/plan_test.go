package sim

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/topology"
)

// process is one worker with one lane. It dies and comes back under the same name.
type process struct {
	w      *world
	name   string
	life   int
	alive  bool
	frozen time.Time // it does not move until then
	cancel context.CancelFunc

	stopping bool

	ends      []endFate
	flushes   []flushFate
	committed bool // the lane has just been told so
	produced  int  // records of the open transaction

	killAt string // the place where it dies next
	cuts   int    // so many flushes are cut between two calls
	reads  int    // so many reads of the log are cut
}

// endFate is what happens to one commit.
type endFate struct {
	write, abort, lost, deaf, lie bool
	markers                       time.Duration
}

// flushFate is what happens to one flush.
type flushFate struct {
	before, after bool
	late          time.Duration
}

func (p *process) takeFate() (f endFate) {
	if len(p.ends) > 0 {
		f, p.ends = p.ends[0], p.ends[1:]
	}
	f.markers += time.Duration(p.w.rnd.IntN(3000)) * time.Microsecond
	return f
}

func (p *process) takeFlush() (f flushFate) {
	if len(p.flushes) > 0 {
		f, p.flushes = p.flushes[0], p.flushes[1:]
	}
	return f
}

func take(n *int) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}

func (p *process) takeCut() bool       { return take(&p.cuts) }
func (p *process) takeReadFault() bool { return take(&p.reads) }

// start starts a process that is not there.
func (p *process) start() {
	w := p.w
	if w.ending {
		return
	}
	if p.alive { // it is still stopping, perhaps
		if p.stopping {
			w.after(100*time.Millisecond, p.start)
		}
		return
	}
	p.life++
	p.alive, p.stopping, p.frozen = true, false, time.Time{}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	lane := pipeline.NewLane(pipeline.LaneConfig{
		Name: p.name, Stage: topology.StageMonitor, Chain: chain, Generation: 1, Partitions: partitions, TopicID: topicID, Committer: p.name,
		Monitor: topology.Monitor{Lanes: 1, MaxPoll: 6, FlushEvery: topology.Duration(w.flushEvery), FlushAt: w.flushAt},
		Memory:  w.memory, Configs: configurations, Halts: &pipeline.Halts{First: true}, Logger: slog.New(slog.DiscardHandler),
		Surroundings: pipeline.Surroundings{
			Join:  func(ctx context.Context) (pipeline.Session, error) { return w.group.join(ctx, p) },
			Log:   source{g: w.group, proc: p},
			Past:  pipeline.FactsTopic(source{g: w.group, proc: p}),
			Store: client{r: w.redis, p: p},
			Clock: clock{w},
			Go:    func(work func()) { w.start(p, work) },
		},
	})
	w.start(p, func() {
		if err := lane.Run(ctx); err != nil {
			w.fault("%s ends: %v", p.name, err)
		}
		p.alive = false
		p.leave()
	})
}

// stop tells a process to stop in order.
func (p *process) stop() {
	if p.alive {
		p.stopping = true
		p.cancel()
	}
}

// leave has the group notice in time that nobody is there.
func (p *process) leave() {
	life := p.life
	p.w.after(memberTimeout, func() {
		if p.life == life && !p.alive {
			p.w.group.expel(p.name)
		}
	})
}

// kill is kill -9; what is on its way to the window store arrives, if so many of its requests were sent.
func (p *process) kill(sent int) {
	if !p.alive {
		return
	}
	p.alive = false
	p.leave()
	main := true // the first of a process's tasks is its lane
	for _, t := range slices.Clone(p.w.tasks) {
		if t.proc != p || t.done || t.sent {
			continue
		}
		if !main && sent > 0 {
			t.sent = true
			sent--
			continue
		}
		main = false
		p.w.end(t)
	}
	p.ends, p.flushes, p.cuts, p.reads, p.killAt = nil, nil, 0, 0, ""
}

// at is a place that has a name: a process that is to die there does.
func (w *world) at(place string) {
	if w.passes(place) {
		panic(killed{})
	}
}

// passes is at for a place that must not be unwound: the caller ends the task where it can.
func (w *world) passes(place string) bool {
	p := w.cur.proc
	if p.killAt != place || !p.alive {
		return false
	}
	t := w.cur
	p.killAt = ""
	w.deaths++
	t.sent = true // this task ends itself
	p.kill(0)
	w.cur = t
	w.after(200*time.Millisecond, p.start)
	return true
}

// act is one fault of a plan.
type act struct {
	step  int
	kind  int
	proc  int
	n     int
	place string // of "dies at a place"
}

var kinds = [...]string{
	"kill", "kill, requests arrive", "stop in order", "freeze", "member is given up", "partitions move", "EndTxn lost", "EndTxn applied, answer lost",
	"EndTxn applied, called an abort", "write fails", "commit aborted", "markers late", "flush fails", "flush applied, answer lost", "flush late", "flush cut between calls",
	"store away", "store loses a suffix", "store wiped", "store split", "store whole again", "store forgets a customer, all are killed", "reading cut", "configuration switches",
	"log deleted as far as committed", "dies at a place",
}

// places are those of the engine's list of kills (4.12) that a lane passes.
var places = [...]string{"K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K10", "K11", "K12", "K16"}

func (a act) String() string {
	return fmt.Sprintf("step %4d: %s (process %d, %d) %s", a.step, kinds[a.kind], a.proc, a.n, a.place)
}

// draw makes a plan.
func draw(rnd *rand.Rand, steps int) (plan []act) {
	for range 3 + rnd.IntN(16) {
		plan = append(plan, act{step: rnd.IntN(steps), kind: rnd.IntN(len(kinds)), proc: rnd.IntN(processes), n: rnd.IntN(8)})
	}
	slices.SortStableFunc(plan, func(a, b act) int { return a.step - b.step })
	return plan
}

// do does a fault.
func (w *world) do(a act) {
	p, r := w.procs[a.proc], w.redis
	some := time.Duration(a.n+1) * 20 * time.Millisecond
	switch kinds[a.kind] {
	case "kill", "kill, requests arrive":
		sent := 0
		if a.kind == 1 {
			sent = a.n
		}
		p.kill(sent)
		w.after(time.Duration(a.n)*some, p.start)
	case "stop in order":
		p.stop()
		w.after(some, p.start)
	case "freeze":
		p.frozen = w.now.Add(time.Duration(a.n) * 2 * time.Second)
		if a.n > 5 {
			w.after(memberTimeout, func() { w.group.expel(p.name) })
		}
	case "member is given up":
		w.group.expel(p.name)
	case "partitions move":
		w.group.shift++
	case "EndTxn lost":
		p.ends = append(p.ends, endFate{lost: true})
	case "EndTxn applied, answer lost":
		p.ends = append(p.ends, endFate{deaf: true, markers: some})
	case "EndTxn applied, called an abort":
		p.ends = append(p.ends, endFate{lie: true})
	case "write fails":
		p.ends = append(p.ends, endFate{write: true})
	case "commit aborted":
		p.ends = append(p.ends, endFate{abort: true})
	case "markers late":
		p.ends = append(p.ends, endFate{markers: some})
	case "flush fails":
		p.flushes = append(p.flushes, flushFate{before: true})
	case "flush applied, answer lost":
		p.flushes = append(p.flushes, flushFate{after: true})
	case "flush late":
		p.flushes = append(p.flushes, flushFate{late: 4 * some, after: a.n%2 == 0})
	case "flush cut between calls":
		p.cuts++
	case "store away":
		r.down = w.now.Add(time.Duration(a.n) * some)
	case "store loses a suffix":
		if n := len(r.then); n > 0 {
			r.promote(r.then[max(0, n-1-a.n)])
		}
	case "store wiped":
		r.promote(store.NewMemory())
	case "store split":
		if n := len(r.then); n > 0 && r.old == nil {
			r.old, r.stays = r.now, map[*process]bool{p: true}
			r.promote(r.then[max(0, n-1-a.n/2)])
		}
	case "store whole again":
		r.old = nil
	case "store forgets a customer, all are killed": // keys are counted when a partition changes its owner, and not at every load
		r.old = nil // else one could read the old master when it counts, and this one afterwards
		r.now.Forget(int32(a.n%w.input.customers%partitions), w.customerKey(a.n))
		for _, p := range w.procs {
			p.kill(0)
			w.after(some, p.start)
		}
	case "log deleted as far as committed":
		for p := range w.group.start {
			if at := w.group.committed[p].Offset; at > 0 {
				w.group.start[p] = max(w.group.start[p], at-int64(a.n))
			}
		}
	case "dies at a place":
		p.killAt = cmp.Or(a.place, places[a.n%len(places)])
	case "reading cut":
		p.reads++
	case "configuration switches":
		w.switchConfiguration()
	}
}

// shrink takes out of a plan what its failure does not need.
func shrink(plan []act, fails func([]act) bool) []act {
	for size := max(len(plan)/2, 1); ; size = max(size/2, 1) {
		removed := false
		for from := 0; from < len(plan); {
			without := slices.Delete(slices.Clone(plan), from, min(from+size, len(plan)))
			if fails(without) {
				plan, removed = without, true
				continue
			}
			from += size
		}
		if size == 1 && !removed {
			return plan
		}
	}
}

func text(plan []act) string {
	var b strings.Builder
	for _, a := range plan {
		fmt.Fprintln(&b, a)
	}
	return b.String()
}

// chain is stage monitor's.
var chain = []operators.Operator{operators.Dedupe{}, operators.Enrich{}, operators.Evaluate{}, operators.Assess{}}
