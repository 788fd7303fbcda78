package demo

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/streamgauge/streamgauge/bench/input"
	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
)

// FileOptions are demo --input's.
type FileOptions struct {
	Input   []string // .csv or .jsonl files, gzip or not; read one after the other
	Mapping input.Mapping
	Rules   string // folder; empty: the built-in library
	Out     string // folder for facts.jsonl, results.jsonl, rejected.jsonl
	Archive archiveChoice
	Stdout  io.Writer
}

// RunFile replays the user's own file through the whole product with embedded servers: line order is arrival order. What it writes
// comes from the topics as a read_committed consumer sees them.
func RunFile(ctx context.Context, o FileOptions) error {
	reader, err := openAll(o.Input, o.Mapping)
	if reader != nil {
		defer reader.close()
	}
	if err = errors.Join(err, checkRules(o.Rules)); err != nil {
		return err
	}
	out, err := newOutbox(o.Out)
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, o.Archive, o.Rules, quiet())
	if err != nil {
		return errors.Join(err, out.close())
	}
	f := &fileRun{world: w, reader: reader, out: out, lines: make([][]int32, w.env.Config.Kafka.Partitions), began: time.Now()}
	err = w.run(ctx, f.work)
	err = errors.Join(err, out.close(), w.close())
	if err == nil && ctx.Err() == nil {
		f.summary(o)
	}
	return err
}

// checkRules says every mistake of a rules folder, before anything is started or overwritten for it.
func checkRules(dir string) error {
	files, err := pipeline.Rules(dir)
	if err != nil {
		return err
	}
	if _, err := rule.Compile(&schemas.Snapshot{Version: 1, Files: files}); err != nil {
		return fmt.Errorf("rules folder %s:\n%w", dir, err)
	}
	return nil
}

// fileRun is one replay.
type fileRun struct {
	*world
	reader *files
	out    *outbox
	began  time.Time
	took   time.Duration

	mu    sync.Mutex
	lines [][]int32 // by partition of transactions: the line of each offset

	sent, results atomic.Int64
	fed           atomic.Bool
	tally         tally
}

// tally counts what the collector saw; it belongs to the collector's goroutine until the run is over.
type tally struct {
	outcomes [schemas.Parked + 1]int64
	levels   [schemas.LevelExtreme + 1]int64
	late     int64
	rejected map[string]int64 // by reason, the reader's and intake's
	refused  map[string]int64 // by reason, monitor's
	noRate   map[string]int64 // assessed events without a base amount, by currency
	hits     map[string]int64
}

func newTally() tally {
	return tally{rejected: map[string]int64{}, refused: map[string]int64{}, noRate: map[string]int64{}, hits: map[string]int64{}}
}

func (t *tally) add(f *schemas.Fact) {
	t.outcomes[f.Outcome]++
	switch f.Outcome {
	case schemas.Rejected:
		t.refused[f.Reason]++
	case schemas.Assessed:
		t.levels[f.InitialLevel]++
		if f.Late {
			t.late++
		}
		if !f.HasBase {
			t.noRate[f.Event.Currency]++
		}
		for i := range f.Hits {
			if !f.Hits[i].Shadow {
				t.hits[f.Hits[i].Rule]++
			}
		}
	}
}

// work feeds the file, collects, and ends when every line is resolved and every verdict was seen on the result topic.
func (f *fileRun) work(ctx context.Context) error {
	f.tally = newTally()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return collect(gctx, f.env.Config.Kafka.Brokers, seen{fact: f.fact, rejection: f.rejection, result: f.result})
	})
	group.Go(func() error {
		p := progress{out: os.Stderr, began: f.began, state: f.progress}
		p.run(gctx)
		return nil
	})
	group.Go(func() error {
		defer stop()
		if err := f.feed(gctx); err != nil {
			return err
		}
		return f.wait(gctx)
	})
	err := group.Wait()
	f.took = time.Since(f.began)
	return err
}

