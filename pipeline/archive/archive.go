// Package archive carries facts from Kafka into ClickHouse, each exactly once, and owns the tables that analysts see.
//
// The way of a fact: archive.go polls topic facts as one member of a consumer group and hands records to the assignment of their
// partition (assignment.go), which collects them into a block [from, end) of the facts topic's offsets and stores it:
//
//  1. commit offset from with the intent {end} in the commit's metadata (intent.go). The group fences it: who is no longer the owner is
//     refused here, and nobody inserts a block whose ends are not on record;
//  2. INSERT the rows as one block under the token topic:partition:from:end (warehouse.go, columns.go), again and again with the same
//     token and the same settings until ClickHouse answers OK;
//  3. the next block's commit, or an idle one, moves the offset to end.
//
// A successor that finds an intent collects exactly that block again and inserts it under the same token: if it was stored, nothing
// happens. ClickHouse writes its deduplication log before it commits the part, so that a kill between the two leaves a token without
// rows. Therefore, after a restart or any error, the block is read back once its token was answered, and rows that are missing go in
// under token#2, are read back again, and so on.
//
// What the package refuses: to start on a table without deduplication windows (migrate.go), to skip a fact, and to guess where an offset
// is gone. A fact that cannot be read goes to topic rejected and the partition moves on. progress.go tells others how far the table is.
package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// Group is the consumer group of the stage.
const Group = "streamgauge-archive"

// Config is what Run needs. The zero value of an optional field means its default.
type Config struct {
	Kafka      []kgo.Opt // how to reach the brokers: seeds, TLS, SASL, logger, hooks
	ClickHouse string    // URL, see Open
	Options              // database and retention

	Topic         string        // default schemas.Facts.Name
	Rejected      string        // topic for facts that cannot be read; default schemas.RejectedRecords.Name
	Group         string        // default Group
	FlushInterval time.Duration // a block is closed this long after its first record; default 1 s, at least 10 ms
	MaxRows       int           // records in a block; default 50,000, at most 1,000,000
	MaxBytes      int           // bytes of records in a block, exceeded by one record at most; default 16 MB
	Writers       int           // blocks that are encoded and sent at once, over all partitions; default 2
	Logger        *slog.Logger  // default slog.Default()
	Counters      *Counters     // default: counted for nobody
}

// Counters is what the archive counts, for whoever exports metrics. All only grow.
type Counters struct {
	Rows     atomic.Int64 // facts stored
	Blocks   atomic.Int64 // blocks stored
	Repaired atomic.Int64 // rows that a reading back found missing and that went in under a further token
	Rejected atomic.Int64 // records of facts that could not be read
	Failures atomic.Int64 // attempts on ClickHouse that failed and were repeated
}

// maxMaxRows keeps a block below the size at which ClickHouse would split it (max_insert_block_size, 1,048,449 rows): a token is good
// for one block only.
const maxMaxRows = 1_000_000

func (c Config) withDefaults() (Config, error) {
	c.Topic = cmp.Or(c.Topic, schemas.Facts.Name)
	c.Rejected = cmp.Or(c.Rejected, schemas.RejectedRecords.Name)
	c.Group = cmp.Or(c.Group, Group)
	c.FlushInterval = cmp.Or(c.FlushInterval, time.Second)
	c.MaxRows = cmp.Or(c.MaxRows, 50_000)
	c.MaxBytes = cmp.Or(c.MaxBytes, 16<<20)
	c.Writers = cmp.Or(c.Writers, 2)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Counters == nil {
		c.Counters = new(Counters)
	}
	options, err := c.Options.withDefaults()
	c.Options = options
	errs := []error{err, checkURL(c.ClickHouse)}
	if c.FlushInterval < 10*time.Millisecond {
		errs = append(errs, fmt.Errorf("archive flush interval %v: want at least 10ms", c.FlushInterval))
	}
	if c.MaxRows < 1 || c.MaxRows > maxMaxRows {
		errs = append(errs, fmt.Errorf("archive max rows %d: want 1 to %d", c.MaxRows, maxMaxRows))
	}
	if c.MaxBytes < 1 {
		errs = append(errs, fmt.Errorf("archive max bytes %d: want at least 1", c.MaxBytes))
	}
	if c.Writers < 1 {
		errs = append(errs, fmt.Errorf("archive writers %d: want at least 1", c.Writers))
	}
	return c, errors.Join(errs...)
}

