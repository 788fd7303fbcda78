package generator

import "time"

// amountCents are quantiles of an ordinary amount in cents for a customer of scale 100: median 30, mean about 62 currency units.
var amountCents = []int64{150, 420, 700, 950, 1200, 1500, 1900, 2400, 3000, 3700, 4600, 5800, 7500, 10_000, 14_500, 26_000, 90_000}

// largeCents are quantiles of an occasional large amount: an invoice, a car.
var largeCents = []int64{150_000, 220_000, 300_000, 400_000, 520_000, 640_000, 780_000, 900_000, 1_150_000}

// takingsCents are quantiles of a shop's cash deposit; some lie just below the reporting threshold of 10,000.
var takingsCents = []int64{120_000, 300_000, 480_000, 650_000, 780_000, 870_000, 940_000, 1_010_000, 1_300_000}

// amountScale are quantiles of the percentage by which customers of one segment spend more or less than others.
var amountScale = []int64{35, 55, 70, 82, 94, 108, 125, 150, 260}

// ordinary makes a normal event of a customer at time t.
func (g *Generator) ordinary(r random, account int, t int64) draft {
	a := &g.accounts.list[account]
	h := &segments[a.segment]
	d := draft{class: Ordinary, account: account, time: t, currency: g.cfg.Currency}
	if g.monthly(&d, a, t) {
		d.id = g.newID()
		return d
	}
	d.out = int(r.below(tenThousand)) < h.out
	d.cents = r.quantile(amountCents) * h.scale / 100 * int64(a.scale) / 100
	if r.oneIn(h.large) {
		d.cents = r.quantile(largeCents)
	}
	d.channel = r.pick(h.channels)
	switch {
	case d.channel == "atm":
		d.out, d.kind = true, "CASH_OUT"
		d.cents = max(d.cents/2000, 1) * 2000 // notes of 20
		d.country = home[a.country]
	case d.channel == "branch" && !d.out:
		d.kind = "CASH_IN"
		d.country = home[a.country]
		if a.cash {
			d.cents = r.quantile(takingsCents)
		}
	case d.channel == "pos": // a shop is no beneficiary: no counterparty
		d.out, d.kind = true, "CARD"
		d.country = g.countryOf(a, r.below(merchants))
	default:
		d.kind = "TRANSFER"
		d.counterparty, d.country = g.counterparty(r, account, d.out)
	}
	g.status(r, &d, a)
	d.id = g.newID()
	return d
}

// status gives an event the currency and the status that Disorder asks for.
func (g *Generator) status(r random, d *draft, a *account) {
	if r.oneIn(g.cfg.Disorder.Foreign) {
		d.currency = r.pick(foreign)
	}
	if a.flat {
		switch {
		case r.oneIn(g.cfg.Disorder.Declined):
			d.status = r.pick(declined)
		case r.below(100) < 60:
			d.status = r.pick(succeeded)
		}
	}
}

// run makes one payment of a run: several times a normal amount, to a supplier.
func (g *Generator) run(r random, account int, t int64) draft {
	a := &g.accounts.list[account]
	d := draft{class: Ordinary, account: account, time: t, id: g.newID(), out: true, channel: "file", kind: "TRANSFER", currency: g.cfg.Currency}
	d.cents = r.quantile(amountCents) * r.between(2, 12) * segments[a.segment].scale / 100 * int64(a.scale) / 100
	d.counterparty, d.country = g.favourite(account, r.below(segments[a.segment].friends))
	return d
}

// monthly makes the event the month's salary or rent where one is due.
func (g *Generator) monthly(d *draft, a *account, t int64) bool {
	y, m, dom := time.UnixMilli(t).UTC().Date()
	month := int32(y-1970)*12 + int32(m)
	own := uint64(d.account)
	switch {
	case a.payday > 0 && dom >= int(a.payday) && a.paid < month:
		a.paid = month
		d.cents, d.channel, d.kind = a.salary, "transfer", "SALARY"
		d.counterparty = numbered('E', 4, mix(g.cfg.Seed, own<<8)%employers)
	case a.rent > 0 && a.rented < month:
		a.rented = month
		d.out, d.cents, d.channel, d.kind = true, a.rent, "standing_order", "RENT"
		d.counterparty = numbered('L', 5, own)
	default:
		return false
	}
	d.country = home[a.country]
	return true
}

// counterparty names the other side of an event and its country: a favourite, another shop, or a private person.
func (g *Generator) counterparty(r random, account int, out bool) (name, country string) {
	a := &g.accounts.list[account]
	h := &segments[a.segment]
	switch {
	case !out && a.segment == business: // whoever pays an invoice
	case r.oneIn(h.loyal):
		return g.favourite(account, r.below(h.friends))
	case r.below(100) < 60:
		n := r.below(merchants)
		return numbered('M', 4, n), g.countryOf(a, n)
	}
	n := r.below(strangers)
	return numbered('P', 6, n), g.countryOf(a, n)
}

// favourite is the k-th favourite counterparty of a customer.
func (g *Generator) favourite(account int, k uint64) (name, country string) {
	n := mix(g.cfg.Seed, uint64(account)<<8|k+1) % merchants
	return numbered('M', 4, n), g.countryOf(&g.accounts.list[account], n)
}

// countryOf gives seven of eight counterparties a home country and fixes it for each of them.
func (g *Generator) countryOf(a *account, n uint64) string {
	h := mix(g.cfg.Seed^0xC0, n)
	if h%8 != 0 {
		return home[(uint64(a.country)+h>>8%3)%uint64(len(home))]
	}
	return abroad[h>>8%uint64(len(abroad))]
}
