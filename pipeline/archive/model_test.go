package archive

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The protocol as a model: one facts partition, one server, owners that die, sleep and wake as zombies, INSERTs that run on after their
// client gave up, answers that are lost, a server that is killed between its deduplication log and its parts. Everything is a step of
// one seeded generator, so that a failing seed is a failing story. The model shares no code with the archive; what it shows is that the
// protocol of archive.go's comment is enough, and, by leaving out its parts one by one, that no part can be left out.

// modelLimits of one story, in steps.
const (
	modelSteps   = 400
	modelTimeout = 20 // an attempt's time, counted from its commit; the same again for an INSERT that runs on
	modelMonth   = 9  // offsets in one month: blocks reach over its end now and then
	wideWindow   = 60 // tokens that the server remembers: more than two timeouts of everybody's inserts
	smallWindow  = 4
)

// ablation is what a run leaves out.
type ablation struct {
	noIntent     bool // the commit does not say where the block ends
	noToken      bool // the server does not deduplicate
	noReadBack   bool // an OK under a token is believed, whatever happened before
	oneToken     bool // missing rows go in under the block's own token again
	readFirst    bool // a successor reads back at once and inserts only what is missing, under the second token
	noProof      bool // a retry does not commit again first
	window       int
	wholeInserts bool // the server is never killed inside an INSERT; for the ablations that are about other things
}

type model struct {
	ablation
	r          *rand.Rand
	now        int
	log        int         // facts in the topic
	committed  int         // the group's offset
	announced  int         // end in its metadata; 0 none
	generation int         // of the group; the owner's is the newest
	table      map[int]int // copies of every fact
	tokens     []string    // deduplication log, newest last
	flying     []flying
	owners     []*owner // the last is the rightful one, the others are zombies
}

// flying is an INSERT whose client gave up.
type flying struct {
	since int
	token string
	rows  []int
}

type owner struct {
	generation int
	next       int // first offset that is in no finished block
	state      string
	end        int   // of the block under way
	todo       []int // rows to insert
	round      int
	doubtful   bool
	proof      int // step of the last commit
}

func (m *model) run(seed uint64) error {
	m.r = rand.New(rand.NewPCG(seed, 1))
	m.table = map[int]int{}
	m.takeOver()
	for m.now = 0; m.now < modelSteps; m.now++ {
		m.world()
		m.owners[len(m.owners)-1].step(m)
		if len(m.owners) > 1 && m.r.IntN(12) == 0 {
			m.owners[m.r.IntN(len(m.owners)-1)].step(m)
		}
		if err := m.check(m.committed); err != nil {
			return err
		}
	}
	m.quiet()
	if m.committed != m.log {
		return fmt.Errorf("stuck at %d of %d", m.committed, m.log)
	}
	return m.check(m.log)
}

// world is what happens around the owners in one step.
func (m *model) world() {
	switch x := m.r.IntN(100); {
	case x < 30:
		m.log += 1 + m.r.IntN(3)
	case x < 45: // other partitions' inserts
		m.remember(fmt.Sprint("other ", m.now))
	case x < 52: // the owner dies, or sleeps and will wake as a zombie
		if m.r.IntN(2) == 0 {
			m.owners = m.owners[:len(m.owners)-1]
		}
		m.takeOver()
	}
	m.deliver()
}

// deliver lets INSERTs whose client gave up come to their end, by chance or because their time is over.
func (m *model) deliver() {
	for i := 0; i < len(m.flying); i++ {
		if f := m.flying[i]; m.now-f.since >= modelTimeout || m.r.IntN(10) == 0 {
			m.flying = append(m.flying[:i], m.flying[i+1:]...)
			m.apply(f.token, f.rows, false)
			i--
		}
	}
}

// quiet lets the last owner finish with nobody in its way.
func (m *model) quiet() {
	m.owners = m.owners[len(m.owners)-1:]
	m.wholeInserts = true
	for range 20 * modelSteps {
		m.now++
		m.deliver()
		m.owners[0].step(m)
	}
}

// check counts: below end every fact is there once, behind it no fact twice.
func (m *model) check(end int) error {
	for o := range m.log {
		if n := m.table[o]; n > 1 || n == 0 && o < end {
			return fmt.Errorf("step %d: fact %d is there %d times, committed %d", m.now, o, n, m.committed)
		}
	}
	return nil
}

func (m *model) takeOver() {
	m.generation++
	o := &owner{generation: m.generation, next: m.committed, state: "idle"}
	if m.announced > m.committed {
		o.begin(m.announced, true)
		if m.readFirst {
			o.state = "read"
		}
	}
	m.owners = append(m.owners, o)
	if len(m.owners) > 4 {
		m.owners = m.owners[1:]
	}
}

