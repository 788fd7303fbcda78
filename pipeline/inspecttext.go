package pipeline

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streamgauge/streamgauge/operators"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/operators/window"
	"github.com/streamgauge/streamgauge/schemas"
)

// Text says it for a person: the header, every window at the customer's newest time, the newest last events, and whether the log agrees.
func (x *Inspection) Text(last int) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("partition", "%d, in the window store up to offset %d (configuration %d)", x.Partition, x.Marker.Offset, x.Marker.Config)
	if c := x.Customer; c != nil {
		line("customer", "team %q, id %q", c.Team(), c.ID())
		line("last change", "offset %d, under configuration %d", c.LSN()-1, c.Version())
		if wm, ok := c.Watermark(); ok {
			line("watermark", "%s; visible behind %s", stamp(wm), stamp(c.Horizon()))
		}
		if from, ok := c.KnownFrom(); ok {
			line("complete behind", "%s; windows that reach further back are ND warming", stamp(from))
		}
		held, _ := c.HeldLen()
		line("events", "%d retained; %d state changes wait for theirs", c.Len(), held)
		line("stored", "%d bytes, and %d in %d sealed chunks", x.Stored, x.Chunks, len(c.ChunkNames()))
	}
	line("agrees with the log", "%s", x.verdict())
	_ = w.Flush()
	if x.Customer != nil {
		x.windowsText(&b)
		x.eventsText(&b, last)
	}
	return b.String()
}

func (x *Inspection) verdict() string {
	switch {
	case x.Agrees && x.Why == "":
		return fmt.Sprintf("yes, byte for byte (%d records of the log are this customer's)", x.Events)
	case x.Agrees:
		return "yes: " + x.Why
	}
	return "NO: " + x.Why
}

func (x *Inspection) windowsText(b *strings.Builder) {
	fmt.Fprintf(b, "\nwindows at the watermark, for the newest event\n")
	w := tabwriter.NewWriter(b, 2, 0, 2, ' ', 0)
	for _, s := range operators.View(x.Conf, x.Customer) {
		fmt.Fprintf(w, "  %s\t%s\n", s.Text, shownValue(s.Value, s.Kind))
	}
	_ = w.Flush()
}

func (x *Inspection) eventsText(b *strings.Builder, n int) {
	events := x.Customer.Last(n)
	fmt.Fprintf(b, "\nnewest %d events\n", len(events))
	w := tabwriter.NewWriter(b, 2, 0, 2, ' ', 0)
	for i := range events {
		fmt.Fprintf(w, "  %s\n", shownEvent(&events[i]))
	}
	_ = w.Flush()
}

func shownEvent(e *window.Retained) string {
	amount, counted := "no amount", "counted"
	if e.HasAmount {
		amount = schemas.FormatAmount(e.Amount)
	}
	if !e.Counted {
		counted = "not counted"
	}
	if e.Stated {
		counted += ", by a state change"
	}
	fields := []string{}
	for f := range schemas.NumFields {
		if v, ok := e.Get(f); ok {
			fields = append(fields, fmt.Sprintf("%s=%q", f, v))
		}
	}
	for _, a := range e.Attributes {
		fields = append(fields, fmt.Sprintf("attr.%s=%q", a.Name, a.Value))
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", stamp(e.Time), e.Kind, amount, counted, strings.Join(fields, " "))
}

func shownValue(v schemas.Measured, kind rule.ValueKind) string {
	switch {
	case v.Why != "":
		return "ND " + v.Why
	case kind == rule.Text:
		return fmt.Sprintf("%q", v.S)
	case kind == rule.Duration:
		return (time.Duration(v.I.Lo) * time.Millisecond).String()
	case kind == rule.Int:
		return fmt.Sprint(int64(v.I.Lo))
	}
	return v.I.Decimal()
}

func stamp(ms int64) string { return string(schemas.AppendTime(nil, ms)) }
