package peers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/topology"
)

// Report is what a bench found.
type Report struct {
	Commit  string  `json:"commit"`
	Machine Machine `json:"machine"`
	Servers string  `json:"servers"`

	Events     int64 `json:"events"` // of each round
	Customers  int   `json:"customers"`
	Partitions int32 `json:"partitions"`
	Lanes      int   `json:"lanes"`
	MaxPoll    int   `json:"max_poll"` // records of one transaction at the most

	Rules      int      `json:"rules"`      // live and shadow
	Features   int      `json:"features"`   // in every fact
	Aggregates int      `json:"aggregates"` // measured for every event
	Windows    []string `json:"windows"`    // distinct lengths

	Rounds []Round `json:"rounds"` // in the order in which they ran
}

func newReport(c Command, servers string, set *rule.Set) *Report {
	r := &Report{
		Commit: cmp.Or(c.Commit, builtFrom()), Machine: thisMachine(), Servers: servers,
		Events: c.Events, Customers: c.customers(), Partitions: c.Partitions, Lanes: c.Lanes, MaxPoll: topology.DefaultConfig().Monitor.MaxPoll,
		Features: len(set.Features), Aggregates: len(set.Plan.Aggregates), Windows: windows(&set.Plan),
	}
	for _, x := range set.Rules {
		if x.Mode != rule.Off {
			r.Rules++
		}
	}
	return r
}

// windows lists the plan's distinct lengths, shortest first.
func windows(p *rule.Plan) (out []string) {
	var all []int64
	for _, w := range p.Windows {
		all = append(all, w.Length)
	}
	slices.Sort(all)
	for _, ms := range slices.Compact(all) {
		d := time.Duration(ms) * time.Millisecond
		switch {
		case d%(24*time.Hour) == 0:
			out = append(out, fmt.Sprintf("%dd", d/(24*time.Hour)))
		case d%time.Hour == 0:
			out = append(out, fmt.Sprintf("%dh", d/time.Hour))
		case d%time.Minute == 0:
			out = append(out, fmt.Sprintf("%dm", d/time.Minute))
		default:
			out = append(out, d.String())
		}
	}
	return out
}

// Spread is a figure of several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spread is of at least one value.
func spread(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}

func (s Spread) text(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f – %.*f)", decimals, s.Median, decimals, s.Min, decimals, s.Max)
}

// Summary is one peer's figures over its rounds.
type Summary struct {
	EventsPerSecond Spread  `json:"events_per_second"`
	CPUMicros       Spread  `json:"cpu_micros_per_event"` // of the client's process alone
	BusyCores       Spread  `json:"busy_cores"`           // its CPU time by the wall clock's
	PeakMiB         Spread  `json:"peak_mib"`
	EventBytes      float64 `json:"event_bytes"`               // mean value
	FactBytes       float64 `json:"fact_bytes"`                // mean value
	ResultBytes     float64 `json:"result_bytes"`              // mean value with its headers
	CommitRecords   float64 `json:"records_per_commit"`        // mean of a partition's part of one transaction
	RecordsWritten  int64   `json:"records_written_per_round"` // the same in every round, or there is no report
}

// Summary is of the rounds of one peer; there is at least one.
func (r *Report) Summary(peer string) (s Summary) {
	var rate, cpu, busy, peak []float64
	var n Round
	for i := range r.Rounds {
		x := &r.Rounds[i]
		if x.Peer != peer {
			continue
		}
		rate, cpu = append(rate, x.EventsPerSecond()), append(cpu, x.CPUMicros())
		busy, peak = append(busy, x.CPUSeconds/x.Seconds), append(peak, float64(x.PeakKiB)/1024)
		n.Events, n.EventBytes = n.Events+x.Events, n.EventBytes+x.EventBytes
		n.Facts, n.FactBytes, n.Commits = n.Facts+x.Facts, n.FactBytes+x.FactBytes, n.Commits+x.Commits
		n.Results, n.ResultBytes = n.Results+x.Results, n.ResultBytes+x.ResultBytes
		s.RecordsWritten = x.Facts + x.Results
	}
	s.EventsPerSecond, s.CPUMicros, s.BusyCores, s.PeakMiB = spread(rate), spread(cpu), spread(busy), spread(peak)
	mean := func(sum, of int64) float64 { return float64(sum) / float64(max(of, 1)) }
	s.EventBytes, s.FactBytes, s.ResultBytes = mean(n.EventBytes, n.Events), mean(n.FactBytes, n.Facts), mean(n.ResultBytes, n.Results)
	s.CommitRecords = mean(n.Facts, n.Commits)
	return s
}

