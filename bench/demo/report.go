package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/streamgauge/streamgauge/bench/generator"
	"github.com/streamgauge/streamgauge/schemas"
)

// alertPick keeps the alerts that the report shows: of each rule the first one at the highest level it reached.
type alertPick map[string]alert

// alert is one hit with its event.
type alert struct {
	level            schemas.Level
	rule, customer   string
	event, time      string
	amount, currency string
	reason           string
	values           []schemas.Attribute
	guid             string
}

func (p alertPick) offer(f *schemas.Fact) {
	for i := range f.Hits {
		h := &f.Hits[i]
		if old, ok := p[h.Rule]; h.Shadow || ok && old.level >= f.InitialLevel {
			continue
		}
		p[h.Rule] = alert{
			level: f.InitialLevel, rule: h.Rule, customer: f.Event.Customer, event: f.Event.ID, time: string(schemas.AppendTime(nil, f.Event.Time)),
			amount: schemas.FormatAmount(f.Event.Amount), currency: f.Event.Currency, reason: h.Reason, values: slices.Clone(h.Values), guid: f.Assessment,
		}
	}
}

// shown is how many alerts the report explains.
const shown = 5

// list is the alerts, most severe first.
func (p alertPick) list() []alert {
	var out []alert
	for _, a := range p {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b alert) int {
		if a.level != b.level {
			return int(b.level) - int(a.level)
		}
		return strings.Compare(a.rule, b.rule)
	})
	return out[:min(len(out), shown)]
}

// report prints what a person wants to know of the run.
func (l *liveRun) report(ctx context.Context, out io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := func(s string) { fmt.Fprintf(out, "\n%s\n%s\n", s, strings.Repeat("─", len([]rune(s)))) }

	head("What happened")
	fmt.Fprintf(out, "%s records in %s: %s through intake, windows, rules and transactions to the result topic; the last verdict was out %s after the last record was sent\n",
		thousands(l.sent.Load()), l.took.Round(10*time.Millisecond), perSecond(l.sent.Load(), l.took), l.backlog.Round(time.Millisecond))
	for _, o := range []schemas.Outcome{schemas.Assessed, schemas.Duplicate, schemas.Rejected} {
		fmt.Fprintf(out, "  %-10s %10s%s\n", o, thousands(l.tally.outcomes[o]), reasons(l.tally.refused, o == schemas.Rejected))
	}
	fmt.Fprintf(out, "  %-10s %10s%s\n", "no event", thousands(l.refused.Load()), reasons(l.tally.rejected, true))
	fmt.Fprintf(out, "  %-10s %10s  came after a newer event of their customer and were counted at their own time\n", "late", thousands(l.tally.late))

	head("Verdicts by level")
	for i := len(schemas.Levels) - 1; i >= 0; i-- {
		if n := l.tally.levels[i]; n > 0 {
			fmt.Fprintf(out, "  %-8s %10s\n", schemas.Level(i), thousands(n))
		}
	}
	l.rules(out, head)
	l.explained(out, head)
	l.exactness(out, head)
	if err := l.warehouse(ctx, out, head); err != nil {
		return err
	}
	head("Where to go next")
	fmt.Fprint(out, nextSteps)
	return nil
}

func (l *liveRun) rules(out io.Writer, head func(string)) {
	head("Rules, and what was planted for them")
	fmt.Fprintf(out, "  %-14s %8s   %-22s %s\n", "rule", "hits", "planted patterns found", "near misses that fired")
	for _, q := range generator.Measure(l.gen.Labels(), l.hits) {
		fmt.Fprintf(out, "  %-14s %8s   %3d of %-3d %-11s %d of %d\n", q.Pattern, thousands(int64(q.Hits)), q.Found, q.Planted, fmt.Sprintf("(%.0f %%)", q.Recall()), q.NearFound, q.Near)
	}
}

func (l *liveRun) explained(out io.Writer, head func(string)) {
	head("Five alerts, in words")
	for _, a := range l.alerts.list() {
		fmt.Fprintf(out, "  %s  %s  customer %s, event %s at %s: %s %s\n", a.level, a.rule, a.customer, a.event, a.time, a.amount, a.currency)
		fmt.Fprintf(out, "      %s\n", a.reason)
		for _, v := range a.values {
			fmt.Fprintf(out, "      %s = %s\n", v.Name, v.Value)
		}
		fmt.Fprintf(out, "      assessment %s\n", a.guid)
	}
}

func (l *liveRun) exactness(out io.Writer, head func(string)) {
	head("Exactness, against a brute-force oracle that shares no code with the engine")
	r := l.checker.Report()
	l.different = !r.Exact()
	fmt.Fprintf(out, "  %s facts compared, %d different, %d missing, %d surplus; %s feature values and %s rule verdicts in them\n",
		thousands(int64(r.Compared)), r.Different, r.Missing, r.Surplus, thousands(int64(r.Features)), thousands(int64(r.Verdicts)))
	fmt.Fprintf(out, "  %s results expected, %s seen, %d missing, %d surplus, %d different\n",
		thousands(int64(r.Results.Expected)), thousands(int64(r.Results.Seen)), r.Results.Missing, r.Results.Surplus, r.Results.Different)
	for _, s := range r.First {
		fmt.Fprintf(out, "    %s\n", s)
	}
}

const nextSteps = `  your own file     bin/streamgauge demo --input FILE --map customer=acct,amount=amt_cents:1e-2,time=ts:unix
  your own rules    bin/streamgauge demo --input FILE --rules DIR    (start from operators/rule/library)
  real servers      make servers, then bin/streamgauge run --config deploy/servers/streamgauge.yaml
  the picture       bin/streamgauge describe
`

// errBehind is an archive that did not get level with the facts.
var errBehind = errors.New("the archive did not get level")