// feed produces the file's lines to topic transactions, keyed by customer.
func (f *fileRun) feed(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.env.Config.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(schemas.Transactions),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000), kgo.MetadataMinAge(20*time.Millisecond), kgo.ProducerLinger(2*time.Millisecond))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	produced := kgo.AbortingFirstErrPromise(cl) // its Err waits for every promise, so it is asked once, at the end
	for ctx.Err() == nil {
		line, err := f.reader.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		f.sent.Add(1)
		if line.Err != nil {
			f.countRejected(line.Err.Reason)
			if err := f.out.resolve(line.Number, true, false, appendRejectedLine(nil, line.Number, line.Err.Reason, line.Err.Detail)); err != nil {
				return err
			}
			continue
		}
		p := f.partition(line.Customer)
		f.mu.Lock()
		want := int64(len(f.lines[p]))
		f.lines[p] = append(f.lines[p], int32(line.Number))
		f.mu.Unlock()
		promise := produced.Promise()
		cl.Produce(ctx, &kgo.Record{Partition: int32(p), Key: []byte(line.Customer), Value: line.Value}, func(r *kgo.Record, err error) {
			if err == nil && r.Offset != want {
				err = fmt.Errorf("BUG: line %d stands at offset %d, not %d", line.Number, r.Offset, want)
			}
			promise(r, err)
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	f.fed.Store(true)
	if err := produced.Err(); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	return ctx.Err()
}

func (f *fileRun) partition(customer string) int {
	h := fnv.New32a()
	h.Write([]byte(customer))
	return int(h.Sum32() % uint32(len(f.lines)))
}

// stuck is how long a run may stand still before it gives up: far more than any rebalance or retry of the embedded servers takes.
const stuck = time.Minute

// wait ends when all is resolved.
func (f *fileRun) wait(ctx context.Context) error {
	last, since := int64(-1), time.Now()
	for ctx.Err() == nil {
		done, results, want := int64(f.out.written()), f.results.Load(), f.assessed()
		if done == f.sent.Load() && results == want {
			return nil
		}
		if done+results != last {
			last, since = done+results, time.Now()
		}
		if time.Since(since) > stuck {
			return fmt.Errorf("nothing moved for %s: %d of %d lines have an outcome, %d of %d verdicts were published", stuck, done, f.sent.Load(), results, want)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func (f *fileRun) assessed() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally.outcomes[schemas.Assessed]
}

// line finds the input line of a place on topic transactions.
func (f *fileRun) line(o *schemas.Origin) (int, bool) {
	if o.Topic != schemas.Transactions || int(o.Partition) >= len(f.lines) || o.Offset >= int64(len(f.lines[o.Partition])) {
		return 0, false
	}
	return int(f.lines[o.Partition][o.Offset]), true
}

func (f *fileRun) fact(x *schemas.Fact) error {
	f.mu.Lock()
	line, ok := f.line(&x.Event.Origin)
	ok = ok && x.Event.Kind != schemas.KindControl && !(x.Outcome == schemas.Duplicate && x.Reason == "redelivery")
	if ok {
		f.tally.add(x)
	}
	f.mu.Unlock()
	if !ok {
		return nil
	}
	return f.out.resolve(line, false, x.Outcome == schemas.Rejected, appendFactLine(nil, line, x))
}

func (f *fileRun) countRejected(reason string) {
	f.mu.Lock()
	f.tally.rejected[reason]++
	f.mu.Unlock()
}

func (f *fileRun) rejection(r *schemas.Rejection) error {
	f.mu.Lock()
	line, ok := f.line(&r.Origin)
	f.mu.Unlock()
	if !ok || r.Stage != "intake" { // monitor's stand among the facts
		return nil
	}
	f.countRejected(r.Reason)
	return f.out.resolve(line, true, true, appendRejectedLine(nil, line, r.Reason, r.Detail))
}

func (f *fileRun) result(_, value []byte, headers []kgo.RecordHeader, _ int32) error {
	if _, err := f.out.results.Write(append(structured(value, headers), '\n')); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	f.results.Add(1)
	return nil
}

// structured is a CloudEvent's JSON envelope, whichever mode its record has.
func structured(value []byte, headers []kgo.RecordHeader) []byte {
	attr := map[string]string{}
	for _, h := range headers {
		attr[h.Key] = string(h.Value)
	}
	if attr["ce_id"] == "" {
		return value
	}
	b := []byte{'{'}
	for _, k := range []string{"type", "specversion", "source", "subject", "id", "time"} {
		b = appendKey(b, len(b)-1, k)
		b = schemas.AppendJSONString(b, attr["ce_"+k])
	}
	b = append(b, `,"datacontenttype":`...)
	b = schemas.AppendJSONString(b, attr["content-type"])
	b = append(b, `,"data":`...)
	return append(append(b, value...), '}')
}

func (f *fileRun) progress() (done, total int64, note string) {
	read, size := f.reader.progress()
	sent, written := f.sent.Load(), int64(f.out.written())
	note = fmt.Sprintf("%s lines read · %s judged · %s · lag %s", thousands(sent), thousands(written), perSecond(written, time.Since(f.began)), thousands(sent-written))
	if f.fed.Load() {
		return written, sent, note
	}
	if sent == 0 || read == 0 {
		return 0, 0, note
	}
	return written, max(1, sent*size/read), note
}

func (f *fileRun) summary(o FileOptions) {
	t, p := &f.tally, o.Stdout
	lines := f.sent.Load()
	fmt.Fprintf(p, "\n%s lines in %s (%s)\n", thousands(lines), f.took.Round(10*time.Millisecond), perSecond(lines, f.took))
	for _, outcome := range []schemas.Outcome{schemas.Assessed, schemas.Duplicate, schemas.Rejected} {
		if n := t.outcomes[outcome]; n > 0 {
			fmt.Fprintf(p, "  %-10s %12s%s\n", outcome, thousands(n), reasons(t.refused, outcome == schemas.Rejected))
		}
	}
	bad := int64(0)
	for _, n := range t.rejected {
		bad += n
	}
	if bad > 0 {
		fmt.Fprintf(p, "  %-10s %12s%s\n", "bad lines", thousands(bad), reasons(t.rejected, true))
	}
	if t.late > 0 {
		fmt.Fprintf(p, "  %-10s %12s  came after a newer event of their customer; counted at their own time\n", "late", thousands(t.late))
	}
	fmt.Fprintf(p, "levels     ")
	for l, n := range t.levels {
		if n > 0 {
			fmt.Fprintf(p, " %s %s", schemas.Level(l), thousands(n))
		}
	}
	fmt.Fprintln(p)
	for _, rule := range sortedByCount(t.hits) {
		fmt.Fprintf(p, "  %-20s %12s hits\n", rule, thousands(t.hits[rule]))
	}
	for cur, n := range t.noRate {
		fmt.Fprintf(p, "note: %s events in %s have no amount in the base currency, so sums leave them out; set policy.base_currency in the rules folder\n", thousands(n), cur)
	}
	fmt.Fprintf(p, "archive: %s\n", f.archive)
	for _, n := range []string{"facts.jsonl", "results.jsonl", "rejected.jsonl"} {
		fmt.Fprintf(p, "  %s\n", filepath.Join(o.Out, n))
	}
}

func reasons(by map[string]int64, show bool) string {
	if !show || len(by) == 0 {
		return ""
	}
	s := "  ("
	for i, r := range sortedByCount(by) {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s %s", r, thousands(by[r]))
	}
	return s + ")"
}

// sortedByCount are the keys, most frequent first, ties by name.
func sortedByCount(by map[string]int64) []string {
	keys := make([]string, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if by[a] != by[b] {
			return int(by[b] - by[a])
		}
		if a < b {
			return -1
		}
		return 1
	})
	return keys
}
