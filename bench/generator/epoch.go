package generator

import (
	"cmp"
	"slices"
)

// Dormant customers' history lies between these before the period, so that even its first moment is 180 days and more behind.
const (
	dormantGap     = 181 * day
	dormantHistory = 400 * day
)

// merge yields drafts by event time, one period (epoch) after the other: ordinary events, the planned ones, and requests for disorder's
// own records in between.
type merge struct {
	g         *Generator
	behaviour random
	epoch     int64 // how many have been planned

	plan    []draft // planned records not yet yielded, ascending by time
	clock   clock
	ordered uint64 // ordinary events of this epoch
	next    uint64 // the next one's number
	extras  []extra
	due     []draft // requests that the last ordinary event brought
	last    draft   // the ordinary event before, for equal times
	ahead   draft   // the next ordinary event
	ready   bool    // ahead is filled
	seq     uint64

	runner  int   // whose run of payments is going on
	running int64 // how many payments of it are left
}

// extra spreads a number of records of one class evenly at random over an epoch's ordinary events.
type extra struct {
	class    Class
	n, taken uint64
	at       uint64 // after which ordinary event the next one comes
}

func newMerge(g *Generator) merge {
	return merge{g: g, behaviour: newRandom(g.cfg.Seed, streamBehaviour)}
}

// pull returns the next draft by event time. Endless: the caller counts.
func (m *merge) pull() draft {
	for {
		if d, ok := m.take(); ok {
			m.seq++
			d.seq = m.seq
			return d
		}
		m.begin()
	}
}

func (m *merge) take() (draft, bool) {
	if len(m.due) > 0 {
		d := m.due[0]
		m.due = m.due[1:]
		return d, true
	}
	if !m.ready && m.next < m.ordered {
		m.ahead, m.ready = m.ordinary(), true
	}
	switch {
	case len(m.plan) > 0 && (!m.ready || m.plan[0].time <= m.ahead.time):
		d := m.plan[0]
		m.plan = m.plan[1:]
		return d, true
	case m.ready:
		m.ready = false
		m.request()
		m.next++
		m.last = m.ahead
		return m.ahead, true
	}
	return draft{}, false
}

// ordinary makes the next ordinary event.
func (m *merge) ordinary() draft {
	r, g := m.behaviour, m.g
	t := m.clock.share(m.next, m.ordered, r.below(1<<32))
	if m.running > 0 {
		m.running--
		return g.run(r, m.runner, t)
	}
	account := g.accounts.draw(r, t, g.cfg.Hot)
	if r.oneIn(segments[g.accounts.list[account].segment].runs) {
		m.runner, m.running = account, r.between(3, 11)
	}
	if r.oneIn(g.cfg.Disorder.EqualTimes) && m.last.id != 0 {
		account, t = m.last.account, m.last.time
	}
	return g.ordinary(r, account, t)
}

// request queues the extras that come after the ordinary event m.next.
func (m *merge) request() {
	m.due = m.due[:0]
	for i := range m.extras {
		for e := &m.extras[i]; e.taken < e.n && e.at == m.next; {
			m.due = append(m.due, draft{class: e.class, account: m.ahead.account, time: m.ahead.time})
			e.taken++
			m.place(e)
		}
	}
}

// place draws where the extra's next record comes: one in each of its n equal parts of the epoch.
func (m *merge) place(e *extra) {
	if e.taken == e.n {
		return
	}
	lo, hi := scale(e.taken, m.ordered, e.n), scale(e.taken+1, m.ordered, e.n)
	e.at = lo + m.behaviour.below(hi-lo)
}

// begin plans the next epoch: PerPeriod records exactly, of which the plan and the extras take their part and ordinary events the rest.
func (m *merge) begin() {
	g := m.g
	from := g.cfg.Start + m.epoch*g.cfg.period()
	to := from + g.cfg.period()
	r := newRandom(g.cfg.Seed, streamPlan|uint64(m.epoch)<<8)
	m.plan = m.plan[:0]
	if m.epoch == 0 {
		m.history(r)
	}
	if g.cfg.Planted+g.cfg.Near > 0 {
		m.patterns(r, from, to)
	}
	slices.SortStableFunc(m.plan, func(a, b draft) int { return cmp.Compare(a.time, b.time) })
	d := &g.cfg.Disorder
	m.extras = m.extras[:0]
	rest := g.cfg.PerPeriod - int64(len(m.plan))
	for _, e := range []struct {
		class Class
		rate  int
	}{{Repeat, d.Repeats}, {Conflict, d.Conflicts}, {Future, d.Future}, {BeyondRetention, d.BeyondRetention}, {Poison, d.Poison}} {
		n := g.cfg.perPeriod(e.rate)
		rest -= n
		m.extras = append(m.extras, extra{class: e.class, n: uint64(n)})
	}
	m.clock, m.ordered, m.next = newClock(from, to), uint64(rest), 0
	for i := range m.extras {
		m.place(&m.extras[i])
	}
	m.epoch++
}

