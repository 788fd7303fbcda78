package topology

import (
	"fmt"
	"strings"
)

// Text is the topology for a terminal: a line a stage, a line a topic.
func (t *Topology) Text() string {
	var b strings.Builder
	for _, s := range t.Stages {
		fmt.Fprintf(&b, "%-8s %s → %s → %s\n", s.Name, strings.Join(s.From, " "), strings.Join(s.Steps, " ─▶ "), strings.Join(s.To, " "))
	}
	b.WriteByte('\n')
	width := 0
	for _, x := range t.Topics {
		width = max(width, len(x.Name))
	}
	for _, x := range t.Topics {
		time := "producer's time"
		if x.LogTime {
			time = "log append time"
		}
		fmt.Fprintf(&b, "%-*s  %3d partitions  %s  %-14s key %s\n", width, x.Name, x.Partitions, time, x.Value, x.Key)
	}
	return b.String()
}

// Mermaid is the topology as a flow chart; the README's picture is this text.
func (t *Topology) Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	node := func(s string) string { return strings.NewReplacer("-", "_", " ", "_").Replace(s) }
	for _, x := range t.Topics {
		fmt.Fprintf(&b, "  %s[[%s]]\n", node(x.Name), x.Name)
	}
	for _, s := range t.Stages {
		fmt.Fprintf(&b, "  stage_%s(\"<b>%s</b><br/>%s\")\n", node(s.Name), s.Name, strings.Join(s.Steps, " → "))
		for _, f := range s.From {
			fmt.Fprintf(&b, "  %s --> stage_%s\n", node(f), node(s.Name))
		}
		for _, o := range s.To {
			if o == ArchiveTo {
				fmt.Fprintf(&b, "  stage_%s --> %s[(%s)]\n", node(s.Name), node(o), o)
				continue
			}
			fmt.Fprintf(&b, "  stage_%s --> %s\n", node(s.Name), node(o))
		}
	}
	for _, x := range t.Topics {
		switch who, writes := strings.CutSuffix(x.Outside, " →"); {
		case who == "":
		case writes:
			fmt.Fprintf(&b, "  %s([%s]) --> %s\n", node(who), who, node(x.Name))
		default:
			fmt.Fprintf(&b, "  %s --> %s([%s])\n", node(x.Name), node(who), who)
		}
	}
	return b.String()
}
