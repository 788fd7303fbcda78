package peers

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// aFound has figures that can be worked out by head: one met, one missed by a hair, one met exactly, one without a goal.
func aFound() *Found {
	f := &Found{
		Bench: "example", Commit: "0123456789ab", Machine: aReport().Machine, Servers: "embedded",
		Conditions: []string{"1000 events of 10 customers"}, Notes: []string{"A note."},
	}
	for _, v := range []float64{3, 1, 2, 5, 4} {
		f.add("met with room", "ms", 3.5, v)
		f.add("missed by its median", "×", 2.999, v)
		f.add("met at the edge", "keys", 3, v)
		f.add("without a goal", "events/s", 0, 1000*v)
	}
	return f
}

func TestFound_SaysEachFigureItsGoalAndWhetherItIsMet(t *testing.T) {
	var text bytes.Buffer
	if err := aFound().WriteText(&text); err != nil {
		t.Fatal(err)
	}
	golden(t, "found.golden", text.Bytes())
	for _, line := range []struct{ name, verdict string }{{"met with room", "met"}, {"missed by its median", "not met"}, {"met at the edge", "met"}, {"without a goal", ""}} {
		if got := aFound().figure(line.name).verdict(); got != line.verdict {
			t.Errorf("%s: %q, want %q", line.name, got, line.verdict)
		}
	}
	broken := Figure{Goal: 1, Values: []float64{math.NaN()}}
	if broken.verdict() != "not met" {
		t.Error("what could not be measured has met its goal")
	}
}

func TestFound_JSONHoldsEveryRepetition(t *testing.T) {
	var text bytes.Buffer
	if err := aFound().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got Found
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Figures) != 4 || !slices.Equal(got.Figures[1].Values, []float64{3, 1, 2, 5, 4}) || got.Figures[1].Goal != 2.999 || got.Machine.Cores != 2 {
		t.Errorf("read back: %+v", got)
	}
	if got.figure("nobody's") != nil {
		t.Error("a figure of no name")
	}
}

// TestPercentile_IsTheLeastValueThatSoManyAreAtOrBelow, counted.
func TestPercentile_IsTheLeastValueThatSoManyAreAtOrBelow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 3000; n += 1 + n/7 {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(50))
		}
		slices.Sort(v)
		for _, tenths := range []int{1, 250, 500, 900, 990, 999, 1000} {
			got := percentile(v, float64(tenths)/10)
			atOrBelow := func(x float64) (count int) {
				for _, y := range v {
					if y <= x {
						count++
					}
				}
				return count
			}
			enough := func(x float64) bool { return 1000*atOrBelow(x) >= tenths*n }
			if !slices.Contains(v, got) || !enough(got) {
				t.Fatalf("%d values: percentile %d/10 is %g", n, tenths, got)
			}
			for _, x := range v {
				if x < got && enough(x) {
					t.Fatalf("%d values: percentile %d/10 is %g, %g would do", n, tenths, got, x)
				}
			}
		}
	}
	if got := percentile([]float64{1, 2, 3, 4}, 50); got != 2 {
		t.Errorf("of 1 to 4 the 50th is %g", got)
	}
}

func TestShort_HasThreeDigitsAndNoExponent(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 3: "3", 0.5: "0.500", 0.01234: "0.012", 1.005: "1.00", 12.34: "12.3", 123.4: "123", 1234567: "1234567", -2.5: "-2.50", 64: "64"} {
		if got := short(v); got != want || strings.Contains(got, "e") {
			t.Errorf("%g is written %s, want %s", v, got, want)
		}
	}
}
