package peers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Figure is one measured thing, beside the goal that the design sets for it.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Goal   float64   `json:"goal,omitempty"` // the median must not be above it; 0: none is set, the figure explains another one
	Values []float64 `json:"values"`         // one per repetition, in their order
}

// Spread is of all repetitions; there is at least one.
func (f *Figure) Spread() Spread { return spread(f.Values) }

// verdict is met, not met, or nothing where there is no goal.
func (f *Figure) verdict() string {
	switch {
	case f.Goal == 0:
		return ""
	case f.Spread().Median <= f.Goal: // a median that is no number has not met it
		return "met"
	}
	return "not met"
}

// Found is what one named bench found: its figures, and under which conditions.
type Found struct {
	Bench      string   `json:"bench"`
	Commit     string   `json:"commit"`
	Machine    Machine  `json:"machine"`
	Servers    string   `json:"servers"`
	Conditions []string `json:"conditions"` // the workload in words, with its numbers
	Figures    []Figure `json:"figures"`
	Notes      []string `json:"notes"` // what a reader must know to believe the figures
}

// add appends a repetition's value to the figure of this name, which is made at its first.
func (f *Found) add(name, unit string, goal, value float64) {
	i := slices.IndexFunc(f.Figures, func(x Figure) bool { return x.Name == name })
	if i < 0 {
		i = len(f.Figures)
		f.Figures = append(f.Figures, Figure{Name: name, Unit: unit, Goal: goal})
	}
	f.Figures[i].Values = append(f.Figures[i].Values, value)
}

// figure is the figure of this name, nil if there is none.
func (f *Found) figure(name string) *Figure {
	for i := range f.Figures {
		if f.Figures[i].Name == name {
			return &f.Figures[i]
		}
	}
	return nil
}

// WriteJSON writes everything as one indented object.
func (f *Found) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(f)
}

// WriteText writes what a person wants to read.
func (f *Found) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nbench %s\n", f.Bench)
	for _, s := range f.Conditions {
		fmt.Fprintf(&b, "%s\n", s)
	}
	fmt.Fprintf(&b, "servers: %s\nmachine: %s\ncommit:  %s\n\n", f.Servers, f.Machine, cmp.Or(f.Commit, "unknown"))
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "figure\tmedian (least – most)\t\tof\tgoal\t")
	for i := range f.Figures {
		x, goal := &f.Figures[i], ""
		if x.Goal != 0 {
			goal = "≤ " + short(x.Goal)
		}
		s := x.Spread()
		fmt.Fprintf(t, "%s\t%s (%s – %s)\t%s\t%d\t%s\t%s\n", x.Name, short(s.Median), short(s.Min), short(s.Max), x.Unit, len(x.Values), goal, x.verdict())
	}
	t.Flush()
	if len(f.Notes) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(f.Notes, "\n"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// short is a number with three digits that mean something, and never with an exponent.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// percentile is the least of the sorted values that p percent of all are at or below (nearest rank: a value that was measured, not one
// between two). There is at least one value; p is above 0 and at most 100.
func percentile(sorted []float64, p float64) float64 {
	rank := int(math.Ceil(p / 100 * float64(len(sorted)) * (1 - 1e-12))) // the product may come out a hair above the whole number that it is
	return sorted[max(rank, 1)-1]
}
