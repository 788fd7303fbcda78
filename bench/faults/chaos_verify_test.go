package faults

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// verify holds everything that is left after an orderly end against what must be: each input record in events or rejected (nothing lost
// by intake), each record of events with its one fact, result and rejection (the oracle's), and the window store level with the offsets, no customer beyond them.
func (c *cluster) verify(feed *feed) {
	c.t.Helper()
	began := time.Now()
	c.nothingHalted()
	report := compare(c.ctx, c.t, c.reach()...)
	c.t.Logf("held against the oracle in %s", time.Since(began).Round(time.Second))
	c.levelWithWindows()
	c.customersAreCommitted()
	events, rejected := c.everyInputArrived(feed.sent.Load())
	if report.Rejections.Seen == 0 {
		c.t.Error("monitor rejected nothing: the workload holds conflicts and future stamps")
	}
	c.t.Logf("%d records sent became %d events and %d rejections: %s", feed.sent.Load(), events, rejected, report.String())
	c.t.Logf("outcomes %v", report.Outcomes)
}

// nothingHalted looks for what a person would have to look at: no fault here is one that may need it.
func (c *cluster) nothingHalted() {
	c.t.Helper()
	for i := range c.workers {
		text, err := os.ReadFile(c.logOf(i))
		if err != nil {
			c.t.Error(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "halted") || strings.Contains(line, "panic:") || strings.Contains(line, "BUG") {
				c.t.Errorf("replica %d said: %s", i, line)
				break
			}
		}
	}
}

// everyInputArrived holds the input topics against what intake made of them: at least one event or rejection per record.
func (c *cluster) everyInputArrived(sent int64) (events, rejections int) {
	c.t.Helper()
	arrived := map[schemas.Origin]bool{}
	read(c.ctx, c.t, schemas.Events.Name, func(r *kgo.Record) {
		var e schemas.Event
		if schemas.Events.Codec.Decode(r.Value, &e) == nil && e.Kind != schemas.KindControl {
			arrived[clonedOrigin(e.Origin)] = true
			events++
		}
	}, c.reach()...)
	read(c.ctx, c.t, schemas.RejectedRecords.Name, func(r *kgo.Record) {
		var j schemas.Rejection
		if err := schemas.RejectedRecords.Codec.Decode(r.Value, &j); err != nil {
			c.t.Errorf("rejection at partition %d offset %d: %v", r.Partition, r.Offset, err)
		}
		if j.Stage == topology.StageIntake {
			arrived[clonedOrigin(j.Origin)] = true
			rejections++
		}
	}, c.reach()...)
	inputs, lost := int64(0), 0
	for _, topic := range []string{schemas.Payments, schemas.Transactions} {
		read(c.ctx, c.t, topic, func(r *kgo.Record) {
			inputs++
			if !arrived[schemas.Origin{Topic: topic, Partition: r.Partition, Offset: r.Offset}] {
				if lost++; lost <= 10 {
					c.t.Errorf("topic %s partition %d offset %d became neither an event nor a rejection: %.100q", topic, r.Partition, r.Offset, r.Value)
				}
			}
		}, c.reach()...)
	}
	if inputs != sent {
		c.t.Errorf("%d records were sent and acknowledged, the input topics have %d", sent, inputs)
	}
	if lost > 0 {
		c.t.Errorf("%d of %d input records are lost", lost, inputs)
	}
	return events, rejections
}

func clonedOrigin(o schemas.Origin) schemas.Origin {
	o.Topic = strings.Clone(o.Topic)
	return o
}

// customersAreCommitted holds the log position in each stored customer's header against the group's offset (I7).
func (c *cluster) customersAreCommitted() {
	c.t.Helper()
	got, err := c.admin.FetchOffsets(c.ctx, c.topo.Stage(topology.StageMonitor).Group)
	if err != nil {
		c.t.Fatal(err)
	}
	n := 0
	var mu sync.Mutex // masters are asked at the same time
	one := func(client *redis.Client, p int32, at int64, key string) {
		head, err := client.GetRange(c.ctx, key, 0, 7).Bytes()
		mu.Lock()
		defer mu.Unlock()
		if err != nil || len(head) != 8 {
			c.t.Errorf("partition %d: %s: header of %d bytes, %v", p, key, len(head), err)
		} else if lsn := binary.BigEndian.Uint64(head); lsn > uint64(at) {
			c.t.Errorf("partition %d: %s reflects the log up to offset %d, the group committed %d", p, key, lsn, at)
		}
		n++
	}
	for p := range c.config.Kafka.Partitions {
		at, _ := got.Lookup(schemas.Events.Name, p)
		err := c.eachMaster(c.ctx, func(ctx context.Context, client *redis.Client) error {
			keys := client.Scan(ctx, 0, fmt.Sprintf("{%d.%d.*}:h:*", c.config.Generation, p), 1000).Iterator()
			for keys.Next(ctx) {
				one(client, p, at.At, keys.Val())
			}
			return keys.Err()
		})
		if err != nil {
			c.t.Fatal(err)
		}
	}
	if n == 0 {
		c.t.Error("the window store holds no customer")
	}
	c.t.Logf("the window store holds %d customers, none beyond what is committed", n)
}
