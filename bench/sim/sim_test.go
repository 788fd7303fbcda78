package sim

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
)

const (
	processes = 2
	// patience is how many steps a run may take to come to its end when nothing is broken any more; some 2,000 are used.
	patience = 100_000
)

var start = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// snapshots are the two configurations that a log goes through.
var snapshots = []schemas.Snapshot{
	{Version: 1, Files: rules("count('1h')")},
	{Version: 2, Files: rules("count('30m')")},
}

func rules(count string) []schemas.SnapshotFile {
	return []schemas.SnapshotFile{
		{Name: "features.yaml", Content: "features: [{name: n, expr: \"" + count + "\"}, {name: s, expr: \"sum('1h', amount)\"}]\n"},
		{Name: "rule.yaml", Content: "id: BIG\nwhen: sum('1h', amount) > 500\nlevel: HIGH\n"},
	}
}

// configurations are compiled once for all runs; their topic is read at one go, so that no lane waits here for another.
var configurations = pipeline.NewConfigurations(source{g: &group{config: configTopic()}}, clock{&world{now: start}}, slog.New(slog.DiscardHandler))

func configTopic() (out []*kgo.Record) {
	for i := range snapshots {
		value, err := schemas.Configurations.Codec.Append(nil, &snapshots[i])
		if err != nil {
			panic(err)
		}
		out = append(out, &kgo.Record{Topic: schemas.Configurations.Name, Offset: int64(i), Value: value})
	}
	return out
}

// input writes the log while the run goes on.
type input struct {
	w         *world
	rnd       *rand.Rand
	left      int
	customers int
	made      []schemas.Event
	offsets   int64
	switched  bool
}

func (w *world) customerKey(n int) []byte {
	return schemas.CustomerKey(nil, "t", name(n%w.input.customers))
}

func name(customer int) string { return "c" + strconv.Itoa(customer) }

// append puts an event behind a partition's log, now and then with a gap, as markers and aborted records leave one.
func (in *input) append(p int32, e *schemas.Event) {
	g := in.w.group
	value, err := schemas.Events.Codec.Append(nil, e)
	if err != nil {
		panic(err)
	}
	g.log[p] = append(g.log[p], &kgo.Record{Topic: schemas.Events.Name, Partition: p, Offset: g.end[p], Value: value, Timestamp: in.w.now})
	g.end[p] += 1 + int64(in.rnd.IntN(8)/7*2)
}

// event makes the next event: new ones, late ones, ties, duplicates, redeliveries, conflicts, future and far too old ones.
func (in *input) event() {
	in.left--
	in.offsets++
	if n := len(in.made); n > 0 && in.rnd.IntN(8) == 0 {
		again := in.made[in.rnd.IntN(n)]
		switch again.Origin.Offset = in.offsets; in.rnd.IntN(3) {
		case 0:
			again.Origin.Offset = in.offsets - 1 // never equal to its own
		case 1:
			again.Amount++
		}
		in.place(again)
		return
	}
	c := in.rnd.IntN(in.customers)
	at := in.w.now.UnixMilli() - int64(in.rnd.IntN(20))*hour/12
	switch in.rnd.IntN(40) {
	case 0:
		at = in.w.now.UnixMilli() + 2*future
	case 1:
		at -= 3 * retention
	}
	e := schemas.Event{Kind: schemas.KindPayment, Team: "t", Customer: name(c), ID: "e" + strconv.FormatInt(in.offsets, 10), Time: at, HasAmount: true,
		Amount: int64(in.rnd.IntN(300)) * 1_000_000, Origin: schemas.Origin{Topic: "in", Offset: in.offsets}}
	in.made = append(in.made, e)
	in.place(e)
	if in.rnd.IntN(20) == 0 {
		in.place(e) // intake delivers again
	}
}

func (in *input) place(e schemas.Event) {
	c, _ := strconv.Atoi(e.Customer[1:])
	in.append(int32(c%partitions), &e)
}

func (w *world) control(version int32) {
	for p := range int32(partitions) {
		w.input.append(p, &schemas.Event{Kind: schemas.KindControl, Control: schemas.Control{Version: version, Digest: snapshots[version-1].Digest()}})
	}
}

func (w *world) switchConfiguration() {
	if !w.input.switched {
		w.input.switched = true
		w.control(2)
	}
}

// size is how large a run is.
type size struct {
	events, customers, steps int
	flushEvery               time.Duration
	flushAt                  int
	callKeys                 int
}

// sizeOf makes every second run one whose flushes are one call, the others have several customers to flush and calls of two; every 64th
// has as many customers as make several of Redis's own calls.
func sizeOf(seed uint64) size {
	switch {
	case seed%64 == 63:
		return size{events: 700, customers: 420, steps: 2500, flushEvery: 2 * time.Second, flushAt: 170}
	case seed%2 == 1:
		return size{events: 60, customers: 9, steps: 900, flushEvery: 150 * time.Millisecond, flushAt: 8, callKeys: 2}
	}
	return size{events: 50, customers: 6, steps: 900, flushEvery: 20 * time.Millisecond, flushAt: 3}
}

