package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// Prepare reaches the brokers and creates or checks the topics, as Run does: for who reads or writes them before Run has begun.
func Prepare(ctx context.Context, t *topology.Topology, env *Env) error {
	admin, err := env.connectKafka(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	return env.trying(ctx, "topics", func() error { return env.topics(ctx, admin, t) })
}

func (e *Env) topics(ctx context.Context, admin *kadm.Client, t *topology.Topology) error {
	if err := ensureTopics(ctx, admin, t, e.Config.Kafka); err != nil {
		return fmt.Errorf("topics:\n%w", err)
	}
	return nil
}

// prepare creates or checks the topics, publishes the first configuration, and returns the id of topic events. Brokers that restart in
// the middle of it are waited for like those that are not there at first; a mistake is said at once.
func (e *Env) prepare(ctx context.Context, admin *kadm.Client, t *topology.Topology) (log string, err error) {
	err = e.trying(ctx, "topics and configuration", func() error {
		if err := e.topics(ctx, admin, t); err != nil {
			return err
		}
		if err := e.publishRules(ctx, admin); err != nil {
			return err
		}
		log, err = topicID(ctx, admin, schemas.Events.Name)
		return err
	})
	return log, err
}

// trying calls fn until it succeeds, meets an error that does not pass by itself, or kafka.startup_wait is over.
func (e *Env) trying(ctx context.Context, what string, fn func() error) error {
	limit := time.Duration(e.Config.Kafka.StartupWait)
	deadline := time.Now().Add(limit)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		err := fn()
		switch {
		case err == nil || ctx.Err() != nil || !passes(err):
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("kafka: tried for %s (kafka.startup_wait): %w", limit, err)
		}
		e.Log.Warn("brokers do not answer for the preparation, trying on", "what", what, "retry_seconds", pause.Seconds(), "error", err)
		wait(ctx, pause)
	}
}

// passes reports whether every part of an error may be gone at the next try: connections that break, brokers that move what they lead.
func passes(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok { // the parts of a join, one by one
		parts := many.Unwrap()
		for _, part := range parts {
			if !passes(part) {
				return false
			}
		}
		return len(parts) > 0
	}
	var atOnce *kgo.ErrFirstReadEOF
	if errors.As(err, &atOnce) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || kgo.IsRetryableBrokerErr(err) || kerr.IsRetriable(err) {
		return true
	}
	if inner := errors.Unwrap(err); inner != nil {
		return passes(inner)
	}
	return false
}
