package demo

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
)

// streamsCase is one case of kafka-streams-sliding.json; a ms there is a second here.
type streamsCase struct {
	Name    string
	Grace   int64          `json:"grace_ms"`
	Events  []streamsEvent `json:"events_in_arrival_order"`
	Windows []struct {
		Key     string
		End     int64
		Members []int64
	} `json:"final_windows_ending_at_an_event"`
}

type streamsEvent struct {
	Key       string
	Value, TS int64
}

// TestData_KafkaStreamsSlidingWindowsUnderOurContract: [t−10, t] there is (t−11, t] here. The window that ends at an event is what the
// event itself sees where all arrive in order of time, and those members of it that came before where they do not.
func TestData_KafkaStreamsSlidingWindowsUnderOurContract(t *testing.T) {
	b, err := os.ReadFile(data(t, "rule-scenarios", "kafka-streams-sliding.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []streamsCase }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	const rules = `features: [{name: n, expr: "count('11s')"}, {name: sum, expr: "sum('11s', amount)"}, {name: high, expr: "max('11s', amount)"}]`
	csv := "id,time,customer,amount\n"
	var want []map[string]string // nil: no window of the case ends there
	for i, c := range file.Cases {
		if c.Grace == 0 {
			continue // drops late events, which the contract never does
		}
		for _, inOrder := range []bool{false, true} {
			events := slices.Clone(c.Events)
			if inOrder {
				slices.SortStableFunc(events, func(a, b streamsEvent) int { return int(a.TS - b.TS) })
			}
			for k, e := range events {
				customer := fmt.Sprint(e.Key, i, inOrder)
				csv += fmt.Sprintf("%s-%d,%s,%s,%d\n", customer, k, stamp(1_522_540_800_000+e.TS*1000), customer, e.Value)
				want = append(want, c.sees(events[:k+1]))
			}
		}
	}
	facts := replay(t, "", rulesDir(t, rules), write(t, "in.csv", csv)).facts(t)
	if len(facts) != len(want) {
		t.Fatalf("%d facts of %d events", len(facts), len(want))
	}
	windows := 0
	for i, f := range facts {
		if want[i] == nil {
			continue
		}
		windows++
		for name, v := range want[i] {
			if f.Features[name] != v {
				t.Errorf("%s: %s is %q, want %s", f.ID, name, f.Features[name], v)
			}
		}
	}
	if windows != 44 {
		t.Errorf("%d windows compared, want 44", windows)
	}
}

// sees is what the last of the events must measure.
func (c *streamsCase) sees(arrived []streamsEvent) map[string]string {
	e := arrived[len(arrived)-1]
	for _, w := range c.Windows {
		if w.Key != e.Key || w.End != e.TS {
			continue
		}
		var n, sum, high int64
		for _, m := range w.Members {
			if slices.ContainsFunc(arrived, func(x streamsEvent) bool { return x.Key == e.Key && x.Value == m }) {
				n, sum, high = n+1, sum+m, max(high, m)
			}
		}
		return map[string]string{"n": fmt.Sprint(n), "sum": fmt.Sprint(sum), "high": fmt.Sprint(high)}
	}
	return nil
}