// run runs a plan, and returns what was wrong.
func run(seed uint64, plan []act) (wrong []string, steps int) {
	w := runWorld(seed, plan)
	return w.wrong, w.steps
}

func runWorld(seed uint64, plan []act) *world {
	z := sizeOf(seed)
	w := &world{rnd: rand.New(rand.NewPCG(seed, 1)), now: start, flushEvery: z.flushEvery, flushAt: z.flushAt, callKeys: z.callKeys, memory: 1 << 30}
	if seed%3 == 0 {
		w.memory = 4 << 10 // a few customers: what is clean goes, and is loaded again
	}
	w.group, w.redis = newGroup(w), newRedis(w)
	w.input = &input{w: w, rnd: rand.New(rand.NewPCG(seed, 2)), left: z.events, customers: z.customers}
	w.control(1)
	for i := range processes {
		p := &process{w: w, name: fmt.Sprintf("monitor-%d", i)}
		w.procs = append(w.procs, p)
		p.start()
	}
	for n := 0; n < z.steps; n++ {
		for len(plan) > 0 && plan[0].step <= n {
			w.do(plan[0])
			plan = plan[1:]
		}
		if w.input.left > 0 && w.rnd.IntN(max(z.steps/z.events/2, 1)) == 0 {
			w.input.event()
		}
		w.step()
	}
	for w.input.left > 0 {
		w.input.event()
	}
	w.heal()
	w.finish("the log")
	w.stop()
	// Another owner finds the windows as they must be.
	for c := range z.customers {
		w.input.offsets++
		w.input.place(schemas.Event{Kind: schemas.KindPayment, Team: "t", Customer: name(c), ID: "probe" + strconv.Itoa(c), Time: w.now.UnixMilli(), HasAmount: true, Origin: schemas.Origin{Topic: "in", Offset: w.input.offsets}})
	}
	w.ending = false
	w.procs[0].start()
	w.finish("the probes")
	w.stop()
	w.check()
	return w
}

// heal ends every fault.
func (w *world) heal() {
	w.redis.old, w.redis.down = nil, time.Time{}
	for _, p := range w.procs {
		p.frozen, p.ends, p.flushes, p.cuts, p.reads, p.killAt = time.Time{}, nil, nil, 0, 0, ""
		p.start()
	}
}

// finish steps until everything in the log is committed.
func (w *world) finish(what string) {
	for n := 0; ; n++ {
		done := true
		for p := range w.group.log {
			last := w.group.log[p][len(w.group.log[p])-1].Offset
			done = done && w.group.committed[p].Offset > last
		}
		if done {
			return
		}
		if n > patience || len(w.wrong) > 0 {
			w.fault("I25: %s: committed %v of %v after %d steps", what, w.group.committed, w.group.end, n)
			return
		}
		w.step()
	}
}

// stop ends every process in order.
func (w *world) stop() {
	w.ending = true
	for _, p := range w.procs {
		p.stop()
	}
	for n := 0; w.procs[0].alive || w.procs[1].alive; n++ {
		if n > patience {
			w.fault("a process does not stop")
			w.procs[0].kill(0)
			w.procs[1].kill(0)
			return
		}
		w.step()
	}
	for _, t := range w.tasks { // flushes that nobody waits for
		if !t.done {
			w.end(t)
		}
	}
	w.tasks = nil
}

func schedules(t *testing.T, standard int) int {
	t.Helper()
	text := os.Getenv("STREAMGAUGE_SIM")
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("STREAMGAUGE_SIM: %q is no number of schedules", text)
	}
	return n
}

func TestSim_EveryScheduleOfFaultsIsExact(t *testing.T) {
	steps := 0
	for seed := range uint64(schedules(t, standard)) {
		plan := draw(rand.New(rand.NewPCG(seed, 3)), sizeOf(seed).steps)
		wrong, n := run(seed, plan)
		if steps += n; len(wrong) == 0 {
			continue
		}
		least := shrink(plan, func(p []act) bool {
			wrong, _ := run(seed, p)
			return len(wrong) > 0
		})
		wrong, _ = run(seed, least)
		t.Fatalf("seed %d fails with\n%sand it is wrong that\n%s", seed, text(least), fmt.Sprint(wrong[:min(len(wrong), 6)]))
	}
	t.Logf("%d steps", steps)
}

// One seed is one run: else no failure could be cut down.
func TestSim_OneSeedIsOneRun(t *testing.T) {
	for seed := range uint64(20) {
		plan := draw(rand.New(rand.NewPCG(seed, 3)), sizeOf(seed).steps)
		a, n := run(seed, plan)
		b, m := run(seed, plan)
		if n != m || fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("seed %d: %d steps and %d, %v and %v", seed, n, m, a, b)
		}
	}
}