// Ratios are the monitor's figures by the passthrough's, of their medians.
type Ratios struct {
	Throughput float64 `json:"throughput"` // events/s; what the clients reach beside the brokers on this machine
	PerCore    float64 `json:"per_core"`   // events per CPU second of the client: the passthrough's CPU an event by the monitor's
	CPU        float64 `json:"cpu"`        // CPU an event: how many times the passthrough's
}

// Ratios compares the two peers.
func (r *Report) Ratios() Ratios {
	m, p := r.Summary(asMonitor), r.Summary(asPassthrough)
	return Ratios{
		Throughput: m.EventsPerSecond.Median / p.EventsPerSecond.Median,
		PerCore:    p.CPUMicros.Median / m.CPUMicros.Median,
		CPU:        m.CPUMicros.Median / p.CPUMicros.Median,
	}
}

// maxCPU is the design's goal: how many times the passthrough's CPU an event may cost (≥ 40 % of its rate per core).
const maxCPU = 2.5

// CPU is the monitor's CPU an event by the passthrough's, of each pair of rounds.
func (r *Report) CPU() Figure {
	f := Figure{Name: "CPU per event, monitor by passthrough", Unit: "×", Goal: maxCPU}
	for i := 0; i+1 < len(r.Rounds); i += 2 {
		f.Values = append(f.Values, r.Rounds[i].CPUMicros()/r.Rounds[i+1].CPUMicros())
	}
	return f
}

// WriteJSON writes everything as one indented object.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		*Report
		Monitor     Summary `json:"monitor"`
		Passthrough Summary `json:"passthrough"`
		Ratios      Ratios  `json:"ratios"`
		CPU         Figure  `json:"cpu"`
	}{r, r.Summary(asMonitor), r.Summary(asPassthrough), r.Ratios(), r.CPU()})
}

// WriteText writes what a person wants to read.
func (r *Report) WriteText(w io.Writer) error {
	m, ratios := r.Summary(asMonitor), r.Ratios()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d events of %d customers a round, %d rounds of each, in turn; %d lanes on %d partitions, at most %d records a transaction\n",
		r.Events, r.Customers, len(r.Rounds)/2, r.Lanes, r.Partitions, r.MaxPoll)
	fmt.Fprintf(&b, "in force: %d rules, %d features, %d aggregates over %d windows (%s)\n", r.Rules, r.Features, r.Aggregates, len(r.Windows), strings.Join(r.Windows, " "))
	fmt.Fprintf(&b, "bytes on average: event %.0f, fact %.0f, CloudEvent %.0f; both write %d records a round\n", m.EventBytes, m.FactBytes, m.ResultBytes, m.RecordsWritten)
	fmt.Fprintf(&b, "servers: %s\nmachine: %s\ncommit:  %s\n\n", r.Servers, r.Machine, cmp.Or(r.Commit, "unknown"))

	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "median (least – most)\tevents/s\tclient CPU µs/event\tbusy cores\tpeak MiB\trecords/commit")
	for _, peer := range pair {
		s := r.Summary(peer)
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%.0f\t%.0f\n", peer, s.EventsPerSecond.text(0), s.CPUMicros.text(2), s.BusyCores.Median, s.PeakMiB.Median, s.CommitRecords)
	}
	t.Flush()
	fmt.Fprintf(&b, "\nmonitor by passthrough: throughput %.0f %%, throughput per client core %.0f %% (%.1f times the CPU an event)\n",
		100*ratios.Throughput, 100*ratios.PerCore, ratios.CPU)
	cpu := r.CPU()
	s := cpu.Spread()
	fmt.Fprintf(&b, "%s, of each pair of rounds: %s (%s – %s) over %d, goal ≤ %s: %s\n", cpu.Name, short(s.Median), short(s.Min), short(s.Max), len(cpu.Values), short(cpu.Goal), cpu.verdict())
	_, err := io.WriteString(w, b.String())
	return err
}
