package generator

import (
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// LogConfig says what log to make. Shares count per 10,000 records; what they leave is on time. Workload is the one to start from.
type LogConfig struct {
	Seed       uint64
	Records    int64         // in all, of all partitions, control records included
	Partitions int32         // each begins with a control record
	Customers  int           // 2 to 100,000; one of them is hot, the others follow Zipf's law with exponent 1.2
	Hot        int           // percent of the events that belong to the hot one
	Start      int64         // ms since 1970 UTC; log time begins here
	Period     time.Duration // of log time that the records take, roughly: they come in bursts
	Retention  time.Duration // the engine's
	Currency   string        // the base currency
	Counted    []string      // states that count, at least one
	Uncounted  []string      // states that do not, at least one
	Control    schemas.Control

	OutOfOrder, Hours, EqualTime, Ahead, Redelivery, Repeat, Beyond, Conflict, Future, Unknown, Unsupported, Poison int // see LogClass
	StateChanges                                                                                                    int // of all classes from LogRetraction on
	Crowds                                                                                                          int // crowds of orphans: in all, not a share

	// Percent of the stateChanges of events that came without a state whose time lies before the event's.
	Backdated int
}

// Workload is the log of design/engine.md 4.12: 5 % duplicates within the retention, 0.1 % beyond, 10 % out of order by 30 s on average,
// 0.5 % by hours, 0.01 % poison; future stamps, conflicts, equal times, extreme amounts and stateChanges.
func Workload(start int64) LogConfig {
	return LogConfig{
		Seed: 1, Records: 100_000, Partitions: 12, Customers: 1_000, Hot: 20, Start: start, Period: 30 * 24 * time.Hour, Retention: 8 * 24 * time.Hour,
		Currency: "EUR", Counted: []string{"SUCCESSFUL", "SENT", "CREATED"}, Uncounted: []string{"DECLINED", "REFUNDED", "REVERSED"},
		Control:    schemas.Control{Version: 1},
		OutOfOrder: 1_000, Hours: 50, EqualTime: 200, Ahead: 10, Redelivery: 250, Repeat: 250, Beyond: 10, Conflict: 20, Future: 10, Unknown: 5,
		Unsupported: 2, Poison: 1, StateChanges: 500, Crowds: 1,
	}
}

const maxLogCustomers = 100_000 // their weights are roots of large integers: two seconds of them

// share is a part of 10,000 records and how one of them is made.
type share struct {
	name  string
	value int
	make  func(*Log) LogRecord
}

func (c *LogConfig) shares() []share {
	return []share{
		{"out_of_order", c.OutOfOrder, (*Log).outOfOrder}, {"hours", c.Hours, (*Log).hours}, {"equal_time", c.EqualTime, (*Log).equalTime},
		{"ahead", c.Ahead, (*Log).ahead}, {"redelivery", c.Redelivery, (*Log).redelivery}, {"repeat", c.Repeat, (*Log).repeat},
		{"beyond", c.Beyond, (*Log).beyond}, {"conflict", c.Conflict, (*Log).conflict}, {"future", c.Future, (*Log).future},
		{"unknown", c.Unknown, (*Log).unknown}, {"unsupported", c.Unsupported, (*Log).unsupported}, {"poison", c.Poison, (*Log).poison},
		{"state_changes", c.StateChanges, (*Log).stateChange},
	}
}

func (c *LogConfig) validate() error {
	var bad []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			bad = append(bad, fmt.Errorf(format, args...))
		}
	}
	check(c.Records >= int64(c.Partitions), "records %d: must be at least one per partition, %d", c.Records, c.Partitions)
	check(c.Partitions >= 1 && c.Partitions <= 1024, "partitions %d: must be 1 to 1024", c.Partitions)
	check(c.Customers >= 2 && c.Customers <= maxLogCustomers, "customers %d: must be 2 to %d", c.Customers, maxLogCustomers)
	check(c.Hot >= 0 && c.Hot <= 90, "hot %d: must be 0 to 90 percent", c.Hot)
	check(c.Retention >= time.Hour, "retention %s: must be at least 1h", c.Retention)
	check(c.Start > 2*c.Retention.Milliseconds() && c.Start < lastYear, "start %d ms: must lie between twice the retention behind 1970 and 2200", c.Start)
	check(c.Period >= time.Second && c.Period.Milliseconds() <= maxPeriod, "period %s: must be 1s to %s", c.Period, time.Duration(maxPeriod)*time.Millisecond)
	check(len(c.Currency) == 3, "currency %q: must be three letters such as EUR", c.Currency)
	check(len(c.Counted) > 0 && len(c.Uncounted) > 0, "counted %q, uncounted %q: at least one state each", c.Counted, c.Uncounted)
	check(c.Crowds >= 0 && int64(c.Crowds)*crowdSize*10 <= c.Records, "crowds %d: %d records each, a tenth of %d at most", c.Crowds, crowdSize, c.Records)
	check(c.Backdated >= 0 && c.Backdated <= 100, "backdated %d: must be 0 to 100 percent", c.Backdated)
	sum := 0
	for _, s := range c.shares() {
		check(s.value >= 0, "%s %d: must be 0 or more of 10,000 records", s.name, s.value)
		sum += s.value
	}
	check(sum <= tenThousand, "shares: %d together, 10000 at most", sum)
	if len(bad) > 0 {
		return fmt.Errorf("generator: %w", errors.Join(bad...))
	}
	return nil
}

// zipf are the cumulated weights 2³⁰ / k^1.2 of n customers, each rounded down exactly: the fifth root of 2¹⁵⁰ / k⁶.
func zipf(n int) []uint64 {
	weights := make([]uint64, n)
	five, six := big.NewInt(5), big.NewInt(6)
	last, sum := uint64(1)<<30, uint64(0)
	for i := range weights {
		limit := new(big.Int).Lsh(big.NewInt(1), 150)
		limit.Div(limit, new(big.Int).Exp(big.NewInt(int64(i+1)), six, nil))
		lo, hi := uint64(0), last
		for lo < hi {
			x := (lo + hi + 1) / 2
			if new(big.Int).Exp(new(big.Int).SetUint64(x), five, nil).Cmp(limit) <= 0 {
				lo = x
			} else {
				hi = x - 1
			}
		}
		last = lo
		sum += max(lo, 1)
		weights[i] = sum
	}
	return weights
}