// Each place of the engine's list where a process can be killed: whatever it leaves half done there, the next one goes on exactly.
func TestSim_KilledAtEachPlace(t *testing.T) {
	kind := func(name string) int { return slices.Index(kinds[:], name) }
	for place, c := range map[string]struct {
		what   string
		before []string // what must happen for the process to come there
	}{
		"K1":  {what: "after the poll"},
		"K2":  {what: "in the middle of judging"},
		"K3":  {what: "after the first produce"},
		"K4":  {what: "written, before TxnOffsetCommit"},
		"K5":  {what: "after TxnOffsetCommit, before EndTxn"},
		"K6":  {what: "EndTxn sent, its answer lost"},
		"K7":  {what: "after End, before anything is marked for the store"},
		"K8":  {what: "between two calls of a flush"},
		"K9":  {what: "flush applied, its answer lost"},
		"K10": {what: "during the flush of a revoked partition", before: []string{"partitions move"}},
		"K11": {what: "during a replay", before: []string{"store wiped", "kill"}},
		"K12": {what: "during a bootstrap", before: []string{"store wiped", "log deleted as far as committed", "kill"}},
		"K16": {what: "while the configuration switches", before: []string{"configuration switches"}},
	} {
		t.Run(place+" "+c.what, func(t *testing.T) {
			t.Parallel()
			deaths := 0
			for seed := uint64(1); seed < 41; seed += 2 { // whose flushes take several calls
				at := int(seed*97%600) + 100
				var plan []act
				for p := range processes {
					plan = append(plan, act{step: at, kind: kind("dies at a place"), proc: p, place: place})
				}
				for _, name := range c.before {
					plan = append(plan, act{step: at, kind: kind(name), n: 1})
				}
				if slices.Contains(c.before, "kill") { // which forgets what was to come
					for p := range processes {
						plan = append(plan, act{step: at, kind: kind("kill"), proc: p, n: 1}, act{step: at + 1, kind: kind("dies at a place"), proc: p, place: place})
					}
				}
				w := runWorld(seed, plan)
				if deaths += w.deaths; len(w.wrong) > 0 {
					t.Fatalf("seed %d: %v", seed, w.wrong[:min(len(w.wrong), 4)])
				}
			}
			if deaths < 10 {
				t.Errorf("%d processes died there in 20 runs: the place is not where it is thought to be", deaths)
			}
		})
	}
}

// What a partition's windows are when they are built from the log, and from the facts where the log is gone, is the same to the byte.
func TestSim_BuiltFromFactsIsBuiltFromTheLogByteForByte(t *testing.T) {
	for seed := range uint64(12) {
		var plan []act
		if seed%2 == 1 {
			plan = []act{{step: 400, kind: slices.Index(kinds[:], "configuration switches")}}
		}
		w := runWorld(seed, plan)
		built := func() (out []string) {
			w.redis.promote(store.NewMemory())
			w.wrong, w.ending = nil, false
			w.procs[0].start()
			for n := 0; w.group.owner != [partitions]string{w.procs[0].name, w.procs[0].name} || n < 2000; n++ {
				if w.step(); n > patience {
					t.Fatalf("seed %d: nobody has the partitions", seed)
				}
			}
			w.stop()
			for c := range w.input.customers {
				_, values, err := w.redis.now.Load(t.Context(), int32(c%partitions), [][]byte{w.customerKey(c)})
				if err != nil || values[0] == nil {
					t.Fatalf("seed %d: customer %d: %v", seed, c, err)
				}
				out = append(out, string(values[0]))
			}
			return out
		}
		fromLog := built()
		for p := range w.group.start {
			w.group.start[p] = w.group.committed[p].Offset
		}
		if fromFacts := built(); !slices.Equal(fromLog, fromFacts) {
			t.Errorf("seed %d: the windows differ", seed)
		}
		if len(w.wrong) > 0 {
			t.Errorf("seed %d: %v", seed, w.wrong)
		}
	}
}

// Schedules that failed once, as they were printed.
func TestSim_SchedulesThatFailedOnce(t *testing.T) {
	kind := func(name string) int { return slices.Index(kinds[:], name) }
	for name, c := range map[string]struct {
		seed uint64
		plan []act
	}{
		"a lane that stood still finds the store ahead": {2540, []act{{step: 4, kind: kind("freeze"), n: 6}}},
		"customers ahead of a configuration switch": {113, []act{
			{step: 47, kind: kind("EndTxn lost"), proc: 1, n: 1}, {step: 110, kind: kind("freeze"), n: 7}, {step: 174, kind: kind("partitions move"), proc: 1, n: 5},
			{step: 383, kind: kind("configuration switches"), proc: 1, n: 3}, {step: 414, kind: kind("store away"), proc: 1, n: 1}, {step: 534, kind: kind("store split"), proc: 1},
		}},
		"a lost partition whose changes are too many": {621, []act{
			{step: 107, kind: kind("partitions move"), n: 2}, {step: 333, kind: kind("store split"), proc: 1, n: 4}, {step: 715, kind: kind("store forgets a customer, all are killed"), proc: 1, n: 2},
		}},
	} {
		if wrong, _ := run(c.seed, c.plan); len(wrong) > 0 {
			t.Errorf("%s: %v", name, wrong[:min(len(wrong), 4)])
		}
	}
}
