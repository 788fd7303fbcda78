package peers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// Outcome is what a round left on the topics, as a read_committed consumer sees it.
type Outcome struct {
	Facts       int64 `json:"facts"`        // records of topic facts
	FactBytes   int64 `json:"fact_bytes"`   // of their values
	Results     int64 `json:"results"`      // records of topic operation-realtime
	ResultBytes int64 `json:"result_bytes"` // of their values and headers
	Rejected    int64 `json:"rejected"`     // records of topic rejected
	Commits     int64 `json:"commits"`      // ends of transactions in the partitions of topic facts
}

// outcomeWithin bounds the reading of a round's outcome; a million records take some seconds.
const outcomeWithin = 5 * time.Minute

// readOutcome reads the topics from their start to their last stable offset.
func readOutcome(ctx context.Context, brokers []string) (o Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, outcomeWithin)
	defer cancel()
	topics := []string{schemas.Facts.Name, schemas.OperationRealtime, schemas.RejectedRecords.Name}
	// Control records tell the reader that a partition's end is reached, which is the end of a transaction wherever anything is.
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.MetadataMinAge(20*time.Millisecond))
	if err != nil {
		return o, fmt.Errorf("kafka: %w", err)
	}
	defer cl.Close()
	left := map[topicPartition]int64{} // offset of the last record of partitions that were not read to the end
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topics...)
	if err = errors.Join(err, ends.Error()); err != nil {
		return o, fmt.Errorf("kafka: list offsets: %w", err)
	}
	ends.Each(func(e kadm.ListedOffset) {
		if e.Offset > 0 {
			left[topicPartition{e.Topic, e.Partition}] = e.Offset - 1
		}
	})
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return o, fmt.Errorf("read what the round wrote: %w", err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			o.add(r)
			if at := (topicPartition{r.Topic, r.Partition}); r.Offset >= left[at] {
				delete(left, at)
			}
		})
	}
	return o, nil
}

type topicPartition struct {
	topic     string
	partition int32
}

func (o *Outcome) add(r *kgo.Record) {
	switch {
	case r.Attrs.IsControl():
		if r.Topic == schemas.Facts.Name {
			o.Commits++
		}
	case r.Topic == schemas.Facts.Name:
		o.Facts++
		o.FactBytes += int64(len(r.Value))
	case r.Topic == schemas.OperationRealtime:
		o.Results++
		o.ResultBytes += int64(len(r.Value) + headerBytes(r.Headers))
	default:
		o.Rejected++
	}
}

func headerBytes(headers []kgo.RecordHeader) (n int) {
	for _, h := range headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// check holds what must be there after so many events and control records: one fact for each of both, one result for each event, no
// rejection. It names every difference.
func (o *Outcome) check(events, controls int64) error {
	var bad []error
	for _, c := range []struct {
		what      string
		got, want int64
	}{{"facts", o.Facts, events + controls}, {"results", o.Results, events}, {"rejections", o.Rejected, 0}} {
		if c.got != c.want {
			bad = append(bad, fmt.Errorf("%d %s, want %d of %d events and %d control records", c.got, c.what, c.want, events, controls))
		}
	}
	return errors.Join(bad...)
}
