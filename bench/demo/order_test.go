package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// payment is a line of a made-up file: whole seconds and cents, so that the naive model has nothing to round.
type payment struct {
	id, customer   string
	seconds, cents int64
}

// naive is the window contract written down literally, over all lines before this one: no index, no state but what was accepted.
type naive struct{ accepted []payment }

// days of the features' windows, and what is retained: the longest of them and the policy's default slack.
var (
	naiveDays     = []int64{1, 7, 30}
	naiveRetained = int64(31 * 86400)
)

// verdict is what a line must become.
type verdict struct {
	outcome, reason string
	late            bool
	rule            string // of a rule c_n1 ≥ 3
	count           string // c_n1 where the rule fired
	atWatermark     bool   // it fired only at the customer's newest time
	features        map[string]string
}

func (m *naive) judge(t *testing.T, p payment) (v verdict) {
	t.Helper()
	watermark, started := int64(0), false
	for _, x := range m.accepted {
		if x.customer == p.customer {
			watermark, started = max(watermark, x.seconds), true
		}
	}
	v.late = started && p.seconds < watermark
	if started && p.seconds <= watermark-naiveRetained {
		v.outcome, v.reason = "rejected", "beyond_retention"
		return v
	}
	for _, x := range m.accepted {
		if x.customer == p.customer && x.id == p.id && x.seconds > watermark-naiveRetained {
			if v.outcome = "duplicate"; x != p {
				v.outcome, v.reason = "rejected", "conflict"
			}
			return v
		}
	}
	m.accepted = append(m.accepted, p)
	watermark = max(watermark, p.seconds)
	v.outcome, v.rule, v.features = "assessed", "ND", map[string]string{}
	for _, days := range naiveDays {
		from := p.seconds - days*86400
		if from < watermark-naiveRetained {
			continue // the window reaches below what is retained
		}
		n, sum := m.window(p.customer, from, p.seconds)
		v.features[fmt.Sprintf("c_n%d", days)] = strconv.Itoa(n)
		v.features[fmt.Sprintf("c_sum%d", days)] = hundredths(t, strconv.FormatInt(sum, 10))
		if days == 1 {
			v.rule = "NO_HIT"
			if n >= 3 {
				v.rule, v.count = "HIT", strconv.Itoa(n)
			}
		}
	}
	if v.rule != "HIT" && p.seconds < watermark && p.seconds > watermark-86400 { // late, and the newest day holds it
		if n, _ := m.window(p.customer, watermark-86400, watermark); n >= 3 {
			v.rule, v.count, v.atWatermark = "HIT", strconv.Itoa(n), true
		}
	}
	return v
}

// window is the number and the cents of the customer's accepted payments in (from, to].
func (m *naive) window(customer string, from, to int64) (n int, sum int64) {
	for _, x := range m.accepted {
		if x.customer == customer && x.seconds > from && x.seconds <= to {
			n, sum = n+1, sum+x.cents
		}
	}
	return n, sum
}

// naiveRules are the model's.
const naiveRules = windows + `---
{id: THREE, version: 1, name: Three a day, nature: AML, on: [payment], when: feature.c_n1 >= 3, level: HIGH, score: 1, reason: "{feature.c_n1} a day"}
`

// traffic makes n payments of a few customers over 70 days, ascending by time: many share a second, or stand exactly a window's length
// after another one, a few are sent twice or under an id that is taken.
func traffic(rnd *rand.Rand, n int) (out []payment) {
	start := time.Date(2018, 4, 1, 0, 0, 0, 0, time.UTC).Unix()
	for len(out) < n {
		p := payment{id: strconv.Itoa(len(out)), customer: "c" + strconv.Itoa(rnd.IntN(9)), seconds: start + rnd.Int64N(70*86400), cents: rnd.Int64N(1_000_000)}
		if len(out) > 0 {
			old := out[rnd.IntN(len(out))]
			switch rnd.IntN(20) {
			case 0, 1, 2:
				p.customer, p.seconds = old.customer, old.seconds
			case 3, 4, 5:
				p.customer, p.seconds = old.customer, old.seconds+naiveDays[rnd.IntN(3)]*86400
			case 6:
				p = old
			case 7:
				p.customer, p.id = old.customer, old.id
			}
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b payment) int { return int(a.seconds - b.seconds) })
	return out
}

