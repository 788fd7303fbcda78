package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/streamgauge/streamgauge/schemas"
)

// Latency is bench latency.
type Latency struct {
	Common
	Rate    int           `help:"Events per second of the end-to-end figures." default:"2000"`
	Half    int           `help:"Events per second of the added latency; 0: half of what the monitor reaches here, measured first." default:"0"`
	Measure time.Duration `help:"How long each load is measured." default:"10s"`
	Warm    time.Duration `help:"How long it runs before that." default:"3s"`
}

// The design's goals, ms.
const (
	goalAddedP50, goalAddedP99       = 1, 5
	goalEndP50, goalEndP999          = 12, 50
	goalBothStagesP50                = 16
	quickMeasure, quickWarm          = 2 * time.Second, time.Second
	probeEvents                int64 = 200_000 // of the round that says what the monitor reaches
)

// Run implements the command.
func (c Latency) Run(ctx context.Context) error { return c.print(c.measure(ctx)) }

func (c Latency) measure(ctx context.Context) (*Found, error) {
	if err := errors.Join(within("rate", int64(c.Rate), 1, maxRate), within("half", int64(c.Half), 0, maxRate), c.check(),
		within("measure", c.Measure.Milliseconds(), 100, 600_000), within("warm", c.Warm.Milliseconds(), 0, 600_000)); err != nil {
		return nil, err
	}
	if c.Quick {
		c.Measure, c.Warm = quickMeasure, quickWarm
	}
	files, err := rules(c.Rules)
	if err != nil {
		return nil, err
	}
	probe, err := c.probe(ctx)
	if err != nil {
		return nil, err
	}
	if c.Half == 0 {
		c.Half = int(probe.EventsPerSecond() / 2)
	}
	found := c.found("latency", c.ground().String())
	found.Conditions = append(found.Conditions,
		fmt.Sprintf("open load from outside, producer's due time to read_committed consumer, measured for %s after %s, %d repetitions in turn", c.Measure, c.Warm, c.Rounds),
		fmt.Sprintf("end to end at %d events/s; added at half load: %d events/s, of %.0f that the monitor reaches here", c.Rate, c.Half, probe.EventsPerSecond()))
	found.Notes = append(found.Notes, "How late the load itself was is in every figure: where its 99th percentile is near a goal, the machine was too busy to say.")
	number, lateness := 1, []float64(nil)
	for i := range c.Rounds {
		for _, x := range c.runs() {
			number++
			ms, late, err := c.one(ctx, &stand{common: &c.Common, ground: c.ground(), files: files, number: number, peer: x.peer, stages: x.stages, likes: *probe}, x.rate)
			if err != nil {
				return nil, fmt.Errorf("%s at %d events/s: %w", x.name, x.rate, err)
			}
			x.record(found, ms)
			lateness = append(lateness, percentile(late, 99))
			fmt.Fprintf(os.Stderr, "round %d of %d, %-24s %6d events/s, p50 %7.2f ms, p99 %7.2f ms, p99.9 %7.2f ms\n", i+1, c.Rounds, x.name, x.rate, percentile(ms, 50), percentile(ms, 99), percentile(ms, 99.9))
		}
		added(found)
	}
	found.Figures = append(found.Figures, Figure{Name: "the load's own lateness, p99, of every load", Unit: "ms", Values: lateness})
	return found, nil
}

// loaded is one of the loads of a repetition.
type loaded struct {
	name   string // as figures call it
	peer   string
	stages []string
	rate   int
	goals  map[float64]float64 // by percentile
}

const (
	halfPassthrough = "passthrough at half load"
	halfMonitor     = "monitor at half load"
)

func (c *Latency) runs() []loaded {
	return []loaded{
		{name: halfPassthrough, peer: asPassthrough, rate: c.Half},
		{name: halfMonitor, peer: asMonitor, rate: c.Half},
		{name: "end to end, passthrough", peer: asPassthrough, rate: c.Rate},
		{name: "end to end, monitor", peer: asMonitor, rate: c.Rate, goals: map[float64]float64{50: goalEndP50, 99.9: goalEndP999}},
		{name: "end to end, both stages", peer: asMonitor, stages: both, rate: c.Rate, goals: map[float64]float64{50: goalBothStagesP50}},
	}
}

func (x *loaded) record(f *Found, ms []float64) {
	for _, p := range []float64{50, 99, 99.9} {
		f.add(fmt.Sprintf("%s, p%g", x.name, p), "ms", x.goals[p], percentile(ms, p))
	}
}

// added says what the last repetition's monitor had more than its passthrough.
func added(f *Found) {
	last := func(name string) float64 {
		v := f.figure(name).Values
		return v[len(v)-1]
	}
	add := func(p string, goal float64) {
		f.add("added by the monitor at half load, "+p, "ms", goal, last(halfMonitor+", "+p)-last(halfPassthrough+", "+p))
	}
	add("p50", goalAddedP50)
	add("p99", goalAddedP99)
}

// probe is one round of the monitor, as fast as it goes: it says what it reaches here and how large its records are.
func (c *Latency) probe(ctx context.Context) (*Round, error) {
	events := probeEvents
	if c.Half > 0 { // only the sizes are wanted
		events /= 20
	}
	s, err := Command{Common: c.Common, Events: events}.series()
	if err != nil {
		return nil, err
	}
	r, err := s.round(ctx, asMonitor, "")
	return &r, err
}

// one runs one load on a fresh stand and returns its latencies and the load's lateness, ms, sorted.
func (c *Latency) one(ctx context.Context, s *stand, rate int) (ms, late []float64, err error) {
	if err := s.open(ctx, 1); err != nil {
		return nil, nil, errors.Join(err, s.close(ctx))
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	f, err := c.flow(ctx, s, rate, c.Warm+c.Measure)
	if err != nil {
		return nil, nil, err
	}
	arrivals, err := f.run(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, a := range arrivals {
		if a.due >= c.Warm {
			ms = append(ms, a.millis())
		}
	}
	slices.Sort(ms)
	return ms, f.lateness(), nil
}

// flow prepares an open load on the stand.
func (c *Common) flow(ctx context.Context, s *stand, rate int, length time.Duration) (*flow, error) {
	events := int64(float64(rate) * length.Seconds())
	f := &flow{brokers: s.at.brokers, rate: rate}
	var err error
	traffic := (&Command{Events: events}).traffic(time.Now().UnixMilli())
	f.records, f.ids, err = load(ctx, s.chain(), traffic, len(s.stages) > 0)
	if s.peer == asPassthrough {
		f.ids = nil
	}
	return f, err
}

// found begins a bench's report.
func (c *Common) found(bench, servers string) *Found {
	commit := c.Commit
	if commit == "" {
		commit = builtFrom()
	}
	names := "five rules over twenty windows"
	if c.Rules != "" {
		names = "rules of " + c.Rules
	}
	return &Found{Bench: bench, Commit: commit, Machine: thisMachine(), Servers: servers,
		Conditions: []string{fmt.Sprintf("%s, %d lanes on %d partitions of topic %s", names, c.Lanes, c.Partitions, schemas.Events.Name)}}
}

// print writes the report as the flags say.
func (c *Common) print(f *Found, err error) error {
	if err != nil {
		return err
	}
	if c.JSON {
		return f.WriteJSON(os.Stdout)
	}
	return f.WriteText(os.Stdout)
}