// history gives every dormant customer one event long before the period.
func (m *merge) history(r random) {
	g := m.g
	for _, i := range g.accounts.dormant {
		t := r.between(g.cfg.Start-dormantHistory, g.cfg.Start-dormantGap)
		d := g.ordinary(r, i, t)
		d.class, d.currency, d.status = History, g.cfg.Currency, ""
		g.accounts.list[i].quiet = t
		m.plan = append(m.plan, d)
	}
	slices.SortFunc(g.accounts.dormant, func(a, b int) int {
		return cmp.Or(cmp.Compare(g.accounts.list[a].quiet, g.accounts.list[b].quiet), a-b)
	})
}

// patterns plants an epoch's instances and near misses, each with a customer of its own as long as there are enough.
func (m *merge) patterns(r random, from, to int64) {
	taken := map[int]bool{}
	room := to - from - minPlanting
	for _, near := range []bool{false, true} {
		n := m.g.cfg.perPeriod(m.g.cfg.Planted)
		if near {
			n = m.g.cfg.perPeriod(m.g.cfg.Near)
		}
		for i := range n {
			for k := range patterns {
				start := from + scaled(room, i, n)
				p := planner{g: m.g, random: r, from: start, to: start + minPlanting + room/n}
				m.instance(&p, &patterns[k], near, taken)
			}
		}
	}
}

// scaled is a·i/n without overflow, 0 ≤ i ≤ n.
func scaled(a, i, n int64) int64 { return int64(scale(uint64(i), uint64(a), uint64(n))) }

// instance plants one instance and opens its label. A dormant pattern is left out where no customer has been quiet for long enough.
func (m *merge) instance(p *planner, kind *pattern, near bool, taken map[int]bool) {
	g := m.g
	account, ok := 0, true
	if kind.rule == dormantRule {
		account, ok = g.accounts.sleeper(p.from)
	} else {
		account = g.accounts.unused(p.random, near, taken)
	}
	if !ok {
		return
	}
	class := Planted
	if near {
		class = Near
		kind.near(p, account)
	} else {
		kind.plant(p, account)
	}
	first, last := &p.drafts[0], &p.drafts[len(p.drafts)-1]
	a := &g.accounts.list[account]
	if kind.rule == dormantRule {
		a.quiet = last.time
	}
	g.open = append(g.open, openLabel{left: len(p.drafts), Label: Label{
		Pattern: kind.rule, Near: near, Customer: a.name(account), First: first.time, Last: last.time,
		FirstID: idText(first, a.flat), LastID: idText(last, a.flat),
	}})
	for _, d := range p.drafts {
		d.class, d.label = class, len(g.open)
		m.plan = append(m.plan, d)
	}
}

// sleeper takes the customer that has been dormant for longest and puts it at the queue's end; false where even that is too short at t.
func (a *accounts) sleeper(t int64) (int, bool) {
	if len(a.dormant) == 0 || t-a.list[a.dormant[0]].quiet < dormantGap {
		return 0, false
	}
	i := a.dormant[0]
	a.dormant = append(a.dormant[1:], i)
	return i, true
}

// unused draws a customer without a label in this epoch, or with few where half of them have one; near misses go to the less active three
// quarters, so that most of them stay misses.
func (a *accounts) unused(r random, near bool, taken map[int]bool) int {
	if len(taken) > len(a.ranks)/2 {
		clear(taken)
	}
	lo := int64(0)
	if near {
		lo = int64(len(a.ranks)) / 4
	}
	for {
		if i := int(a.ranks[r.between(lo, int64(len(a.ranks)))]); !taken[i] {
			taken[i] = true
			return i
		}
	}
}
