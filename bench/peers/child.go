package peers

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/pipeline/devserver"
	"github.com/streamgauge/streamgauge/topology"
)

// What a child process is.
const (
	asServers     = "servers"
	asMonitor     = "monitor"
	asPassthrough = "passthrough"
)

// task is the first line on a child's standard input.
type task struct {
	Config      topology.Config
	Group       string   // the consumer group
	Ordinal     int      // of the process among its likes
	Stages      []string // that a monitor runs; none: stage monitor alone
	FactBytes   int      // of the passthrough's fact-sized records
	ResultBytes int      // of its CloudEvent-sized ones
	Profile     string   // file for a CPU profile from begin to end; empty: none
}

// Commands to a measured child, a line each; it answers each with an answer. The end of its standard input ends it.
const (
	begin = "begin" // the measured part begins
	end   = "end"   // it is over
	heap  = "heap"  // collect, and say what is live; begin and end say nothing of it
)

// answer is a line on a child's standard output. The servers say one when they are up, a measured child one per command.
type answer struct {
	Kafka []string
	Redis string
	Heap  int64         // bytes; what is live on it, told by heap
	CPU   time.Duration // user and system time of the process so far
	Peak  int64         // KiB; its largest resident set so far
}

// runChild is a whole child process. It ends in order when in ends, which it does at the latest when the parent dies.
func runChild(ctx context.Context, as string, in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("task: %w", err)
	}
	var t task
	if err := json.Unmarshal(line, &t); err != nil {
		return fmt.Errorf("task: %w", err)
	}
	var work func(context.Context, *task, *slog.Logger) error
	switch as {
	case asServers:
		return serve(ctx, lines, json.NewEncoder(out))
	case asMonitor:
		work = monitor
	case asPassthrough:
		work = passthrough
	default:
		return fmt.Errorf("--as %q: bench starts its own processes; leave this flag out", as)
	}
	// Joining and balancing make warnings that are nobody's; from begin to end they explain a figure.
	level := new(slog.LevelVar)
	level.Set(slog.LevelError)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	worked := make(chan error, 1)
	go func() { worked <- work(ctx, &t, log) }()
	// Not waited for where the work ends first: nothing ends a read of standard input but its end, and the process ends right behind.
	told := make(chan error, 1)
	go func() { told <- obey(lines, json.NewEncoder(out), t.Profile, level) }()
	select {
	case err := <-worked:
		return err
	case err := <-told:
		stop()
		if stopped := <-worked; !errors.Is(stopped, context.Canceled) {
			err = errors.Join(err, stopped)
		}
		return err
	}
}

// serve runs the embedded servers until the input ends.
func serve(ctx context.Context, in io.Reader, out *json.Encoder) error {
	s, err := devserver.Start(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := out.Encode(answer{Kafka: s.Brokers(), Redis: s.RedisAddress()}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// obey answers commands until the input ends.
func obey(in *bufio.Reader, out *json.Encoder, profile string, level *slog.LevelVar) error {
	for {
		var alive int64
		switch line, err := in.ReadString('\n'); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read command: %w", err)
		case line == begin+"\n":
			level.Set(slog.LevelWarn)
			if err := startProfile(profile); err != nil {
				return err
			}
		case line == end+"\n":
			level.Set(slog.LevelError)
			pprof.StopCPUProfile()
		case line == heap+"\n":
			alive = live()
		}
		a, err := usage()
		if err != nil {
			return err
		}
		a.Heap = alive
		if err := out.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// startProfile begins a CPU profile, which StopCPUProfile writes to its end; the file closes with the process.
func startProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// usage is what this process used so far.
func usage() (answer, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return answer{}, fmt.Errorf("getrusage: %w", err)
	}
	return answer{CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano()), Peak: u.Maxrss}, nil
}

// live is what the heap holds after a collection; the second one frees what the first one's finalizers let go.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// monitor runs the product's stage alone, or the stages that the task names.
func monitor(ctx context.Context, t *task, log *slog.Logger) error {
	env := &pipeline.Env{Config: t.Config, Log: log, Ordinal: t.Ordinal, Stages: t.Stages}
	if len(t.Stages) == 0 {
		env.Stages = []string{topology.StageMonitor}
	}
	return pipeline.Run(ctx, t.topology(), env)
}

// topology is the product's, with the round's consumer group.
func (t *task) topology() *topology.Topology {
	topo := topology.Monitoring(&t.Config)
	topo.Stage(topology.StageMonitor).Group = t.Group
	return topo
}

// process is a child, seen by its parent.
type process struct {
	as      string
	in      io.WriteCloser
	answers chan answer
	self    *os.Process
	gone    chan struct{} // closed when it has ended
	err     error         // how; to be read after gone
}

// stopTime is how long a child may take to end in order; a monitor's last flush takes at most 5 s.
const stopTime = 10 * time.Second

// start makes a child of this very program. What it says on standard error goes to ours.
func start(as string, t *task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "bench", "--as", as)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us; we end it
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s process: %w", as, err)
	}
	p := &process{as: as, in: in, self: cmd.Process, answers: make(chan answer, 1), gone: make(chan struct{})}
	go func() {
		defer close(p.gone)
		for d := json.NewDecoder(out); ; {
			var a answer
			if d.Decode(&a) != nil {
				break
			}
			p.answers <- a
		}
		p.err = cmd.Wait()
	}()
	if err := json.NewEncoder(in).Encode(t); err != nil {
		return nil, errors.Join(fmt.Errorf("%s process: %w", as, err), p.stop())
	}
	return p, nil
}

// ask gives a command and waits for its answer.
func (p *process) ask(ctx context.Context, command string) (answer, error) {
	if _, err := io.WriteString(p.in, command+"\n"); err != nil {
		return answer{}, fmt.Errorf("%s process: %s: %w", p.as, command, err)
	}
	return p.answer(ctx)
}

func (p *process) answer(ctx context.Context) (answer, error) {
	select {
	case a := <-p.answers:
		return a, nil
	case <-p.gone:
		return answer{}, p.ended()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// ended is the error of a child that went on its own; gone is closed.
func (p *process) ended() error {
	return fmt.Errorf("the %s process ended too early (%w); what it said is above", p.as, p.err)
}

// stop ends the child in order and waits; one that does not follow is killed.
func (p *process) stop() error {
	p.in.Close()
	select {
	case <-p.gone:
	case <-time.After(stopTime):
		p.self.Kill()
		<-p.gone
	}
	if p.err != nil {
		return fmt.Errorf("%s process: %w", p.as, p.err)
	}
	return nil
}
