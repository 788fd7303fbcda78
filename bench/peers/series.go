package peers

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// series is one bench: rounds of both peers in turn, on the same workload.
type series struct {
	command Command
	files   []schemas.SnapshotFile
	ground  ground
	now     int64 // ms; where the workload's event time ends

	rounds                 int // begun so far
	factBytes, resultBytes int // of the passthrough's records: what the monitor's had on average
}

func (s *series) run(ctx context.Context) (*Report, error) {
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: s.files})
	if err != nil {
		return nil, fmt.Errorf("rules:\n%w", err)
	}
	s.now = time.Now().UnixMilli()
	report := newReport(s.command, s.ground.String(), set)
	for i := range s.command.Rounds {
		for _, peer := range pair {
			r, err := s.round(ctx, peer, "")
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(os.Stderr, "round %d of %d, %-11s %9.0f events/s, %6.2f µs of CPU an event\n", i+1, s.command.Rounds, peer, r.EventsPerSecond(), r.CPUMicros())
			if peer == asMonitor {
				s.like(&r)
			}
			report.Rounds = append(report.Rounds, r)
		}
	}
	if s.command.Cpuprofile != "" {
		if _, err := s.round(ctx, asMonitor, s.command.Cpuprofile); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// pair is what is measured, in the order of a pair of rounds: the passthrough's records are as large as the monitor's were.
var pair = []string{asMonitor, asPassthrough}

// like makes the passthrough's records as large as the monitor's were.
func (s *series) like(r *Round) {
	mean := func(sum, n int64) int { return int((sum + n/2) / n) }
	s.factBytes = mean(r.FactBytes, r.Facts)
	s.resultBytes = max(0, mean(r.ResultBytes, r.Results)-headerBytes(resultHeaders))
}
