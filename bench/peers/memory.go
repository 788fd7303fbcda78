package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// Memory is bench memory.
type Memory struct {
	Common
	Events int64 `help:"How many events are retained in the end." default:"600000"`
}

// The design's goals, bytes per retained event at 100 events a customer.
const (
	goalCache = 64
	goalStore = 40
)

// Run implements the command.
func (c Memory) Run(ctx context.Context) error { return c.print(c.measure(ctx)) }

func (c Memory) measure(ctx context.Context) (*Found, error) {
	if err := errors.Join(within("events", c.Events, 4, maxEvents), c.check()); err != nil {
		return nil, err
	}
	c.Events = c.load(c.Events)
	found := c.found("memory", c.ground().String())
	few := max(c.Events/2, 1) // enough to have filled every buffer once
	found.Conditions = append(found.Conditions, fmt.Sprintf("%d and %d events in turn, %d a customer; the heap is what a collection leaves, Redis' memory is its used_memory", few, c.Events, eventsPerCustomer))
	found.Notes = append(found.Notes, "A figure is the difference of two rounds by the difference of their events: what a process holds for none of them (buffers, clients) is in neither.")
	covers, err := c.retained()
	if err != nil {
		return nil, err
	}
	number := 0
	for i := range c.Rounds {
		var small, large held
		for _, x := range []struct {
			events int64
			into   *held
		}{{few, &small}, {c.Events, &large}} {
			number++
			h, err := c.round(ctx, number, x.events, covers)
			if err != nil {
				return nil, err
			}
			*x.into = h
		}
		more := float64(c.Events - few)
		found.add("in the cache, per retained event", "B", goalCache, float64(large.heap-small.heap)/more)
		if large.redis > 0 {
			found.add("in Redis, per retained event", "B", goalStore, float64(large.redis-small.redis)/more)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: %.1f B an event in the cache, %.1f B in Redis\n", i+1, c.Rounds, float64(large.heap-small.heap)/more, float64(large.redis-small.redis)/more)
	}
	if found.figure("in Redis, per retained event") == nil {
		found.Notes = append(found.Notes, "The embedded Redis does not say what it holds: give --kafka and --redis (make bench-servers) for its figure.")
	}
	return found, nil
}

// retained is a period of event time whose events are all still retained at its end: a figure per event must not count the forgotten.
func (c *Common) retained() (time.Duration, error) {
	files, err := rules(c.Rules)
	if err != nil {
		return 0, err
	}
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: files})
	if err != nil {
		return 0, fmt.Errorf("rules:\n%w", err)
	}
	retention := time.Duration(set.Plan.Retention) * time.Millisecond
	if covers := retention / 2; covers >= leastPeriod {
		return min(covers, period), nil
	}
	return 0, fmt.Errorf("the rules retain events for %s: a workload of at least %s must fit into half of it; give rules with a longer window", retention, leastPeriod)
}

// leastPeriod is the shortest in which the generator plants its patterns.
const leastPeriod = 7 * 24 * time.Hour

// held is what is live when a round's events are all taken in and flushed, less what was before they came; bytes.
type held struct{ heap, redis int64 }

func (c *Memory) round(ctx context.Context, number int, events int64, covers time.Duration) (h held, err error) {
	s, err := Command{Common: c.Common, Events: events, Period: covers}.unhurried()
	if err != nil {
		return h, err
	}
	s.rounds = number - 1
	var t *tap
	s.detour = func(at *site) (func(), error) {
		if t, err = newTap(at.redis); err != nil {
			return nil, err
		}
		at.redis = t.address()
		return t.close, nil
	}
	look := func(ctx context.Context, client *process) (now held, err error) {
		a, err := client.ask(ctx, heap)
		if err != nil {
			return now, err
		}
		now.heap = a.Heap
		now.redis, err = usedMemory(ctx, t.redis)
		return now, err
	}
	var before held
	s.settled = func(ctx context.Context, client *process, _ site) (err error) {
		before, err = look(ctx, client)
		return err
	}
	s.done = func(ctx context.Context, client *process, _ site, _ Round) error {
		if _, err := t.quiet(ctx); err != nil {
			return err
		}
		after, err := look(ctx, client)
		h = held{heap: after.heap - before.heap, redis: after.redis - before.redis}
		return err
	}
	_, err = s.round(ctx, asMonitor, "")
	return h, err
}
