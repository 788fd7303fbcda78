package peers

import (
	"context"
	"fmt"
	"os"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/schemas"
)

// series is one bench: rounds of both peers in turn, on the same workload.
type series struct {
	command Command
	files   []schemas.SnapshotFile
	ground  ground
	now     int64 // ms; where the workload's event time ends

	// Other benches look into a round at these places; nil: nobody does.
	detour  func(*site) (undo func(), err error)               // puts something of the bench's between the client and its servers
	settled func(context.Context, *process, site) error        // the client is at rest, no event is there yet
	done    func(context.Context, *process, site, Round) error // all events are committed, the client still runs

	rounds                 int // begun so far
	factBytes, resultBytes int // of the passthrough's records: what the monitor's had on average
}

func (s *series) run(ctx context.Context) (*Report, error) {
	set, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: s.files})
	if err != nil {
		return nil, fmt.Errorf("rules:\n%w", err)
	}
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
	s.factBytes, s.resultBytes = r.sizes()
}
