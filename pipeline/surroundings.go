package pipeline

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// Surroundings are what a lane reaches outside of itself. The lane's own code calls no client, no clock and no go statement but through
// them, so that another session can take the first one's place, and a simulation can drive the lane step by step. Of the Kafka client
// the lane knows the record, as a struct.
type Surroundings struct {
	Join  func(ctx context.Context) (Session, error) // a new session under the lane's own names; it fences an earlier one
	Log   Log
	Past  Past
	Store store.Store
	Clock Clock
	Go    func(work func()) // starts work beside the lane; work ends by itself, within the store's time limits
}

// Session is one lane's member of the monitor group, and its producer, whose transactions carry results, facts and offsets together.
// It belongs to one goroutine. After an error of Begin, Commit or Abort it must be closed and another one joined: the commit may have
// been applied, and going on writes a batch twice.
type Session interface {
	Consumer
	Producer
	// Committed are the group's committed places, of transactions that are decided: where one is open, it waits for its end.
	Committed(ctx context.Context) (map[int32]Place, error)
	// Close gives the session up. It makes no request that has an effect on what was committed.
	Close()
}

// Consumer is the half of a Session that reads.
type Consumer interface {
	// Poll waits at most wait for records, at most limit of them, in log order by partition; transaction markers are among them.
	// From here until Allow the group takes no partition away. An error ends the lane: somebody has to look.
	Poll(ctx context.Context, wait time.Duration, limit int) (Polled, error)
	// Allow lets the group take partitions again.
	Allow()
	// Owned takes the changes of ownership since the last call, in order. No record of a gained partition is polled before its change
	// can be taken here.
	Owned() []Ownership
	// Pause keeps a partition's records back until Resume, which goes on at offset. Records that were polled and not committed come
	// again only by that.
	Pause(partition int32)
	Resume(partition int32, offset int64)
}

// Producer is the half of a Session that writes.
type Producer interface {
	Begin() error
	// Produce adds a record to the open transaction. Key and value stay the caller's until the transaction has ended.
	Produce(r *kgo.Record)
	// Commit ends the transaction with these places of the group. It answers false without an error where an abort was made of it, by a
	// rebalance or a broker: the consumer stands at the last committed offsets then, and the same records come again. So they do after
	// an ErrUnwritten; after an ErrRefused the same would happen for ever. After any other error the outcome is not known.
	Commit(ctx context.Context, places []Place) (committed bool, err error)
	// Abort ends the transaction with nothing; the consumer stands at the last committed offsets then.
	Abort(ctx context.Context) error
}

// Errors of Commit whose transaction was aborted for sure.
var (
	ErrUnwritten = errors.New("not everything could be written, the transaction was aborted")
	ErrRefused   = errors.New("the brokers refuse what is written, the transaction was aborted")
)

// Polled is what one poll brought.
type Polled struct {
	Parts  []Records
	Halted []*HaltError // partitions of events that cannot be read on
}

// Records are one partition's, in log order.
type Records struct {
	Partition int32
	Records   []*kgo.Record // never empty
}

// Place is how far the group has committed one partition.
type Place struct {
	Partition int32
	Offset    int64  // of the next record to judge; −1: the group never committed it
	Metadata  string // what the committer said of it
}

// Ownership is one change of what the lane owns.
type Ownership struct {
	Partition int32
	Gained    bool
	Committed Place // of a gained partition
	Start     int64 // of a gained partition that the group never committed: the log's first offset, where the session begins
}

// Log reads topics of ours past any group, committed records only.
type Log interface {
	// Bounds are the first offset of each partition of a topic and the one behind the last decided record.
	Bounds(ctx context.Context, topic string) ([]Bound, error)
	// Read calls fn for the committed records of one partition with from ≤ offset < to, in order. Offsets that hold no such record
	// (transaction markers, aborted ones) are passed over; it ends when the position reaches to, not when a certain record was seen.
	// It fails with ErrBehindLog where the log begins behind from.
	Read(ctx context.Context, topic string, partition int32, from, to int64, fn func(*kgo.Record) error) error
}

// ErrBehindLog is a place that the log no longer holds.
var ErrBehindLog = errors.New("the log begins behind that offset")

// Bound is where one partition begins and ends.
type Bound struct {
	Partition  int32
	Start, End int64
}

// Clock is the time of the machine. It decides when things are done, never what comes out.
type Clock interface {
	Now() time.Time
	// Sleep waits for d or until ctx ends.
	Sleep(ctx context.Context, d time.Duration)
	// Timeout is context.WithTimeout on this clock.
	Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// wallClock is the Clock of a running process.
type wallClock struct{}

func (wallClock) Now() time.Time                             { return time.Now() }
func (wallClock) Sleep(ctx context.Context, d time.Duration) { wait(ctx, d) }

func (wallClock) Timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// goroutine is Surroundings.Go of a running process.
func goroutine(work func()) { go work() }

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
