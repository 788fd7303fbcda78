package store_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// counted counts what is written to Redis.
type counted struct {
	net.Conn
	n *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.n.Add(int64(n))
	return n, err
}

// Flushes to the real Redis: customers of so many rows of 30 B, 10 new events each, 2,000 customers a flush. Reports keys/s, bytes on
// the wire per event, and the rate's ratio to redis-benchmark's pipelined SET of values as large as a whole customer, in the same run.
//
//	STREAMGAUGE_TEST_REDIS=host:port go test -run '^$' -bench Flush ./pipeline/store
func BenchmarkFlush(b *testing.B) {
	addr := os.Getenv("STREAMGAUGE_TEST_REDIS")
	if addr == "" {
		b.Skip("STREAMGAUGE_TEST_REDIS names no server: make servers starts one")
	}
	const (
		customers = 2000
		events    = 10
		row       = 30
		header    = 64
	)
	for _, rows := range []int{10, 100} {
		for _, whole := range []bool{true, false} {
			b.Run(fmt.Sprintf("rows=%d/whole=%v", rows, whole), func(b *testing.B) {
				var wire atomic.Int64
				options := store.Settings{Addresses: []string{addr}, Database: database}.Options()
				options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					return counted{c, &wire}, err
				}
				c := redis.NewClient(options)
				defer c.Close()
				if err := c.FlushDB(b.Context()).Err(); err != nil {
					b.Fatal(err)
				}
				s := store.NewRedis(c, 1, partitions)
				length := header + rows*row
				base := at(1)
				do := func(f *store.Flush) {
					if out, err := s.Flush(b.Context(), f); err != nil || out.Now != f.Next {
						b.Fatal(out, err)
					}
					base = f.Next
				}
				do(&store.Flush{Partition: part, Next: base, Entries: many(customers, 1, strings.Repeat("r", length-8))})
				wire.Store(0)
				for b.Loop() {
					f := &store.Flush{Partition: part, Base: base, Next: at(base.Offset + 1), Entries: make([]store.Entry, customers)}
					for i := range f.Entries {
						e := store.Entry{Key: fmt.Appendf(nil, "customer %d", i), LSN: f.Next.Offset}
						if whole {
							e.Value = value(e.LSN, strings.Repeat("r", length+events*row-8)) // retention drops as many rows as come
						} else {
							e.Delta = &store.Delta{FromLSN: base.Offset, Length: length, Header: value(e.LSN, strings.Repeat("h", header-8)), Tail: make([]byte, events*row)}
						}
						f.Entries[i] = e
					}
					do(f)
					if !whole {
						length += events * row
						if length > 8000 { // an owner compacts now and then
							b.StopTimer()
							length = header + rows*row
							n := wire.Load()
							do(&store.Flush{Partition: part, Base: base, Next: at(base.Offset + 1), Entries: many(customers, base.Offset+1, strings.Repeat("r", length-8))})
							wire.Store(n)
							b.StartTimer()
						}
					}
				}
				rate := float64(b.N*customers) / b.Elapsed().Seconds()
				b.ReportMetric(rate, "keys/s")
				b.ReportMetric(float64(wire.Load())/float64(b.N*customers*events), "wireB/event")
				b.ReportMetric(0, "ns/op")
				if ceiling := setCeiling(b, addr, header+(rows+events)*row); ceiling > 0 {
					b.ReportMetric(rate/ceiling, "of-SET")
					b.ReportMetric(ceiling, "SET/s")
				}
			})
		}
	}
}

// setCeiling is what redis-benchmark reaches with pipelined SETs of that size; 0 where it is not installed.
func setCeiling(b *testing.B, addr string, size int) float64 {
	b.Helper()
	host, port, _ := net.SplitHostPort(addr)
	out, err := exec.CommandContext(b.Context(), "redis-benchmark", "-h", host, "-p", port, "--dbnum", strconv.Itoa(database), "-t", "set", "-P", "32", "-d", strconv.Itoa(size), "-n", "300000", "-r", "2000", "-q", "--csv").Output()
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), ","); len(f) > 1 && f[0] == `"SET"` {
			rate, err := strconv.ParseFloat(strings.Trim(f[1], `"`), 64)
			if err != nil {
				b.Fatal(err)
			}
			return rate
		}
	}
	return 0
}
