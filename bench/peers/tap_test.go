package peers

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/streamgauge/streamgauge/bench/generator"
)

// TestTap_CountsWhatWritesToTheByteAndChangesNothing.
func TestTap_CountsWhatWritesToTheByteAndChangesNothing(t *testing.T) {
	server := miniredis.RunT(t)
	tp, err := newTap(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer tp.close()
	client := redis.NewClient(&redis.Options{Addr: tp.address(), DisableIdentity: true})
	defer client.Close()
	set := `for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[i]) end return #KEYS`
	sha, err := client.ScriptLoad(t.Context(), set).Result()
	if err != nil {
		t.Fatal(err)
	}
	before, err := tp.after(t, counts{}, 1)
	if err != nil || before.writes != 0 || before.keys != 0 || before.others == 0 {
		t.Fatalf("before the first write: %+v, %v", before, err)
	}
	value := strings.Repeat("v\r\n", 500) // lengths rule, not line ends
	if n, err := client.EvalSha(t.Context(), sha, []string{"{1}:m", "{1}:a", "{1}:b"}, "marker", value, "").Int(); n != 3 || err != nil {
		t.Fatalf("through the tap: %d, %v", n, err)
	}
	request := ""
	for _, arg := range []string{"evalsha", sha, "3", "{1}:m", "{1}:a", "{1}:b", "marker", value, ""} {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(arg), arg)
	}
	q, err := readRequest(bufio.NewReader(strings.NewReader("*9\r\n" + request)))
	if want := (asked{bytes: int64(len("*9\r\n") + len(request)), keys: 3, names: 15, values: 6 + int64(len(value))}); err != nil || q != want {
		t.Errorf("read %+v, %v, want %+v", q, err, want)
	}
	after, err := tp.after(t, before, 1)
	if want := (counts{writes: 1, writeBytes: int64(len("*9\r\n") + len(request)), keys: 2}); err != nil || after.minus(before) != want {
		t.Errorf("counted %+v, %v, want %+v", after.minus(before), err, want)
	}
	if got, err := server.Get("{1}:a"); err != nil || got != value {
		t.Errorf("Redis holds %d bytes, %v", len(got), err)
	}
	// What reads is no write, be it a script.
	client.MGet(t.Context(), "{1}:m", "{1}:a", "{1}:b")
	client.EvalSha(t.Context(), sha, []string{"{1}:m", "{1}:customer"}, "", "v")
	if read, err := tp.after(t, after, 2); err != nil || read.writes != after.writes || read.writeBytes != after.writeBytes || read.keys != after.keys || read.others != after.others+2 {
		t.Errorf("after two reads %+v, before %+v, %v", read, after, err)
	}
}

// after waits until so many more requests are counted: an answer may be here before its request's last byte is.
func (t *tap) after(tb testing.TB, before counts, more int64) (now counts, err error) {
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	err = until(ctx, func() (bool, error) {
		now, err = t.sofar()
		return now.writes+now.others >= before.writes+before.others+more, err
	})
	return now, err
}

// TestTap_WhatIsNoRequestIsAnErrorAndNoCount.
func TestTap_WhatIsNoRequestIsAnErrorAndNoCount(t *testing.T) {
	for _, bad := range []string{"PING\r\n", "*x\r\n", "*-1\r\n", "*1\r\n+PING\r\n", "*1\r\n$-1\r\n", "*3\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$1\r\nx\r\n", "*3\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$2\r\n-1\r\n", "*1\r\n$99999999999\r\n"} {
		if q, err := readRequest(bufio.NewReader(strings.NewReader(bad))); err == nil || !strings.HasPrefix(err.Error(), "tap: ") {
			t.Errorf("%q: %+v, %v", bad, q, err)
		}
	}
}

// TestRecovery_AMoveIsSeenAndEveryEventHasItsResult: a process joins while a load runs.
func TestRecovery_AMoveIsSeenAndEveryEventHasItsResult(t *testing.T) {
	c := Recovery{Common{Rounds: 1, Lanes: 2, Partitions: 4}, 200}
	files, err := rules("")
	if err != nil {
		t.Fatal(err)
	}
	timeout, err := c.sessionTimeout()
	if err != nil || timeout != 10*time.Second {
		t.Errorf("session timeout %s, %v", timeout, err)
	}
	for _, x := range incidents(timeout) {
		if x.name == "planned move: a process joins" {
			x.lasts = 3 * time.Second
			v, err := c.one(t.Context(), &stand{common: &c.Common, ground: c.ground(), files: files, number: 1, peer: asMonitor}, x)
			if err != nil || v <= 0 || v > 60_000 {
				t.Errorf("stood still for %g ms, %v", v, err)
			}
			return
		}
	}
	t.Error("no process joins")
}

