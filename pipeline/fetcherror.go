package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchErrors finds what a stage cannot go on from: partitions whose logs somebody has to look at, and what ends the stage. Broken
// connections, and a group that a member must join again, the client mends by itself; they are logged, and waited for: some come back
// from every poll at once.
func fetchErrors(ctx context.Context, log *slog.Logger, fetches kgo.Fetches) (halted []*HaltError, fatal error) {
	disturbed := false
	fetches.EachError(func(topic string, p int32, err error) {
		switch {
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed), fatal != nil:
		case errors.Is(err, kgo.ErrMaxDecompress): // each stage's own affair
		case errors.Is(err, kerr.FencedInstanceID):
			fatal = fmt.Errorf("%w; give each replica its own STREAMGAUGE_ORDINAL: %w", errFenced, err)
		case isLost(err):
			halted = append(halted, &HaltError{Topic: topic, Partition: p, Reason: fmt.Sprintf("%v. The log was truncated or the topic recreated: what was judged and what is there no longer belong together", err)})
		case isRefused(err):
			fatal = fmt.Errorf("reading %s: %w", topic, err)
		default:
			disturbed = true
			log.Warn("reading is disturbed, trying on", "topic", topic, "partition", p, "error", err)
		}
	})
	if disturbed && fatal == nil && len(halted) == 0 {
		wait(ctx, disturbedPause)
	}
	return halted, fatal
}

// fetchError is fetchErrors for a stage that ends with its first halt.
func fetchError(ctx context.Context, log *slog.Logger, fetches kgo.Fetches) error {
	halted, err := fetchErrors(ctx, log, fetches)
	if err == nil && len(halted) > 0 {
		return halted[0]
	}
	return err
}

// disturbedPause keeps a stage whose reading fails at once from filling the log: ten lines a second.
const disturbedPause = 100 * time.Millisecond

// inflated finds batches that decompress to more than maxInflated. The client has stopped at them.
func inflated(fetches kgo.Fetches) (found []*kgo.ErrDecompressTooLarge) {
	fetches.EachError(func(_ string, _ int32, err error) {
		var e *kgo.ErrDecompressTooLarge
		if errors.As(err, &e) {
			found = append(found, e)
		}
	})
	return found
}

// isLost is an error after which the position in the log means nothing any more.
func isLost(err error) bool {
	var loss *kgo.ErrDataLoss
	return errors.As(err, &loss) || errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID)
}

// isRefused is an error that only another configuration ends.
func isRefused(err error) bool {
	for _, refusal := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed, kerr.UnsupportedVersion} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// errFenced is a static member whose name another one has taken.
var errFenced = errors.New("another process runs under this one's names")

// fences are the times at which a lane's name was taken from it. A join that a killed predecessor left in the network takes it once;
// another process that runs under the same name takes it again and again.
type fences []time.Time

const (
	maxFences  = 3
	fenceRange = 2 * sessionTimeout
)

// again notes one more and reports whether it is the maxFences-th within fenceRange: there is another process.
func (f *fences) again(now time.Time) bool {
	*f = append(*f, now)
	if len(*f) > maxFences {
		*f = (*f)[1:]
	}
	return len(*f) == maxFences && now.Sub((*f)[0]) <= fenceRange
}
