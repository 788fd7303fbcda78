package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

// Window is bench redis.
type Window struct {
	Common
	Events int64 `help:"How many events a round has." default:"200000"`
}

// The design's goals.
const (
	goalRedisBytes = 0.5  // of the event's wire size, at crowded or more events per customer and flush
	goalRedisKeys  = 1.05 // per event, at any density
	crowded        = 10
)

// Run implements the command.
func (c Window) Run(ctx context.Context) error { return c.print(c.measure(ctx)) }

func (c Window) measure(ctx context.Context) (*Found, error) {
	if err := errors.Join(within("events", c.Events, 1, maxEvents), c.check()); err != nil {
		return nil, err
	}
	c.Events = c.load(c.Events)
	found := c.found("redis", c.ground().String())
	found.Conditions = append(found.Conditions, fmt.Sprintf("%d events a round; a proxy before Redis counts the requests of flushes, names, values and protocol", c.Events))
	found.Notes = append(found.Notes, fmt.Sprintf("The bytes' goal is for %d events per customer and flush or more: see how many there were. An event's wire size is its record's key and value.", crowded),
		"The keys' goal is for any density: it is measured with as many customers as events, the hardest one; see how many events of one a flush held.")
	number := 0
	for i := range c.Rounds {
		for _, x := range []struct {
			name      string
			customers int
			bytes     float64
			keys      float64
		}{
			{"crowded", fewestCustomers, goalRedisBytes, 0},
			{"sparse", max(fewestCustomers, int(c.Events)), 0, goalRedisKeys},
		} {
			number++
			w, err := c.round(ctx, number, x.customers)
			if err != nil {
				return nil, err
			}
			found.add(x.name+": bytes written by the event's wire size", "×", x.bytes, float64(w.writeBytes)/float64(w.wire))
			found.add(x.name+": bytes written per event", "B", 0, float64(w.writeBytes)/float64(c.Events))
			found.add(x.name+": keys written per event", "keys", x.keys, float64(w.keys)/float64(c.Events))
			found.add(x.name+": events per customer and flush", "events", 0, float64(c.Events)/float64(max(w.keys, 1)))
			fmt.Fprintf(os.Stderr, "round %d of %d, %s: %.0f B and %.3f keys an event\n", i+1, c.Rounds, x.name, float64(w.writeBytes)/float64(c.Events), float64(w.keys)/float64(c.Events))
		}
	}
	return found, nil
}

// written is what one round's events made the monitor write.
type written struct {
	counts
	wire int64 // bytes of the events' keys and values
}

func (c *Window) round(ctx context.Context, number, customers int) (w written, err error) {
	s, err := Command{Common: c.Common, Events: c.Events, Customers: customers}.unhurried()
	if err != nil {
		return w, err
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
	var before counts
	s.settled = func(context.Context, *process, site) (err error) {
		before, err = t.sofar()
		return err
	}
	s.done = func(ctx context.Context, _ *process, _ site, r Round) error {
		after, err := t.quiet(ctx)
		w = written{counts: after.minus(before), wire: r.EventBytes + r.KeyBytes}
		return err
	}
	_, err = s.round(ctx, asMonitor, "")
	return w, err
}

// quietFor is how long no flush may come until all are through: eight times the product's flush interval, for busy machines.
const quietFor = 2 * time.Second

// quiet waits until flushes have ceased and returns what was asked by then.
func (t *tap) quiet(ctx context.Context) (counts, error) {
	last, since := counts{}, time.Now()
	for {
		now, err := t.sofar()
		if err != nil {
			return now, err
		}
		if now.writes != last.writes {
			last, since = now, time.Now()
		}
		if time.Since(since) > quietFor {
			return now, nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

// usedMemory is what Redis holds, overheads included, bytes; 0 where it does not say (the embedded one).
func usedMemory(ctx context.Context, address string) (int64, error) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer client.Close()
	info := client.InfoMap(ctx, "memory")
	if info.Err() != nil {
		return 0, nil
	}
	var n int64
	if _, err := fmt.Sscan(info.Item("Memory", "used_memory"), &n); err != nil {
		return 0, nil
	}
	return n, nil
}
