package generator

// nearVelocity: 9 payments in 50 minutes, or 14 spread over two hours, of which no hour holds more than 9.
func nearVelocity(p *planner, account int) {
	span, n := 50*minute, 9
	if p.random.below(2) == 0 {
		span, n = 120*minute, 14
	}
	for i, t := range p.burst(span, n) {
		p.add(account, t, true, p.units(10, 120), "online", "TRANSFER", p.friend(account, i%2))
	}
}

// nearVolume: just under 25,000 in 20 hours, or five times 6,000 with a day and more between any three.
func nearVolume(p *planner, account int) {
	if p.random.below(2) == 0 {
		for i, t := range p.burst(20*hour, 3) {
			p.add(account, t, true, p.units(7_500, 8_300), "online", "TRANSFER", p.friend(account, i))
		}
		return
	}
	for i, t := range p.steps(20*hour, 5) {
		p.add(account, t, true, p.units(5_800, 6_200), "online", "TRANSFER", p.friend(account, i%3))
	}
}

// nearStructuring: two deposits in the band beside one on each of its edges, or three in the band with only two in any 72 hours.
func nearStructuring(p *planner, account int) {
	if p.random.below(2) == 0 {
		cents := []int64{p.units(9_100, 9_990), 10_000_00, p.units(9_100, 9_990), 8_999_99}
		for i, t := range p.burst(48*hour, 4) {
			p.add(account, t, false, cents[i], "branch", "CASH_IN", "")
		}
		return
	}
	for _, t := range p.steps(40*hour, 3) {
		p.add(account, t, false, p.units(9_100, 9_990), "branch", "CASH_IN", "")
	}
}

// nearFanOut: four persons paid twice in 7 hours, or five persons with only three of them in any 8 hours.
func nearFanOut(p *planner, account int) {
	if p.random.below(2) == 0 {
		to := p.mules(4)
		for i, t := range p.burst(7*hour, 8) {
			p.add(account, t, true, p.units(15, 90), "mobile", "TRANSFER", to[i%4])
		}
		return
	}
	to := p.mules(5)
	for i, t := range p.steps(4*hour, 5) {
		p.add(account, t, true, p.units(15, 90), "mobile", "TRANSFER", to[i])
	}
}

// nearDormant: a customer who comes back with less than 1,000, or with a little first and much soon after.
func nearDormant(p *planner, account int) {
	first := p.units(20, 980)
	times := p.burst(30*hour, 2)
	p.add(account, times[0], true, first, "pos", "CARD", p.friend(account, 0))
	if p.random.below(2) == 0 {
		p.add(account, times[1], true, p.units(1_500, 4_000), "online", "TRANSFER", p.friend(account, 1))
	}
}
