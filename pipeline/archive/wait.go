package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"
)

// Waits between attempts on a server that is away: the first short enough to pass a restart unnoticed, the last not to fill its log.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// nextBackoff doubles with a little chance in it, so that partitions do not knock all at once.
func nextBackoff(d time.Duration) time.Duration {
	return min(2*d-rand.N(d/4), lastBackoff)
}

// sleep waits, or fails with ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// health logs when ClickHouse goes away or comes back, and nothing in between.
type health struct {
	log     *slog.Logger
	address string

	mu    sync.Mutex
	since time.Time // of the first failure; zero while it answers
}

func (h *health) down(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() {
		h.since = time.Now()
		h.log.Warn("clickhouse does not take facts, still trying", "address", h.address, "error", brief(err))
	}
}

// brief is an error's text without the long URL that the HTTP transport puts into it, cut off where a server's exception goes on and on.
func brief(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	return fmt.Sprintf("%.300s", err.Error())
}

func (h *health) up() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.since.IsZero() {
		h.log.Info("clickhouse takes facts again", "address", h.address, "away_seconds", time.Since(h.since).Seconds())
		h.since = time.Time{}
	}
}
