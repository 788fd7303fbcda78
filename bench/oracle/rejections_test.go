package oracle

import (
	"slices"
	"strings"
	"testing"

	"github.com/streamgauge/streamgauge/schemas"
)

func TestChecker_EveryRejectedRecordIsOnTopicRejectedOnce(t *testing.T) {
	cfg, records, wants := sample(t)
	twice := records[7] // the conflict, delivered twice by intake
	twice.Offset, twice.Appended = 100, base+40*day
	broken := Record{Partition: 2, Offset: 101, Appended: base + 40*day, Broken: true}
	records = append(records, twice, broken)
	facts, results := answers(wants)
	right := rejectionsOf(wants)
	again := right[0]
	again.Reason = "beyond_retention" // by now
	right = append(right, again, schemas.Rejection{
		Origin: schemas.Origin{Topic: "events", Partition: 2, Offset: 101}, Stage: "monitor", Reason: "undecodable", Key: []byte("anybody's"),
	})
	change := func(i int, f func(*schemas.Rejection)) []schemas.Rejection {
		list := slices.Clone(right)
		f(&list[i])
		return list
	}
	for name, c := range map[string]struct {
		list []schemas.Rejection
		want Rejections
		say  string
	}{
		"right":              {right, Rejections{}, ""},
		"intake's beside":    {append(slices.Clone(right), schemas.Rejection{Stage: "intake", Reason: "missing"}), Rejections{}, ""},
		"one missing":        {right[1:], Rejections{Missing: 1}, "of 2 rejections missing [conflict]"},
		"one twice":          {append(slices.Clone(right), right[1]), Rejections{Surplus: 1}, "surplus [parked_expired]"},
		"of nothing":         {append(slices.Clone(right), schemas.Rejection{Stage: "monitor", Reason: "future"}), Rejections{Surplus: 1}, "surplus [future]"},
		"another reason":     {change(1, func(r *schemas.Rejection) { r.Reason = "parked_overflow" }), Rejections{Different: 1}, "missing [parked_expired], surplus [parked_overflow]"},
		"another key":        {change(0, func(r *schemas.Rejection) { r.Key = nil }), Rejections{Different: 1}, `conflict of key ""`},
		"another origin":     {change(0, func(r *schemas.Rejection) { r.Origin.Offset = 77 }), Rejections{Missing: 1, Surplus: 1}, "origin payments 0-77"},
		"the bytes' missing": {right[:3], Rejections{Missing: 1}, "origin events 2-101"},
	} {
		for _, first := range []bool{true, false} { // the rejections before the records, or behind
			checker, err := NewChecker(cfg)
			if err != nil {
				t.Fatal(err)
			}
			feed := func() {
				for i := range c.list {
					checker.Rejection(&c.list[i])
				}
			}
			if first {
				feed()
			}
			for i := range records {
				checker.Record(&records[i])
			}
			if !first {
				feed()
			}
			for _, f := range facts {
				checker.Fact(f)
			}
			for _, w := range []int64{100, 101} {
				f := &schemas.Fact{Generation: 1, Partition: 2, Offset: w, Appended: base + 40*day, Outcome: schemas.Rejected}
				if w == 100 {
					f.Event, f.Reason, f.Late = twice.Event, again.Reason, true
				}
				checker.Fact(f)
			}
			for i := range results {
				checker.Result(&results[i])
			}
			r := checker.Report()
			got := r.Rejections
			got.Expected, got.Seen = 0, 0
			if got != c.want || r.Exact() != (c.want == Rejections{}) || !strings.Contains(r.String(), c.say) {
				t.Errorf("%s, first %v: %s", name, first, r.String())
			}
		}
	}
}
