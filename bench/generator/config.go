package generator

import (
	"errors"
	"fmt"
	"time"
)

// Config says what to generate. Shares and rates count per 10,000 records; 0 switches them off. Default is a good start.
type Config struct {
	Seed      uint64
	Events    int64         // records in all; 0: endless
	Customers int           // 10 to 10,000,000; 0: 2,000
	Start     int64         // ms since 1970 UTC; event time at which ordinary behaviour begins. Dormant customers' history lies before it
	Period    time.Duration // event time that PerPeriod records take; 0: 90 days
	PerPeriod int64         // records per Period; 0: Events, or 200,000 without an end
	Now       int64         // ms; the log's time while the records are sent, for future stamps; 0: Start + Period
	Retention time.Duration // the engine's retention; 0: 31 days, the longest window of 30 days and a day's slack
	Currency  string        // the base currency; "": EUR

	Planted int // labelled instances of each of the five patterns
	Near    int // labelled near misses of each of the five patterns
	Hot     int // percent of ordinary events that belong to one single customer, 0 to 90

	Disorder Disorder
}

// Disorder is what producers and networks do to a clean stream. OutOfOrder to Foreign change ordinary events; Repeats to Poison are
// records of their own.
type Disorder struct {
	OutOfOrder int  // sent late by a delay like an exponential one of 30 s
	Late       int  // sent 1 to 20 hours late
	EqualTimes int  // carry the customer and the millisecond of the ordinary event before
	Declined   int  // of the events on topic transactions: came to nothing, by their status
	Foreign    int  // in another currency than the base currency
	Labelled   bool // OutOfOrder and Late hit planted and near events too; otherwise recall measures the rules alone

	Repeats         int // a recent record once more
	Conflicts       int // a recent id with another amount or time
	Future          int // stamped 30 days or more after Now
	BeyondRetention int // stamped Retention or more before the customer's newest event
	Poison          int // broken bytes
}

// Default is the demo's stream: 200,000 records of 2,000 customers over 90 days from start, with patterns and without disorder.
func Default(start int64) Config {
	return Config{Seed: 1, Events: 200_000, Start: start, Planted: 2, Near: 3}
}

// Faults is the disorder that the engine must take without a difference (design/engine.md 4.12, workloads).
func Faults() Disorder {
	return Disorder{
		OutOfOrder: 1000, Late: 50, EqualTimes: 100, Declined: 200, Foreign: 100,
		Repeats: 500, Conflicts: 10, Future: 10, BeyondRetention: 10, Poison: 1,
	}
}

// Bounds of a configuration.
const (
	minCustomers = 10                // the fewest that leave room for a pool of dormant ones
	maxCustomers = 10_000_000        // 64 B each
	maxHot       = 90                // percent; the rest must be able to carry patterns
	maxPeriod    = 3660 * day        // ten years; the clock adds up its hours
	minPlanting  = 6 * day           // the longest pattern, a near miss of STRUCT_BELOW, takes 5 days
	lastYear     = 7_258_118_400_000 // 2200-01-01, the end of event time (DESIGN, contract 6)
)

const (
	second = int64(time.Second / time.Millisecond)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
)

// fill puts the defaults in place of zeros.
func (c *Config) fill() {
	if c.Customers == 0 {
		c.Customers = 2000
	}
	if c.Period == 0 {
		c.Period = 90 * 24 * time.Hour
	}
	if c.PerPeriod == 0 {
		if c.PerPeriod = c.Events; c.PerPeriod == 0 {
			c.PerPeriod = 200_000
		}
	}
	if c.Now == 0 {
		c.Now = c.Start + c.period()
	}
	if c.Retention == 0 {
		c.Retention = 31 * 24 * time.Hour
	}
	if c.Currency == "" {
		c.Currency = "EUR"
	}
}

func (c *Config) period() int64 { return c.Period.Milliseconds() }

