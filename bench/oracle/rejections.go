package oracle

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/streamgauge/streamgauge/schemas"
)

// Rejections is what a comparison of monitor's records on topic rejected found.
type Rejections struct {
	Expected  int // one for each rejected record, and for each held stateChange that expired
	Seen      int
	Missing   int
	Surplus   int
	Different int // another reason or key
}

// refusals are how often an input record must be, and was, rejected: intake may deliver it twice, and monitor then rejects it twice.
type refusals struct {
	at        place // of one of its records in topic events
	key       string
	want, got []string // reasons; "" is any
	keys      []string // of got
}

func (c *Checker) refusals(o schemas.Origin) *refusals {
	x := c.refused[o]
	if x == nil {
		x = &refusals{}
		c.refused[o] = x
	}
	return x
}

// refuse notes that a rejection must come.
func (c *Checker) refuse(w *Want) {
	c.report.Rejections.Expected++
	origin := w.Event.Origin
	if w.Broken { // nothing is known of the input record
		origin = schemas.Origin{Topic: schemas.Events.Name, Partition: w.Partition, Offset: w.Offset}
	}
	x := c.refusals(origin)
	x.at = place{w.Partition, w.Offset, w.Seq}
	x.want = append(x.want, w.Reason)
	if !w.Broken {
		x.key = string(schemas.CustomerKey(nil, w.Event.Team, w.Event.Customer))
	}
}

// Rejection takes a record of topic rejected; intake's are not looked at.
func (c *Checker) Rejection(r *schemas.Rejection) {
	if r.Stage != "monitor" {
		return
	}
	c.report.Rejections.Seen++
	x := c.refusals(r.Origin)
	x.got, x.keys = append(x.got, r.Reason), append(x.keys, string(r.Key))
}

// countRefusals settles what was rejected and what not.
func (c *Checker) countRefusals() {
	origins := slices.SortedFunc(maps.Keys(c.refused), func(a, b schemas.Origin) int {
		p, q := c.refused[a].at, c.refused[b].at
		return cmp.Or(cmp.Compare(p.partition, q.partition), cmp.Compare(p.offset, q.offset), cmp.Compare(p.seq, q.seq),
			cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	for _, o := range origins {
		x := c.refused[o]
		want := slices.Clone(x.want)
		var got []string // what nobody expects
		for i, reason := range x.got {
			if x.key != "" && x.keys[i] != x.key {
				reason += " of key " + strconv.Quote(x.keys[i])
			}
			if j := slices.IndexFunc(want, func(w string) bool { return w == "" || w == reason }); j >= 0 {
				want = slices.Delete(want, j, j+1)
			} else {
				got = append(got, reason)
			}
		}
		if len(want)+len(got) == 0 {
			continue
		}
		c.report.Rejections.Different += min(len(want), len(got))
		c.report.Rejections.Missing += max(len(want)-len(got), 0)
		c.report.Rejections.Surplus += max(len(got)-len(want), 0)
		c.tell("%s, origin %s %d-%d: of %d rejections missing %s, surplus %s", x.at, o.Topic, o.Partition, o.Offset, len(x.want), reasons(want), reasons(got))
	}
}

func reasons(list []string) string { return "[" + strings.Join(list, "; ") + "]" }
