package generator

// pattern is one kind of laundering and what only looks like it. Thresholds are those of the rule library's defaults
// (design/rules.md): what plant makes meets them by itself whatever else the customer does, since amounts are positive and no planted
// event is declined; what near makes stays below them by itself, and may cross with the customer's ordinary events.
type pattern struct {
	rule   string
	window int64 // ms; how long after its last event a hit of the rule is still the pattern's
	plant  func(p *planner, account int)
	near   func(p *planner, account int)
}

var patterns = []pattern{
	{"VEL_OUT", hour, plantVelocity, nearVelocity},
	{"VOL_OUT", day, plantVolume, nearVolume},
	{"STRUCT_BELOW", 72 * hour, plantStructuring, nearStructuring},
	{"FAN_OUT", 8 * hour, plantFanOut, nearFanOut},
	{dormantRule, 0, plantDormant, nearDormant},
}

const dormantRule = "DORMANT"

// The most records of one instance of each of the five, together: what Validate reckons with.
const (
	maxPlantedRecords = 14 + 6 + 5 + 8 + 3
	maxNearRecords    = 14 + 5 + 4 + 8 + 2
)

// planner writes one instance of a pattern: drafts of one customer, ascending by time.
type planner struct {
	g        *Generator
	random   random
	from, to int64 // ms; where the instance may lie
	drafts   []draft
}

// burst gives n ascending times within a span that lies anywhere in [from, to).
func (p *planner) burst(span int64, n int) []int64 {
	start := p.random.between(p.from, p.to-span)
	times := make([]int64, n)
	for i := range times {
		lo := start + span*int64(i)/int64(n)
		times[i] = p.random.between(lo, start+span*int64(i+1)/int64(n))
	}
	return times
}

// steps gives n times that lie gap apart, each up to an hour later.
func (p *planner) steps(gap int64, n int) []int64 {
	start := p.random.between(p.from, p.to-gap*int64(n-1)-hour)
	times := make([]int64, n)
	for i := range times {
		times[i] = start + gap*int64(i)
	}
	times[n-1] += p.random.between(0, hour)
	return times
}

// add appends an event with an amount of cents.
func (p *planner) add(account int, t int64, out bool, cents int64, channel, kind, counterparty string) {
	p.drafts = append(p.drafts, draft{
		account: account, time: t, id: p.g.newID(), cents: cents, out: out, currency: p.g.cfg.Currency,
		counterparty: counterparty, channel: channel, kind: kind, country: home[p.g.accounts.list[account].country],
	})
}

// units is a uniform amount of cents in [lo, hi) currency units.
func (p *planner) units(lo, hi int64) int64 { return p.random.between(lo*100, hi*100) }

func (p *planner) friend(account int, k int) string {
	name, _ := p.g.favourite(account, uint64(k))
	return name
}

// mules names n different private persons.
func (p *planner) mules(n int) []string {
	first := p.random.below(strangers)
	names := make([]string, n)
	for i := range names {
		names[i] = numbered('P', 6, (first+uint64(i)*7919)%strangers) // 7919 is prime to strangers: no name twice
	}
	return names
}

// plantVelocity: 10 to 14 small payments within 50 minutes; the rule asks for 10 in an hour.
func plantVelocity(p *planner, account int) {
	n := int(p.random.between(10, 15))
	for i, t := range p.burst(50*minute, n) {
		p.add(account, t, true, p.units(20, 180), "online", "TRANSFER", p.friend(account, i%3))
	}
}

// plantVolume: 5 or 6 payments of 5,500 to 8,800 within 20 hours; the rule asks for 25,000 in 24 h.
func plantVolume(p *planner, account int) {
	n := int(p.random.between(5, 7))
	for i, t := range p.burst(20*hour, n) {
		p.add(account, t, true, p.units(5_500, 8_800), "online", "TRANSFER", p.friend(account, i%3))
	}
}

// plantStructuring: 3 to 5 cash deposits of 9,050 to 9,990 within 60 hours; the rule asks for 3 in [9,000, 10,000) in 72 h.
func plantStructuring(p *planner, account int) {
	n := int(p.random.between(3, 6))
	for _, t := range p.burst(60*hour, n) {
		p.add(account, t, false, p.units(9_050, 9_990), "branch", "CASH_IN", "")
	}
}

// plantFanOut: 5 to 8 payments to as many different persons within 7 hours; the rule asks for 5 in 8 h.
func plantFanOut(p *planner, account int) {
	n := int(p.random.between(5, 9))
	to := p.mules(n)
	for i, t := range p.burst(7*hour, n) {
		p.add(account, t, true, p.units(100, 900), "mobile", "TRANSFER", to[i])
	}
}

// plantDormant: after half a year of silence a payment of 1,500 to 8,500, then up to two more; the rule asks for 1,000 after 180 days.
func plantDormant(p *planner, account int) {
	n := int(p.random.between(1, 4))
	to := p.mules(n)
	for i, t := range p.burst(10*hour, n) {
		p.add(account, t, true, p.units(1_500, 8_500), "online", "TRANSFER", to[i])
	}
}