func csvOf(ps []payment) string {
	var b strings.Builder
	b.WriteString("id,customer,ts,cents\n")
	for _, p := range ps {
		fmt.Fprintf(&b, "%s,%s,%d,%d\n", p.id, p.customer, p.seconds, p.cents)
	}
	return b.String()
}

const paymentMapping = "time=ts:unix,amount=cents:1e-2"

// TestFile_AnyArrivalOrderIsWhatTheNaiveModelSays shuffles the same payments not at all, a little per customer, by weeks, and altogether.
func TestFile_AnyArrivalOrderIsWhatTheNaiveModelSays(t *testing.T) {
	for _, c := range []struct {
		name    string
		shuffle func(rnd *rand.Rand, ps []payment)
	}{
		{"in order", func(*rand.Rand, []payment) {}},
		{"per customer", func(rnd *rand.Rand, ps []payment) {
			for i := range ps { // a customer's neighbours change places, the customers' turns stay
				for j := i + 1; j < min(len(ps), i+40); j++ {
					if ps[i].customer == ps[j].customer && rnd.IntN(2) == 0 {
						ps[i], ps[j] = ps[j], ps[i]
					}
				}
			}
		}},
		{"by up to 33 days", func(rnd *rand.Rand, ps []payment) {
			arrival := map[payment]int64{}
			for _, p := range ps {
				arrival[p] = p.seconds + rnd.Int64N(33*86400)
			}
			slices.SortStableFunc(ps, func(a, b payment) int { return int(arrival[a] - arrival[b]) })
		}},
		{"whole", func(rnd *rand.Rand, ps []payment) {
			rnd.Shuffle(len(ps), func(i, j int) { ps[i], ps[j] = ps[j], ps[i] })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, 4))
			ps := traffic(rnd, 2500)
			c.shuffle(rnd, ps)
			r := replay(t, paymentMapping, rulesDir(t, naiveRules), write(t, "in.csv", csvOf(ps)))
			facts := r.facts(t)
			if len(facts) != len(ps) {
				t.Fatalf("%d facts of %d lines", len(facts), len(ps))
			}
			var model naive
			seen := map[string]int{}
			for i := range ps {
				compareNaive(t, ps[i], &facts[i], i+1, model.judge(t, ps[i]), seen)
			}
			t.Logf("%v", seen)
			for _, must := range []string{"assessed", "duplicate", "conflict", "HIT", "NO_HIT"} {
				if seen[must] == 0 {
					t.Errorf("no line became %s: nothing was tried", must)
				}
			}
			if late := c.name == "whole" || c.name == "by up to 33 days"; late && (seen["beyond_retention"] == 0 || seen["ND"] == 0 || seen["late"] == 0 || seen["at watermark"] == 0) {
				t.Errorf("%v: nothing was late enough", seen)
			}
		})
	}
}

func compareNaive(t *testing.T, p payment, f *factLine, line int, want verdict, seen map[string]int) {
	t.Helper()
	level := map[string]string{"HIT": "HIGH", "NO_HIT": "NONE", "ND": "NONE"}[want.rule]
	same := f.Line == line && f.ID == p.id && f.Customer == p.customer && f.Kind == "payment" && f.Outcome == want.outcome && f.Reason == want.reason &&
		*f.Late == want.late && f.Level == level && f.Rules["THREE"] == want.rule && len(f.Features) == len(want.features) && (len(f.Hits) == 1) == (want.rule == "HIT")
	for name, v := range want.features {
		same = same && f.Features[name] == v
	}
	if same && len(f.Hits) == 1 {
		h := &f.Hits[0]
		same = h.Rule == "THREE" && h.Level == "HIGH" && !h.Shadow && h.AtWatermark == want.atWatermark && h.Reason == want.count+" a day" && h.Values["feature.c_n1"] == want.count
	}
	if !same {
		t.Errorf("line %d %+v\n got %+v\nwant %+v", line, p, *f, want)
	}
	seen[want.outcome]++
	seen[want.reason]++
	seen[want.rule]++
	if want.late {
		seen["late"]++
	}
	if want.atWatermark {
		seen["at watermark"]++
	}
}
