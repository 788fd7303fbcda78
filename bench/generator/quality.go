package generator

import "fmt"

// Hit is one event on which a rule fired.
type Hit struct {
	Rule     string
	Customer string
	Time     int64 // ms; event time of the event
}

// Quality says for one pattern what its rule found of what was planted, and what it found besides.
type Quality struct {
	Pattern   string
	Planted   int // labels
	Found     int // planted labels with at least one hit between their first and last event
	Missed    []Label
	Near      int // near misses
	NearFound int // near misses that became hits, by the customer's ordinary events
	Hits      int // of the rule
	False     int // hits of the rule that belong to no planted label
}

// Recall is the share of planted labels that were found, in percent; 100 without any.
func (q *Quality) Recall() float64 { return percent(q.Found, q.Planted) }

// Precision is the share of hits that belong to a planted label, in percent; 100 without any.
func (q *Quality) Precision() float64 { return percent(q.Hits-q.False, q.Hits) }

func percent(part, all int) float64 {
	if all == 0 {
		return 100
	}
	return 100 * float64(part) / float64(all)
}

func (q *Quality) String() string {
	return fmt.Sprintf("%s: %d of %d planted found (recall %.1f %%); %d hits, %d outside planted patterns (precision %.1f %%); %d of %d near misses fired",
		q.Pattern, q.Found, q.Planted, q.Recall(), q.Hits, q.False, q.Precision(), q.NearFound, q.Near)
}

// Measure compares labels with hits: one Quality per pattern, in the order of the rule library. Hits of other rules are left out. A hit
// is the pattern's from its label's first event until the rule's window has passed its last.
func Measure(labels []Label, hits []Hit) []Quality {
	qualities := make([]Quality, len(patterns))
	for k := range patterns {
		qualities[k] = measure(&patterns[k], labels, hits)
	}
	return qualities
}

func measure(p *pattern, labels []Label, hits []Hit) Quality {
	q := Quality{Pattern: p.rule}
	byCustomer := map[string][]int{} // indices into labels
	found := make([]bool, len(labels))
	for i, l := range labels {
		if l.Pattern == p.rule {
			byCustomer[l.Customer] = append(byCustomer[l.Customer], i)
		}
	}
	for _, h := range hits {
		if h.Rule != p.rule {
			continue
		}
		q.Hits++
		inside := false
		for _, i := range byCustomer[h.Customer] {
			l := &labels[i]
			found[i] = found[i] || h.Time >= l.First && h.Time <= l.Last
			inside = inside || !l.Near && h.Time >= l.First && h.Time <= l.Last+p.window
		}
		if !inside {
			q.False++
		}
	}
	for i, l := range labels {
		switch {
		case l.Pattern != p.rule:
		case l.Near:
			q.Near++
			if found[i] {
				q.NearFound++
			}
		case found[i]:
			q.Planted++
			q.Found++
		default:
			q.Planted++
			q.Missed = append(q.Missed, l)
		}
	}
	return q
}
