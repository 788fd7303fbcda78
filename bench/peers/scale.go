package peers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/streamgauge/streamgauge/bench/plot"
)

// Scale is bench scale.
type Scale struct {
	Common
	Events int64  `help:"How many events a round has; with a million customers at least one each." default:"1000000"`
	SVG    string `name:"svg" help:"Folder for the plots, scale-customers.svg and scale-partitions.svg." type:"existingdir" default:"."`
}

// Run implements the command.
func (c Scale) Run(ctx context.Context) error { return c.print(c.measure(ctx)) }

// step is one place on a plot's x axis.
type step struct {
	text       string
	customers  int
	partitions int32
}

// steps are the places of both plots, in the axes' order. The second one's customers are the first one's middle.
func (c *Scale) steps() (customers, partitions []step) {
	few, some, many := 10_000, 100_000, 1_000_000
	names := []string{"10k", "100k", "1M"}
	if c.Quick {
		few, some, many, names = few/10, some/10, many/10, []string{"1k", "10k", "100k"}
	}
	for i, n := range []int{few, some, many} {
		customers = append(customers, step{names[i], n, c.Partitions})
	}
	for _, n := range []int32{1, 4, 12} {
		partitions = append(partitions, step{fmt.Sprint(n), some, n})
	}
	return customers, partitions
}

func (c Scale) measure(ctx context.Context) (*Found, error) {
	if err := errors.Join(within("events", c.Events, 10, maxEvents), c.check()); err != nil {
		return nil, err
	}
	if c.Quick {
		c.Events /= 10
	}
	found := c.found("scale", c.ground().String())
	customers, partitions := c.steps()
	found.Conditions = append(found.Conditions, fmt.Sprintf("%d events a round, whatever the customers: the more of them, the fewer events has each", c.Events))
	for i := range c.Rounds {
		for _, x := range customers {
			if err := c.pair(ctx, found, x.text+" customers", x); err != nil {
				return nil, err
			}
		}
		for _, x := range partitions {
			if err := c.pair(ctx, found, x.text+" partitions", x); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is through\n", i+1, c.Rounds)
	}
	for _, x := range []struct {
		file, axis string
		steps      []step
	}{{"scale-customers.svg", "customers", customers}, {"scale-partitions.svg", "partitions", partitions}} {
		path := filepath.Join(c.SVG, x.file)
		if err := write(path, chart(found, x.axis, x.steps)); err != nil {
			return nil, err
		}
		found.Notes = append(found.Notes, "plot: "+path)
	}
	return found, nil
}

// pair measures monitor and passthrough once at one place.
func (c *Scale) pair(ctx context.Context, found *Found, name string, at step) error {
	common := c.Common
	common.Partitions, common.Lanes = at.partitions, min(c.Lanes, int(at.partitions))
	s, err := Command{Common: common, Events: max(c.Events, int64(at.customers)), Customers: at.customers}.unhurried()
	if err != nil {
		return err
	}
	s.rounds = found.rounds()
	for _, peer := range pair {
		r, err := s.round(ctx, peer, "")
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if peer == asMonitor {
			s.like(&r)
		}
		found.add(name+", "+peer, "µs", 0, r.CPUMicros())
		fmt.Fprintf(os.Stderr, "%s, %s: %.2f µs of CPU an event\n", name, peer, r.CPUMicros())
	}
	return nil
}

// unhurried is series without the quick bench's cut: who counts in customers has made it already.
func (c Command) unhurried() (*series, error) {
	c.Quick = false
	return c.series()
}

// rounds is how many rounds the figures hold so far.
func (f *Found) rounds() (n int) {
	for i := range f.Figures {
		n += len(f.Figures[i].Values)
	}
	return n
}

// chart is the plot of the figures at these places.
func chart(f *Found, axis string, steps []step) *plot.Chart {
	c := &plot.Chart{Title: "CPU per event against the number of " + axis, X: axis, Y: "client CPU, µs per event"}
	for _, x := range steps {
		c.Places = append(c.Places, x.text)
	}
	for _, peer := range pair {
		l := plot.Line{Name: peer}
		for _, x := range steps {
			s := f.figure(x.text + " " + axis + ", " + peer).Spread()
			l.Points = append(l.Points, plot.Point{Median: s.Median, Least: s.Min, Most: s.Max})
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}

func write(path string, c *plot.Chart) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := c.Write(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}
