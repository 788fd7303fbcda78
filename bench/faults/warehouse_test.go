package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/archive"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

// warehouse asks the archive's table. A nil one is an installation without an archive and finds everything right.
type warehouse struct {
	*installation
	conn driver.Conn
}

// place is a fact's identity.
type place struct {
	generation, partition uint16
	offset                uint64
	seq                   uint16
}

// warehouse connects to the ClickHouse of the configuration.
func (in *installation) warehouse() *warehouse {
	in.t.Helper()
	if in.config.ClickHouse.URL == "" {
		return nil
	}
	conn, err := archive.Open(in.config.ClickHouse.URL)
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { conn.Close() })
	return &warehouse{in, conn}
}

// awaitBlock waits until archive stores another block.
func (w *warehouse) awaitBlock() {
	if w == nil {
		return
	}
	w.t.Helper()
	ctx, cancel := context.WithTimeoutCause(w.ctx, firstCommit, fmt.Errorf("no block within %s", firstCommit))
	defer cancel()
	before := w.onceEach()
	await(ctx, w.t, "stage archive", func() string {
		if rows := w.onceEach(); rows <= before {
			return fmt.Sprintf("%d rows, %d before", rows, before)
		}
		return ""
	})
}

// onceEach holds that no fact is there twice, however far the archive is.
func (w *warehouse) onceEach() (rows uint64) {
	if w == nil {
		return 0
	}
	w.t.Helper()
	var there bool
	err := w.conn.QueryRow(w.ctx, fmt.Sprintf("SELECT count() > 0 FROM system.tables WHERE database = '%s' AND name = 'facts'", w.config.ClickHouse.Database)).Scan(&there)
	if err != nil {
		w.t.Fatal(err)
	}
	if !there { // killed before the first migration
		return 0
	}
	var distinct uint64
	err = w.conn.QueryRow(w.ctx, "SELECT count(), uniqExact(generation, partition, offset, seq) FROM "+w.config.ClickHouse.Database+".facts").Scan(&rows, &distinct)
	if err != nil {
		w.t.Fatal(err)
	}
	if rows != distinct {
		w.t.Errorf("ClickHouse has %d rows of %d facts", rows, distinct)
	}
	return rows
}

// holdsEveryFact waits until the archive says that it has stored every committed fact, and holds the table's places against the topic's.
func (w *warehouse) holdsEveryFact() {
	if w == nil {
		return
	}
	w.t.Helper()
	facts := map[place]bool{}
	next := map[int32]int64{}
	read(w.ctx, w.t, schemas.Facts.Name, func(r *kgo.Record) {
		var f schemas.Fact
		if err := schemas.Facts.Codec.Decode(r.Value, &f); err != nil {
			w.t.Error(err)
			return
		}
		facts[place{uint16(f.Generation), uint16(f.Partition), uint64(f.Offset), uint16(f.Seq)}] = true
		next[r.Partition] = r.Offset + 1
	}, w.reach()...)
	began := time.Now()
	await(w.ctx, w.t, "archive", func() string {
		got, err := archive.Progress(w.ctx, w.cl, schemas.Facts.Name, w.topo.Stage(topology.StageArchive).Group)
		if err != nil {
			return err.Error()
		}
		for p, want := range next {
			if got[p] < want {
				return fmt.Sprintf("facts partition %d is stored up to offset %d of %d", p, got[p], want)
			}
		}
		return ""
	})
	waited := time.Since(began)
	rows := w.onceEach()
	if int(rows) != len(facts) {
		w.t.Errorf("ClickHouse has %d rows, topic facts has %d", rows, len(facts))
	}
	w.without(facts)
	w.t.Logf("ClickHouse: count() = uniqExact(generation, partition, offset, seq) = %d = committed facts, %s after they were", rows, waited.Round(time.Millisecond))
}

// without reads the table and reports places that are in it alone or in facts alone.
func (w *warehouse) without(facts map[place]bool) {
	w.t.Helper()
	found, err := w.conn.Query(w.ctx, "SELECT generation, partition, offset, seq FROM "+w.config.ClickHouse.Database+".facts")
	if err != nil {
		w.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var p place
		if err := found.Scan(&p.generation, &p.partition, &p.offset, &p.seq); err != nil {
			w.t.Fatal(err)
		}
		if !facts[p] {
			w.t.Errorf("ClickHouse has %+v, which topic facts has not, or has it twice", p)
		}
		delete(facts, p)
	}
	if err := found.Err(); err != nil {
		w.t.Fatal(err)
	}
	for p := range facts {
		w.t.Errorf("ClickHouse has not %+v", p)
		return // one of them says it
	}
}
