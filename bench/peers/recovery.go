package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/topology"
)

// Recovery is bench recovery.
type Recovery struct {
	Common
	Rate int `help:"Events per second while it happens." default:"2000"`
}

// The design's goals.
const (
	goalKill = 1   // s beyond the session timeout
	goalMove = 300 // ms
)

// When something happens to a running flow, and how long the flow goes on at the most of what the move may take.
const (
	actAfter   = 3 * time.Second
	moveWithin = 6 * time.Second
)

// Run implements the command.
func (c Recovery) Run(ctx context.Context) error { return c.print(c.measure(ctx)) }

func (c Recovery) measure(ctx context.Context) (*Found, error) {
	if err := errors.Join(within("rate", int64(c.Rate), 1, maxRate), c.check()); err != nil {
		return nil, err
	}
	if c.Quick {
		c.Rate = max(c.Rate/10, 1)
	}
	files, err := rules(c.Rules)
	if err != nil {
		return nil, err
	}
	timeout, err := c.sessionTimeout()
	if err != nil {
		return nil, err
	}
	found := c.found("recovery", c.ground().String())
	found.Conditions = append(found.Conditions, fmt.Sprintf("two processes share the partitions, open load of %d events/s; session timeout %s", c.Rate, timeout))
	found.Notes = append(found.Notes, "Seen by a read_committed consumer of the results: a partition goes on with the first result of an event that was due after the fact;",
		"it stands still for as long as no result of it comes. The slowest partition counts.")
	number := 0
	for i := range c.Rounds {
		for _, x := range incidents(timeout) {
			number++
			v, err := c.one(ctx, &stand{common: &c.Common, ground: c.ground(), files: files, number: number, peer: asMonitor}, x)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", x.name, err)
			}
			found.add(x.name, x.unit, x.goal, v)
			fmt.Fprintf(os.Stderr, "round %d of %d, %s: %.3f %s\n", i+1, c.Rounds, x.name, v, x.unit)
		}
	}
	return found, nil
}

// incident is what happens to a running stand, and how its figure is read off the arrivals.
type incident struct {
	name, unit string
	goal       float64
	workers    int
	lasts      time.Duration // from the fact to the end of the load
	act        func(*stand) error
	read       func([]arrival, time.Duration) float64
}

// incidents are what is measured, in turn.
func incidents(timeout time.Duration) []incident {
	millis := func(a []arrival, at time.Duration) float64 { return standstill(a, at).Seconds() * 1000 }
	return []incident{
		{"kill -9, beyond the session timeout", "s", goalKill, 2, timeout + moveWithin, kill, func(a []arrival, at time.Duration) float64 { return (resumed(a, at) - timeout).Seconds() }},
		{"planned move: a process joins", "ms", goalMove, 1, moveWithin, join, millis},
		{"planned move: a process stops for good", "ms", goalMove, 2, timeout + moveWithin, leave, millis},
		{"a process stops and comes again", "ms", 0, 2, timeout + moveWithin, restart, millis},
	}
}

func kill(s *stand) error {
	p := s.workers[0]
	s.workers = s.workers[1:]
	err := p.self.Kill()
	<-p.gone
	return err
}

func leave(s *stand) error {
	p := s.workers[0]
	s.workers = s.workers[1:]
	return p.stop()
}

func join(s *stand) error { return s.start(len(s.workers)) }

func restart(s *stand) error {
	if err := leave(s); err != nil {
		return err
	}
	return s.start(0)
}

// one lets one incident happen and returns its figure.
func (c *Recovery) one(ctx context.Context, s *stand, x incident) (v float64, err error) {
	if err := s.open(ctx, x.workers); err != nil {
		return 0, errors.Join(err, s.close(ctx))
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	f, err := c.flow(ctx, s, c.Rate, actAfter+x.lasts)
	if err != nil {
		return 0, err
	}
	var at time.Duration
	arrivals, err := f.run(ctx, func(ctx context.Context, f *flow) error {
		select {
		case <-time.After(actAfter - time.Since(f.began)):
		case <-ctx.Done():
			return nil
		}
		at = time.Since(f.began)
		return x.act(s)
	})
	if err != nil {
		return 0, err
	}
	return x.read(arrivals, at), nil
}

// resumed is how long after the fact the last partition went on: with its first result of an event due after it.
func resumed(arrivals []arrival, fact time.Duration) (longest time.Duration) {
	first := map[int32]time.Duration{}
	for _, a := range arrivals {
		if at, ok := first[a.partition]; a.due >= fact && (!ok || a.at < at) {
			first[a.partition] = a.at
		}
	}
	for _, at := range first {
		longest = max(longest, at-fact)
	}
	return longest
}

// standstill is the longest time after the fact for which a partition that had events had no result: between an event's due time, or
// the result before it where that came later, and its result.
func standstill(arrivals []arrival, fact time.Duration) (longest time.Duration) {
	last := map[int32]time.Duration{}
	for _, a := range arrivals { // by due time, which is the order within a partition, too
		if a.at >= fact {
			longest = max(longest, a.at-max(a.due, last[a.partition], fact))
		}
		last[a.partition] = max(last[a.partition], a.at)
	}
	return longest
}

// sessionTimeout is what the product's lanes ask for.
func (c *Common) sessionTimeout() (time.Duration, error) {
	env := &pipeline.Env{Config: c.config(site{brokers: []string{"127.0.0.1:1"}}, 1), Log: slog.New(slog.DiscardHandler)}
	topo := topology.Monitoring(&env.Config)
	cl, err := kgo.NewClient(pipeline.SessionOpts(env, topo.Stage(topology.StageMonitor), "bench")...)
	if err != nil {
		return 0, err
	}
	defer cl.Close()
	timeout, ok := cl.OptValue(kgo.SessionTimeout).(time.Duration)
	if !ok || timeout <= 0 {
		return 0, errors.New("BUG: the client does not say its session timeout")
	}
	return timeout, nil
}
