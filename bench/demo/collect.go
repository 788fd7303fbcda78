package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// outbox is the folder that receives what the product made of a file: facts.jsonl and rejected.jsonl in the file's line order,
// results.jsonl in the order of the topic. A line is written when it and all lines before it are resolved.
type outbox struct {
	facts, rejected, results *bufio.Writer
	files                    []*os.File

	mu      sync.Mutex
	next    int              // the first line that is not written
	waiting map[int]resolved // resolved lines behind it
}

// resolved is a line's end: a fact, or a rejection by intake or by the reader.
type resolved struct {
	rejected bool
	text     []byte
}

func newOutbox(dir string) (*outbox, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("output folder: %w", err)
	}
	o := &outbox{next: 1, waiting: map[int]resolved{}}
	var errs []error
	open := func(name string) *bufio.Writer {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, fmt.Errorf("output folder: %w", err))
			return nil
		}
		o.files = append(o.files, f)
		return bufio.NewWriterSize(f, 1<<18)
	}
	o.facts, o.rejected, o.results = open("facts.jsonl"), open("rejected.jsonl"), open("results.jsonl")
	return o, errors.Join(errs...)
}

// resolve takes a line's end; text is kept. Intake may deliver a record twice: a second rejection says the same again and is left out
// (again). Any other second end of a line is a mistake of the product and an error.
func (o *outbox) resolve(line int, rejected, again bool, text []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, twice := o.waiting[line]; twice || line < o.next {
		if again {
			return nil
		}
		return fmt.Errorf("line %d has two outcomes; the second is %s", line, text)
	}
	o.waiting[line] = resolved{rejected, text}
	for {
		r, ok := o.waiting[o.next]
		if !ok {
			return nil
		}
		delete(o.waiting, o.next)
		o.next++
		w := o.facts
		if r.rejected {
			w = o.rejected
		}
		if _, err := w.Write(r.text); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
	}
}

// written is how many lines from the first on are written.
func (o *outbox) written() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.next - 1
}

func (o *outbox) close() error {
	var errs []error
	for _, w := range []*bufio.Writer{o.facts, o.rejected, o.results} {
		if w != nil {
			errs = append(errs, w.Flush())
		}
	}
	for _, f := range o.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// seen is what a collector hands on, in the order of each partition. The pointers are valid during the call.
type seen struct {
	fact      func(f *schemas.Fact) error
	rejection func(r *schemas.Rejection) error
	result    func(key, value []byte, headers []kgo.RecordHeader, partition int32) error
	event     func(partition int32, offset, appended int64, e *schemas.Event) error // nil: topic events is not read
}

// collect reads the product's topics as any read_committed consumer would, from their start until ctx ends.
func collect(ctx context.Context, brokers []string, s seen) error {
	topics := []string{schemas.Facts.Name, schemas.RejectedRecords.Name, schemas.OperationRealtime}
	if s.event != nil {
		topics = append(topics, schemas.Events.Name)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(100e6))
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	var fact schemas.Fact
	var rejection schemas.Rejection
	var event schemas.Event
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read results: %w", err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			var err error
			switch r.Topic {
			case schemas.Facts.Name:
				if err = schemas.Facts.Codec.Decode(r.Value, &fact); err == nil {
					err = s.fact(&fact)
				}
			case schemas.RejectedRecords.Name:
				if err = schemas.RejectedRecords.Codec.Decode(r.Value, &rejection); err == nil {
					err = s.rejection(&rejection)
				}
			case schemas.Events.Name:
				if err = schemas.Events.Codec.Decode(r.Value, &event); err == nil {
					err = s.event(r.Partition, r.Offset, r.Timestamp.UnixMilli(), &event)
				}
			default:
				err = s.result(r.Key, r.Value, r.Headers, r.Partition)
			}
			if err != nil {
				return fmt.Errorf("topic %s partition %d offset %d: %w", r.Topic, r.Partition, r.Offset, err)
			}
		}
	}
}