// archive is one member of the group.
type archive struct {
	cfg       Config
	log       *slog.Logger
	warehouse warehouse
	health    *health
	topic     string      // id of topic facts, hex
	writers   chan []row  // whoever holds one may encode and send; the rows are reused
	client    *kgo.Client // set before the first callback can use it: callbacks take theirs from their arguments
	failed    context.CancelCauseFunc

	mu     sync.Mutex
	owned  map[int32]*assignment // by partition of topic facts
	closed bool                  // no further assignment starts
}

// Run is one member of the archive's group. It migrates the database, then stores facts until ctx ends, and returns nil then: blocks in
// flight get a short grace, the rest is the next member's. Servers that are away are waited for; it fails where waiting cannot help: a
// configuration or table that will not do, an offset that is gone from the log, metadata that no archive wrote, facts that are in the
// table though the group has no offset.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	conn, err := Open(cfg.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	h := &health{log: cfg.Logger, address: address(cfg.ClickHouse)}
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		applied, err := Migrate(ctx, conn, cfg.Options)
		if len(applied) > 0 {
			cfg.Logger.Info("clickhouse migrated", "database", cfg.Database, "applied", applied)
		}
		if err == nil {
			h.up()
			break
		}
		if !unreachable(err) {
			return fmt.Errorf("clickhouse %s: %w", h.address, err)
		}
		if ctx.Err() == nil {
			h.down(err)
		}
		if sleep(ctx, wait) != nil {
			return nil
		}
	}
	return run(ctx, cfg, &table{conn: conn, database: cfg.Database, retention: time.Duration(cfg.RetentionDays) * 24 * time.Hour}, h)
}

func address(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "clickhouse"
	}
	return u.Host
}

// run is Run on a table that is there.
func run(ctx context.Context, cfg Config, w warehouse, h *health) error {
	id, err := topicID(ctx, cfg)
	if err != nil || ctx.Err() != nil {
		return err
	}
	run, failed := context.WithCancelCause(ctx)
	defer failed(nil)
	a := &archive{cfg: cfg, log: cfg.Logger, warehouse: w, health: h, topic: id, failed: failed,
		writers: make(chan []row, cfg.Writers), owned: map[int32]*assignment{}}
	for range cfg.Writers {
		a.writers <- nil
	}
	a.client, err = kgo.NewClient(a.clientOpts(run)...)
	if err != nil {
		return fmt.Errorf("kafka client of group %s: %w", cfg.Group, err)
	}
	err = a.poll(run)
	failed(nil)
	a.close()
	a.client.CloseAllowingRebalance()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// poll hands records to their assignments until ctx ends, and returns why it ended. Rebalances wait for the hand-over and never longer,
// because queues take what they are given and pause their partition instead of blocking.
func (a *archive) poll(ctx context.Context) error {
	for {
		fetches := a.client.PollRecords(ctx, pollRecords)
		if ctx.Err() != nil {
			a.client.AllowRebalance()
			return context.Cause(ctx)
		}
		err := a.take(fetches)
		a.client.AllowRebalance()
		if err != nil {
			return err
		}
	}
}

// pollRecords bounds what a queue can exceed its limit by.
const pollRecords = 20_000

func (a *archive) take(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if err := a.fetchError(e); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if p := a.owned[f.Partition]; p != nil && len(f.Records) > 0 {
			p.queue.push(f.Records)
		}
	})
	return nil
}

// topicID waits for topic facts to be there and returns its id.
func topicID(ctx context.Context, cfg Config) (string, error) {
	client, err := kgo.NewClient(cfg.Kafka...)
	if err != nil {
		return "", fmt.Errorf("kafka client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	warned := false
	for wait := firstBackoff; ; wait = nextBackoff(wait) {
		topics, err := admin.ListTopics(ctx, cfg.Topic)
		if err == nil {
			err = topics[cfg.Topic].Err
		}
		if err == nil {
			return fmt.Sprintf("%x", [16]byte(topics[cfg.Topic].ID)), nil
		}
		if !warned && ctx.Err() == nil {
			cfg.Logger.Warn("topic of facts is not to be had, still trying", "topic", cfg.Topic, "brokers", client.OptValue(kgo.SeedBrokers), "error", err)
			warned = true
		}
		if sleep(ctx, wait) != nil {
			return "", nil
		}
	}
}
