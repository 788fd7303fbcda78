package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/topology"
)

func TestPrepare_PassingErrorsAreToldFromMistakes(t *testing.T) {
	mistake := errors.New("topic events: 4 partitions, want 8")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&kgo.ErrFirstReadEOF{}, true},
		{fmt.Errorf("topics:\n%w", errors.Join(fmt.Errorf("describe: %w", io.EOF))), true},
		{kerr.NotLeaderForPartition, true},
		{fmt.Errorf("list: %w", context.DeadlineExceeded), true},
		{mistake, false},
		{errors.Join(io.EOF, mistake), false}, // said at once, whatever else passes
		{kerr.TopicAuthorizationFailed, false},
	} {
		if got := passes(c.err); got != c.want {
			t.Errorf("%v: passes %v, want %v", c.err, got, c.want)
		}
	}
}

func TestPrepare_BrokersThatGoAwayInTheMiddleAreWaitedForAndMistakesAreNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := &Env{Config: topology.DefaultConfig(), Log: slog.New(slog.DiscardHandler)}
		calls := 0
		err := env.trying(t.Context(), "topics", func() error {
			if calls++; calls < 5 {
				return io.EOF
			}
			return nil
		})
		if err != nil || calls != 5 {
			t.Errorf("%d calls, error %v", calls, err)
		}
		began, mistake := time.Now(), errors.New("4 partitions, want 8")
		if err := env.trying(t.Context(), "topics", func() error { return mistake }); !errors.Is(err, mistake) || time.Since(began) > 0 {
			t.Errorf("a mistake is said after %s: %v", time.Since(began), err)
		}
		if err := env.trying(t.Context(), "topics", func() error { return io.EOF }); !errors.Is(err, io.EOF) || time.Since(began) > 40*time.Second {
			t.Errorf("given up after %s with %v, kafka.startup_wait is 30 s", time.Since(began), err)
		}
	})
}
