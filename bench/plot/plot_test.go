package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

func aChart() *Chart {
	return &Chart{
		Title: "CPU per event & <scale>", X: "customers", Y: "µs per event", Places: []string{"10k", "100k", "1M"}, Goal: 5.2,
		Lines: []Line{
			{"monitor", []Point{{4, 3.5, 4.25}, {5, 4.5, 6}, {7, 6, 9}}},
			{"passthrough", []Point{{2, 2, 2}, {2, 1.5, 2.5}, {2, 1.9, 2.1}}},
		},
	}
}

func draw(t *testing.T, c *Chart) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestChart_PictureIsTheOneThatWasLookedAt: the golden file is to be looked at by whoever changes it.
func TestChart_PictureIsTheOneThatWasLookedAt(t *testing.T) {
	got, path := draw(t, aChart()), filepath.Join("testdata", "chart.svg")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || got != string(want) {
		t.Errorf("%v: the picture is another one; look at it and write it with -update", err)
	}
}

// element is one mark of a picture.
type element struct {
	name string
	attr map[string]string
	text string
}

// elements reads a picture as XML, which it must be.
func elements(t *testing.T, svg string) (all []element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, svg)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := element{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			all[max(0, len(all)-1)].text += strings.TrimSpace(string(x))
		}
	}
}

func (e element) number(t *testing.T, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(e.attr[name], 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", name, e, err)
	}
	return v
}

// TestChart_PointsStandWhereTheAxisSays: every dot's height, read off between the axis' own numbers, is its median.
func TestChart_PointsStandWhereTheAxisSays(t *testing.T) {
	c := aChart()
	all := elements(t, draw(t, c))
	heights := map[float64]float64{} // of the axis' numbers
	var dots []element
	for _, e := range all {
		if v, err := strconv.ParseFloat(e.text, 64); err == nil && e.attr["text-anchor"] == "end" {
			heights[v] = e.number(t, "y") - 4
		}
		if e.name == "circle" {
			dots = append(dots, e)
		}
	}
	zero, ok := heights[0]
	two, ok2 := heights[2]
	if !ok || !ok2 || len(dots) != 6 {
		t.Fatalf("axis %v, %d dots", heights, len(dots))
	}
	for i, d := range dots {
		p := c.Lines[i/3].Points[i%3]
		if got := (zero - d.number(t, "cy")) / (zero - two) * 2; math.Abs(got-p.Median) > 0.02 {
			t.Errorf("dot %d stands at %.3f, its median is %g", i, got, p.Median)
		}
		if i%3 > 0 && d.number(t, "cx") <= dots[i-1].number(t, "cx") {
			t.Errorf("dot %d stands left of the one before", i)
		}
	}
}

// TestChart_NothingLeavesThePicture, and every name, place and unit is in it, whatever it is made of.
func TestChart_NothingLeavesThePicture(t *testing.T) {
	for _, scale := range []float64{1e-6, 0.13, 1, 1.02, 7, 999, 1e6} {
		c := aChart()
		c.Goal *= scale
		for _, l := range c.Lines {
			for i := range l.Points {
				l.Points[i].Median, l.Points[i].Least, l.Points[i].Most = scale*l.Points[i].Median, scale*l.Points[i].Least, scale*l.Points[i].Most
			}
		}
		said := ""
		for _, e := range elements(t, draw(t, c)) {
			said += e.text + "\n"
			for name, limit := range map[string]float64{"x": width, "cx": width, "x1": width, "x2": width, "y": height, "cy": height, "y1": height, "y2": height} {
				if _, ok := e.attr[name]; ok {
					if v := e.number(t, name); v < 0 || v > limit {
						t.Errorf("scale %g: %s of %v is outside", scale, name, e)
					}
				}
			}
			if e.name == "circle" && e.number(t, "cy") < top {
				t.Errorf("scale %g: a dot stands above the axis: %v", scale, e)
			}
		}
		for _, want := range append(c.Places, c.Title, c.X, c.Y, "monitor", "passthrough", "goal "+number(c.Goal)) {
			if !strings.Contains(said, want) {
				t.Errorf("scale %g: %q is not said", scale, want)
			}
		}
	}
}

// TestTicks_AreRoundAndHoldTheLargestValue.
func TestTicks_AreRoundAndHoldTheLargestValue(t *testing.T) {
	for most := 1e-7; most < 1e9; most *= 1.037 {
		step, end := ticks(most)
		if n := end / step; end < most*(1-1e-9) || n < 3.5 || n > 8.5 {
			t.Errorf("%g: to %g in steps of %g", most, end, step)
		}
	}
	if step, end := ticks(8); step != 1 || end != 8 {
		t.Errorf("8: to %g in steps of %g", end, step)
	}
}

// TestChart_WhatCannotBeDrawnIsNamed, every mistake at once.
func TestChart_WhatCannotBeDrawnIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*Chart){
		"0 places":                           func(c *Chart) { c.Places = nil },
		"0 lines":                            func(c *Chart) { c.Lines = nil },
		"5 lines":                            func(c *Chart) { c.Lines = make([]Line, 5) },
		`line "monitor" has 2 points for 3`:  func(c *Chart) { c.Lines[0].Points = c.Lines[0].Points[:2] },
		"is no median between":               func(c *Chart) { c.Lines[1].Points[0].Least = 3 },
		"{NaN 3.5 4.25} is no median":        func(c *Chart) { c.Lines[0].Points[0].Median = math.NaN() },
		"{4 3.5 +Inf} is no median":          func(c *Chart) { c.Lines[0].Points[0].Most = math.Inf(1) },
		"{-1 -1 4.25} is no median between ": func(c *Chart) { c.Lines[0].Points[0] = Point{-1, -1, 4.25} },
		"goal -1":                            func(c *Chart) { c.Goal = -1 },
		"nothing above 0":                    func(c *Chart) { c.Goal, c.Lines = 0, []Line{{"zero", make([]Point, 3)}} },
	} {
		c := aChart()
		spoil(c)
		var b bytes.Buffer
		if err := c.Write(&b); err == nil || !strings.Contains(err.Error(), want) || b.Len() > 0 {
			t.Errorf("want %q, got %v and %d bytes", want, err, b.Len())
		}
	}
	if err := aChart().Write(broken{}); err == nil {
		t.Error("a writer's error is swallowed")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, fmt.Errorf("disk full") }
