package pipeline

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kslog"

	"github.com/streamgauge/streamgauge/pipeline/store"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// Env is what Run finds outside: the configuration, the servers' clients are made from it here and nowhere else.
type Env struct {
	Config  topology.Config
	Log     *slog.Logger
	Ordinal int    // of this process among its replicas; names its lanes
	Dial    Dialer // how brokers are reached; nil: plain TCP
	TLS     *tls.Config
	Stages  []string // names of the stages that Run runs; empty: all

	// Store replaces Redis in tests that break it on purpose; nil: Redis by configuration.
	Store store.Store
}

// Dialer reaches a broker; tests put faults between.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Client settings (where each number comes from is in the design's measurements of franz-go and of the real broker).
const (
	metadataMinAge    = 20 * time.Millisecond // default 5 s: a Produce after EndTxn that gets CONCURRENT_TRANSACTIONS waits for it
	firstBackoff      = 5 * time.Millisecond  // default 250 ms
	lastBackoff       = 250 * time.Millisecond
	concurrentBackoff = 2 * time.Millisecond // default 20 ms
	txnTimeout        = 8 * time.Second      // a killed lane's transaction stalls its partitions at most so long
	sessionTimeout    = 10 * time.Second     // a static member that does not come back is replaced after it
	heartbeatInterval = time.Second
	requestTimeout    = 10 * time.Second      // how long a request is retried before a lane counts as lost
	maxBatchBytes     = 1<<20 - 1<<12         // below the default max.message.bytes of brokers, 1 MiB
	maxRejectionBytes = topology.MaxRejection // topic rejected takes more: it wraps records of that size
	maxInflated       = 32 << 20              // a fetched batch; 1 MiB of JSON packs 10 to 15 times as much, the client's default is 1 GiB
)

// kafkaOpts are the options that every client of ours shares.
func (e *Env) kafkaOpts(name string) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(e.Config.Kafka.Brokers...),
		kgo.ClientID("streamgauge-" + name),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(firstBackoff<<min(n, 10), lastBackoff) }),
		kgo.RetryTimeout(requestTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytesFn(func(topic string) int32 {
			if topic == schemas.RejectedRecords.Name {
				return maxRejectionBytes
			}
			return maxBatchBytes
		}),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.MaxDecompressBatchBytes(maxInflated),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.WithLogger(clientLog{kslog.New(e.Log.With("client", name))}),
	}
	if e.Dial != nil {
		opts = append(opts, kgo.Dialer(e.Dial))
	}
	if e.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(e.TLS))
	}
	return opts
}

// connectStore reaches Redis, or takes the store that the environment brings.
func (e *Env) connectStore(ctx context.Context) (store.Store, func(), error) {
	if e.Store != nil {
		return e.Store, func() {}, nil
	}
	c := e.Config.Redis
	redisIsQuiet.Do(logging.Disable)
	settings := store.Settings{Addresses: c.Nodes(), Cluster: c.Cluster, Database: c.Database, Username: c.Username, Password: c.Password}
	var client redis.UniversalClient
	var mistake error
	err := e.reach(ctx, "redis", strings.Join(settings.Addresses, ","), func(ctx context.Context) (err error) {
		client, err = store.Open(ctx, settings)
		if errors.Is(err, store.ErrOperator) {
			mistake = err
			return nil // trying on is in vain
		}
		return err
	})
	if err = errors.Join(mistake, err); err != nil {
		return nil, nil, err
	}
	return store.NewRedis(client, e.Config.Generation, e.Config.Kafka.Partitions), func() { client.Close() }, nil
}

// redisIsQuiet keeps the Redis client from writing to standard error past our log: what it would say comes back as errors.
var redisIsQuiet sync.Once

// connectKafka makes an admin client on reachable brokers; the caller closes it.
func (e *Env) connectKafka(ctx context.Context) (*kadm.Client, error) {
	cl, err := kgo.NewClient(append(e.kafkaOpts("admin"), kgo.RetryTimeout(time.Second))...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if err := e.reach(ctx, "kafka", fmt.Sprint(e.Config.Kafka.Brokers), cl.Ping); err != nil {
		cl.Close()
		return nil, err
	}
	return kadm.NewClient(cl), nil
}

// reach tries a server until it answers, with backoff from 100 ms to 2 s, and gives up after the configuration's startup_wait.
func (e *Env) reach(ctx context.Context, what, address string, ping func(context.Context) error) error {
	wait := time.Duration(e.Config.Kafka.StartupWait)
	deadline, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var last error
	for tries, pause := 1, 100*time.Millisecond; ; tries, pause = tries+1, min(2*pause, 2*time.Second) {
		once, done := context.WithTimeout(ctx, 3*time.Second)
		last = ping(once)
		done()
		if last == nil {
			return nil
		}
		if tries == 1 {
			e.Log.Warn("server does not answer, trying on", "server", what, "address", address, "wait", wait, "error", last)
		}
		select {
		case <-time.After(pause):
		case <-deadline.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("%s at %s: not reached in %s, tried %d times: %w. Is it running there? kafka.startup_wait is how long to try", what, address, wait, tries, last)
		}
	}
}

// clientLog leaves out what the Kafka client says of its ordinary life: several lines a transaction.
type clientLog struct{ *kslog.Logger }

// Level implements kgo.Logger.
func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }
