//go:build synctests

package faults

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streamgauge/streamgauge/operators/rule"
	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
)

// The client calls it an abort and rewinds; the broker had applied it.
func TestProduct_AppliedCommitThatIsAnsweredUnknownIsNotJudgedTwice(t *testing.T) {
	each(t, 4000, func(tr *trial, ctx context.Context) {
		for tr.pause(ctx, 60*time.Millisecond) {
			tr.lies.Store(1)
		}
		tr.lies.Store(0)
		if tr.lied.Load() == 0 {
			tr.t.Error("no answer was changed: the fault did not happen")
		}
	})
}

// A process that dies between TxnOffsetCommit and EndTxn leaves unstable offsets; its successor must not wait for their transaction to
// time out.
func TestProduct_KilledBeforeEndTxnCommitsAgainAtOnce(t *testing.T) {
	run(t, 1, 3000, func(tr *trial, _ context.Context) {
		tr.pace.Store(int64(200 * time.Millisecond))
		time.Sleep(2 * time.Second)
		const (
			killNext = iota + 1
			refuse
			watch
		)
		var phase atomic.Int32
		killed, committed := make(chan struct{}), make(chan struct{}, 1)
		tr.broker.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
			tr.broker.KeepControl()
			switch phase.Load() {
			case killNext:
				phase.Store(refuse)
				tr.product.dead.Store(true)
				close(killed)
				return nil, errors.New("gone"), true
			case refuse:
				return nil, errors.New("gone"), true
			case watch:
				if req.(*kmsg.EndTxnRequest).Commit {
					select {
					case committed <- struct{}{}:
					default:
					}
				}
			}
			return nil, nil, false
		})
		phase.Store(killNext)
		<-killed
		tr.product.kill()
		phase.Store(watch)
		began := time.Now()
		tr.product = tr.start()
		<-committed
		if took := time.Since(began); took > 3*time.Second { // far below the 8 s of the transaction timeout; group and metadata take up to 1 s
			tr.t.Errorf("committing again %s after the restart, want at once", took)
		}
	})
}

// A lane that is told to stop while no broker answers gives its records up; the client would keep them for ever.
func TestProduct_StopsThoughNoBrokerAnswers(t *testing.T) {
	run(t, 1, 1000, func(tr *trial, _ context.Context) {
		tr.pace.Store(int64(200 * time.Millisecond))
		time.Sleep(2 * time.Second)
		var armed atomic.Bool
		away := make(chan struct{})
		tr.broker.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			tr.broker.KeepControl()
			if req.(*kmsg.ProduceRequest).TransactionID == nil || !armed.CompareAndSwap(true, false) {
				return nil, nil, false
			}
			tr.product.dead.Store(true)
			close(away)
			return nil, errors.New("gone"), true
		})
		armed.Store(true)
		<-away
		began := time.Now()
		tr.product.kill()
		if took := time.Since(began); took > 6*time.Second {
			tr.t.Errorf("the product took %s to stop", took)
		}
		tr.product = tr.start()
	})
}

// A broker that moves the leader of topic config just when the log names a new configuration is no reason to halt.
func TestProduct_ConfigurationsThatCannotBeReadForAMomentAreWaitedFor(t *testing.T) {
	run(t, 1, 500, func(tr *trial, ctx context.Context) {
		tr.pace.Store(int64(300 * time.Millisecond))
		time.Sleep(200 * time.Millisecond)
		var away, refused atomic.Int64
		tr.broker.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
			tr.broker.KeepControl()
			if req.(*kmsg.EndTxnRequest).TransactionalID == "streamgauge-apply" {
				away.Store(time.Now().Add(3 * time.Second).UnixNano())
			}
			return nil, nil, false
		})
		tr.broker.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			tr.broker.KeepControl()
			r := req.(*kmsg.ListOffsetsRequest)
			if time.Now().UnixNano() > away.Load() || r.Topics[0].Topic != schemas.Configurations.Name {
				return nil, nil, false
			}
			refused.Add(1)
			resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
			topic := kmsg.NewListOffsetsResponseTopic()
			topic.Topic = r.Topics[0].Topic
			partition := kmsg.NewListOffsetsResponseTopicPartition()
			partition.ErrorCode = kerr.NotLeaderForPartition.Code
			topic.Partitions = append(topic.Partitions, partition)
			resp.Topics = append(resp.Topics, topic)
			return resp, nil, true
		})
		// The library with one comment more: another text, so another version, and the same verdicts.
		files := rule.Library()
		files[0].Content += "# again\n"
		if a, err := pipeline.Apply(ctx, tr.env(tr.dial), files, false); err != nil || !a.Changed {
			tr.t.Errorf("apply: %+v, %v", a, err)
		}
		time.Sleep(10 * time.Second)
		if refused.Load() == 0 {
			tr.t.Error("nothing was refused: the fault did not happen")
		}
	})
}