// Validate reports every mistake at once, by name, with its value and the way out.
func (c Config) Validate() error {
	c.fill()
	var bad []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Errorf(format, args...))
		}
	}
	check(c.Events >= 0, "events %d: must be 0 (endless) or more", c.Events)
	check(c.Customers >= minCustomers && c.Customers <= maxCustomers, "customers %d: must be %d to %d", c.Customers, minCustomers, maxCustomers)
	check(c.PerPeriod >= 1, "per_period %d: must be at least 1", c.PerPeriod)
	check(c.Period >= time.Second && c.period() <= maxPeriod, "period %s: must be 1s to %s", c.Period, time.Duration(maxPeriod)*time.Millisecond)
	check(c.Retention >= time.Hour && c.Retention.Milliseconds() <= maxPeriod, "retention %s: must be 1h to %s", c.Retention, time.Duration(maxPeriod)*time.Millisecond)
	earliest := dormantHistory + c.Retention.Milliseconds() + day
	check(c.Start >= earliest && c.Start < lastYear, "start %d ms: must be %d (dormant customers' history and the retention reach back) to %d (the year 2200)", c.Start, earliest, lastYear)
	check(c.Now >= c.Start, "now %d ms: must not be before start %d", c.Now, c.Start)
	check(c.Hot >= 0 && c.Hot <= maxHot, "hot %d: must be 0 to %d percent", c.Hot, maxHot)
	check(len(c.Currency) == 3, "currency %q: must be three letters such as EUR", c.Currency)
	for _, r := range c.rates() {
		check(r.value >= 0 && r.value <= tenThousand, "%s %d: must be 0 to 10000 of 10,000 records", r.name, r.value)
	}
	d := c.Disorder
	check(d.OutOfOrder+d.Late <= tenThousand, "disorder.out_of_order %d and disorder.late %d: must be 10000 together at most", d.OutOfOrder, d.Late)
	if len(bad) == 0 {
		bad = c.checkPlan(bad)
	}
	if len(bad) > 0 {
		return fmt.Errorf("generator: %w", errors.Join(bad...))
	}
	return nil
}

// checkPlan adds what does not fit together although every single value is fine.
func (c *Config) checkPlan(bad []error) []error {
	planted, near := c.perPeriod(c.Planted), c.perPeriod(c.Near)
	if planted+near > 0 && c.period() < minPlanting {
		bad = append(bad, fmt.Errorf("period %s: patterns take up to %s; lengthen it, or set planted and near to 0", c.Period, time.Duration(minPlanting)*time.Millisecond))
	}
	if pool := c.pool(); pool > c.Customers/2 {
		bad = append(bad, fmt.Errorf("customers %d: %d of them must be dormant for the patterns of a period, half at most; raise customers to %d or lower planted %d and near %d",
			c.Customers, pool, 2*pool, c.Planted, c.Near))
	}
	extra := planted*maxPlantedRecords + near*maxNearRecords + int64(c.pool())
	d := c.Disorder
	for _, r := range []int{d.Repeats, d.Conflicts, d.Future, d.BeyondRetention, d.Poison} {
		extra += c.perPeriod(r)
	}
	if extra > c.PerPeriod/2 {
		bad = append(bad, fmt.Errorf("planted %d, near %d and disorder's own records make up to %d of %d records a period: must be half at most", c.Planted, c.Near, extra, c.PerPeriod))
	}
	return bad
}

// rate is a share with its name.
type rate struct {
	name  string
	value int
}

func (c *Config) rates() []rate {
	d := c.Disorder
	return []rate{
		{"planted", c.Planted}, {"near", c.Near},
		{"disorder.out_of_order", d.OutOfOrder}, {"disorder.late", d.Late}, {"disorder.equal_times", d.EqualTimes},
		{"disorder.declined", d.Declined}, {"disorder.foreign", d.Foreign}, {"disorder.repeats", d.Repeats},
		{"disorder.conflicts", d.Conflicts}, {"disorder.future", d.Future}, {"disorder.beyond_retention", d.BeyondRetention},
		{"disorder.poison", d.Poison},
	}
}

// perPeriod is how many of a period's records a rate stands for.
func (c *Config) perPeriod(rate int) int64 {
	return c.PerPeriod/tenThousand*int64(rate) + c.PerPeriod%tenThousand*int64(rate)/tenThousand
}

// pool is how many customers are kept dormant: as many as one period wakes, and four times that, a tenth of all customers at most, where
// more periods follow, since a customer may wake again after half a year.
func (c *Config) pool() int {
	n := c.perPeriod(c.Planted) + c.perPeriod(c.Near)
	if c.Events == 0 || c.Events > c.PerPeriod {
		n = min(4*n, int64(c.Customers)/10)
	}
	return int(n)
}