// TestMemory_EveryEventOfItsWorkloadIsRetained: an event that was forgotten holds no memory and must not be counted.
func TestMemory_EveryEventOfItsWorkloadIsRetained(t *testing.T) {
	covers, err := (&Common{}).retained()
	if retention := 61 * 24 * time.Hour; err != nil || covers != retention/2 { // the longest window and a day's slack
		t.Fatalf("covers %s, %v", covers, err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	gen, err := generator.New((&Command{Events: 20_000, Period: covers}).traffic(now))
	if err != nil {
		t.Fatal(err)
	}
	old, n := 0, 0
	for e, ok := gen.Next(); ok; e, ok = gen.Next() {
		n++
		if e.Time <= now-2*covers.Milliseconds() {
			old++
		}
	}
	if n != 20_000 || old > 10 { // a handful of dormant customers have an event from half a year before
		t.Errorf("%d of %d events are older than the retention", old, n)
	}
	short := t.TempDir()
	if err := os.WriteFile(filepath.Join(short, "a.yaml"), []byte("features:\n  - {name: n, expr: \"count('1h')\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Common{Rules: short}).retained(); err == nil || !strings.Contains(err.Error(), "25h0m0s") {
		t.Errorf("a retention of 25 h: %v", err)
	}
}

// TestScale_PlotsHoldTheFiguresInTheAxesOrder.
func TestScale_PlotsHoldTheFiguresInTheAxesOrder(t *testing.T) {
	c := Scale{Common: Common{Partitions: 12}}
	customers, partitions := c.steps()
	found := &Found{}
	for i, axis := range []string{"customers", "partitions"} {
		steps := [][]step{customers, partitions}[i]
		for j, x := range steps {
			for k, peer := range pair {
				for r := range 3 {
					found.add(x.text+" "+axis+", "+peer, "µs", 0, float64(1000*i+100*j+10*k+r))
				}
			}
		}
		got := chart(found, axis, steps)
		for j := range steps {
			for k := range pair {
				at := float64(1000*i + 100*j + 10*k)
				if p := got.Lines[k].Points[j]; p.Median != at+1 || p.Least != at || p.Most != at+2 {
					t.Errorf("%s %s, %s: %v", got.Places[j], axis, got.Lines[k].Name, p)
				}
			}
		}
	}
	if customers[0].customers != 10_000 || customers[2].customers != 1_000_000 || customers[1].partitions != 12 || partitions[0].partitions != 1 || partitions[2].partitions != 12 || found.rounds() != 36 {
		t.Errorf("places %v and %v, %d rounds", customers, partitions, found.rounds())
	}
	path := filepath.Join(t.TempDir(), "x.svg")
	if err := write(path, chart(found, "customers", customers)); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "CPU per event against the number of customers") {
		t.Errorf("%v: %.100s", err, text)
	}
}

// TestBench_EveryFigureComesFromARun: small ones, of which no figure means anything but that it is one.
func TestBench_EveryFigureComesFromARun(t *testing.T) {
	common := Common{Rounds: 1, Lanes: 2, Partitions: 4}
	for name, c := range map[string]struct {
		run     func() (*Found, error)
		figures []string
	}{
		"redis":   {func() (*Found, error) { return Window{common, 3000}.measure(t.Context()) }, []string{"crowded: bytes written per event", "sparse: keys written per event"}},
		"memory":  {func() (*Found, error) { return Memory{common, 6000}.measure(t.Context()) }, []string{"in the cache, per retained event"}},
		"latency": {func() (*Found, error) { return Latency{common, 300, 200, 500 * ms, 100 * ms}.measure(t.Context()) }, []string{"end to end, both stages, p50", "end to end, monitor, p99.9", "passthrough at half load, p50"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := c.run()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range c.figures {
				// Memory is the difference of two heaps: of so few events it may come out below nothing, but never as the 0 of no run.
				if x := found.figure(f); x == nil || len(x.Values) != 1 || x.Values[0] == 0 || x.Values[0] < 0 && name != "memory" {
					t.Errorf("%s: %+v", f, x)
				}
			}
			var text strings.Builder
			if err := found.WriteText(&text); err != nil || !strings.Contains(text.String(), "machine: ") {
				t.Errorf("%v\n%s", err, &text)
			}
		})
	}
}
