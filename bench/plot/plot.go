// Package plot draws the one kind of chart that the bench's results need: a few lines over a few measured places, each point with its
// median and its range, as an SVG that stands in a Markdown file on any background. It knows nothing of what is measured.
package plot

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// Chart is one picture. Places stand side by side at equal distances, whatever their values: 10k, 100k and 1M are three steps.
type Chart struct {
	Title  string
	X, Y   string   // what the axes say, with units
	Places []string // along x, at least one
	Lines  []Line   // at least one, at most as many as there are colours
	Goal   float64  // a dashed line; 0: none
}

// Line is one measured thing at every place.
type Line struct {
	Name   string
	Points []Point // one per place
}

// Point is a figure of several repetitions, in the unit of the chart's y.
type Point struct{ Median, Least, Most float64 }

// The picture's measures in pixels. Colours are readable on white and on black.
const (
	width, height            = 720, 400
	left, right, top, bottom = 64, 24, 48, 76
)

var colours = []string{"#2f7ed8", "#d9822b", "#3a9a5b", "#a05195"}

// Write writes the chart. It fails on one that cannot be drawn, naming why, and on what w fails on.
func (c *Chart) Write(w io.Writer) error {
	if err := c.check(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="13" fill="#808080">`+"\n", width, height, width, height)
	text(&b, left, 24, "start", 16, c.Title)
	step, end := ticks(c.top())
	y := func(v float64) float64 { return float64(height-bottom) - v/end*float64(height-top-bottom) }
	for v := 0.0; v <= end+step/2; v += step {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#808080" stroke-opacity="0.3"/>`+"\n", left, width-right, y(v), y(v))
		text(&b, left-8, y(v)+4, "end", 13, number(v))
	}
	fmt.Fprintf(&b, `<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+height-bottom)/2, escape(c.Y))
	text(&b, (left+width-right)/2, height-bottom+42, "middle", 13, c.X)
	for i, p := range c.Places {
		text(&b, c.x(i), height-bottom+20, "middle", 13, p)
	}
	if c.Goal > 0 {
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#c0392b" stroke-dasharray="6 4"/>`+"\n", left, width-right, y(c.Goal), y(c.Goal))
		text(&b, width-right, y(c.Goal)-6, "end", 13, "goal "+number(c.Goal))
	}
	for i := range c.Lines {
		c.line(&b, i, y)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// line draws one line, its points with their ranges, and its name in the legend.
func (c *Chart) line(b *strings.Builder, i int, y func(float64) float64) {
	l, colour := &c.Lines[i], colours[i]
	var path []string
	for j, p := range l.Points {
		x := c.x(j)
		path = append(path, fmt.Sprintf("%.1f,%.1f", x, y(p.Median)))
		fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1fM%.1f %.1fh10M%.1f %.1fh10" stroke="%s" fill="none"/>`+"\n", x, y(p.Least), y(p.Most), x-5, y(p.Least), x-5, y(p.Most), colour)
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", x, y(p.Median), colour)
		text(b, x+9, y(p.Median)-7, "start", 12, number(p.Median))
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, " "), colour)
	at := left + i*(width-left-right)/len(c.Lines)
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/>`+"\n", at, height-22, colour)
	text(b, float64(at+18), height-12, "start", 13, l.Name)
}

// x is where a place stands.
func (c *Chart) x(i int) float64 {
	return left + (float64(i)+0.5)*float64(width-left-right)/float64(len(c.Places))
}

// top is the largest value that must be seen.
func (c *Chart) top() float64 {
	most := c.Goal
	for _, l := range c.Lines {
		for _, p := range l.Points {
			most = max(most, p.Most)
		}
	}
	return most
}

func (c *Chart) check() error {
	var bad []error
	if len(c.Places) == 0 || len(c.Lines) == 0 || len(c.Lines) > len(colours) {
		bad = append(bad, fmt.Errorf("chart %q: %d places and %d lines; it takes one of each at the least and %d lines at the most", c.Title, len(c.Places), len(c.Lines), len(colours)))
	}
	for _, l := range c.Lines {
		if len(l.Points) != len(c.Places) {
			bad = append(bad, fmt.Errorf("chart %q: line %q has %d points for %d places", c.Title, l.Name, len(l.Points), len(c.Places)))
		}
		for _, p := range l.Points {
			if !(0 <= p.Least && p.Least <= p.Median && p.Median <= p.Most && p.Most <= math.MaxFloat32) { // also of what is no number
				bad = append(bad, fmt.Errorf("chart %q: line %q: %v is no median between its least and most, from 0", c.Title, l.Name, p))
			}
		}
	}
	if !(c.Goal >= 0 && c.Goal <= math.MaxFloat32) || c.top() == 0 {
		bad = append(bad, fmt.Errorf("chart %q: nothing above 0 to draw, or goal %v is none", c.Title, c.Goal))
	}
	return errors.Join(bad...)
}

// ticks gives a y axis from 0 to end in 4 to 8 steps of 1, 2, 2.5 or 5 times a power of ten, with most at or below end.
func ticks(most float64) (step, end float64) {
	ten := math.Pow(10, math.Floor(math.Log10(most))-1)
	for _, f := range []float64{1, 2, 2.5, 5, 10, 20, 25, 50} {
		step = f * ten
		if end = step * math.Ceil(most/step-1e-9); end/step <= 8.5 {
			return step, end
		}
	}
	panic(fmt.Sprintf("BUG: no axis to %g", most))
}

// number is short: three digits that mean something.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && v < 1e6:
		return fmt.Sprintf("%.0f", v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func text(b *strings.Builder, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, escape(s))
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace
