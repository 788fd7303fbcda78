package demo

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress shows how far a run is: a bar that redraws itself on a terminal, a plain line every few seconds elsewhere.
type progress struct {
	out   *os.File
	state func() (done, total int64, note string) // total 0: unknown; both in the same unit
	began time.Time
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 3 * time.Second
	barWidth  = 28
)

// run draws until ctx ends and clears the bar.
func (p *progress) run(ctx context.Context) {
	tty := term.IsTerminal(int(p.out.Fd()))
	every := lineEvery
	if tty {
		every = barEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			if tty {
				fmt.Fprint(p.out, "\r\x1b[K")
			}
			return
		case <-tick.C:
			done, total, note := p.state()
			if tty {
				fmt.Fprintf(p.out, "\r\x1b[K%s", p.line(done, total, note, true))
			} else {
				fmt.Fprintln(p.out, p.line(done, total, note, false))
			}
		}
	}
}

func (p *progress) line(done, total int64, note string, bar bool) string {
	elapsed := time.Since(p.began)
	share := 0.0
	if total > 0 {
		share = min(1, float64(done)/float64(total))
	}
	var b strings.Builder
	if bar {
		full := int(share * barWidth)
		fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("█", full), strings.Repeat("░", barWidth-full))
	}
	fmt.Fprintf(&b, "%3.0f %%  %s", 100*share, note)
	if share > 0.02 && share < 1 {
		left := time.Duration(float64(elapsed) * (1 - share) / share)
		fmt.Fprintf(&b, " · about %s left", left.Round(time.Second))
	}
	return b.String()
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