// apply is the server's INSERT: month by month, the token first, then the part. It reports false where the server was killed between.
func (m *model) apply(token string, rows []int, killable bool) bool {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n]/modelMonth == rows[0]/modelMonth {
			n++
		}
		if !m.remember(fmt.Sprint(token, " month ", rows[0]/modelMonth)) {
			rows = rows[n:]
			continue
		}
		if killable && !m.wholeInserts && m.r.IntN(12) == 0 {
			return false
		}
		for _, o := range rows[:n] {
			m.table[o]++
		}
		rows = rows[n:]
	}
	return true
}

// remember reports whether the token is new, and keeps it.
func (m *model) remember(token string) bool {
	if m.noToken {
		return true
	}
	for _, t := range m.tokens {
		if t == token {
			return false
		}
	}
	m.tokens = append(m.tokens, token)
	if len(m.tokens) > m.window {
		m.tokens = m.tokens[1:]
	}
	return true
}

func (o *owner) begin(end int, doubtful bool) {
	o.end, o.round, o.doubtful, o.state, o.todo = end, 1, doubtful, "commit", nil
	for i := o.next; i < end; i++ {
		o.todo = append(o.todo, i)
	}
}

// step is one action of an owner, zombie or not.
func (o *owner) step(m *model) {
	switch o.state {
	case "idle":
		switch {
		case m.log > o.next:
			o.begin(min(m.log, o.next+1+m.r.IntN(6)), false)
		case m.r.IntN(3) == 0 && o.generation == m.generation:
			m.committed, m.announced = o.next, 0
		}
	case "commit":
		if o.generation != m.generation {
			o.state = "fenced"
			return
		}
		m.committed, m.announced, o.proof, o.state = o.next, o.end, m.now, "insert"
		if m.noIntent {
			m.announced = 0
		}
	case "insert":
		o.insert(m)
	case "read":
		o.read(m)
	}
}

func (o *owner) insert(m *model) {
	again := func() {
		o.doubtful = true
		if !m.noProof {
			o.state = "commit"
		}
	}
	if m.now-o.proof > modelTimeout && !m.noProof {
		again()
		return
	}
	token := fmt.Sprint("T ", o.next, " ", o.end)
	if o.round > 1 && !m.oneToken {
		token += fmt.Sprint(" #", o.round)
	}
	switch x := m.r.IntN(100); {
	case x < 20: // gave up; it runs on
		m.flying = append(m.flying, flying{m.now, token, o.todo})
		again()
	case !m.apply(token, o.todo, true) || x < 35: // killed, or done and the answer lost
		again()
	case o.doubtful && !m.noReadBack:
		o.state = "read"
	default:
		o.next, o.state = o.end, "idle"
	}
}

func (o *owner) read(m *model) {
	o.todo = nil
	for i := o.next; i < o.end; i++ {
		if m.table[i] == 0 {
			o.todo = append(o.todo, i)
		}
	}
	if len(o.todo) == 0 {
		o.next, o.state = o.end, "idle"
		return
	}
	o.round++
	o.state = "commit"
}

func TestModel_TheProtocolStoresEveryFactOnce(t *testing.T) {
	runs := uint64(4000)
	if testing.Short() {
		runs = 400
	}
	for seed := range runs {
		m := &model{ablation: ablation{window: wideWindow}}
		if err := m.run(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestModel_NoPartOfTheProtocolCanBeLeftOut(t *testing.T) {
	for name, left := range map[string]ablation{
		"no intent":                        {noIntent: true, window: wideWindow, wholeInserts: true},
		"no token":                         {noToken: true, window: wideWindow, wholeInserts: true},
		"no reading back":                  {noReadBack: true, window: wideWindow},
		"missing rows under the old token": {oneToken: true, window: wideWindow},
		"reading back before inserting":    {readFirst: true, window: wideWindow, wholeInserts: true},
		"no commit before a retry":         {noProof: true, window: wideWindow, wholeInserts: true},
		"a small deduplication window":     {window: smallWindow, wholeInserts: true},
	} {
		var err error
		seed := uint64(0)
		for ; seed < 4000 && err == nil; seed++ {
			m := &model{ablation: left}
			err = m.run(seed)
		}
		if err == nil {
			t.Errorf("%s: nothing went wrong in %d runs", name, seed)
		} else {
			t.Logf("%s: seed %d: %v", name, seed-1, err)
		}
	}
}
