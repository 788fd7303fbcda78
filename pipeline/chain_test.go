package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func chainOf(records ...*kgo.Record) Chain {
	var c chainer
	var at Chain
	for _, r := range records {
		at = c.next(at, r)
	}
	return at
}

// What must change the chain: everything that a verdict can depend on, and where one part ends and the next begins.
func TestChain_EveryDifferenceInTheInputShows(t *testing.T) {
	base := func() *kgo.Record {
		return &kgo.Record{Offset: 7, Timestamp: time.UnixMilli(1000), Key: []byte("key"), Value: []byte("value")}
	}
	seen := map[Chain]string{}
	for name, change := range map[string]func(*kgo.Record){
		"nothing":      func(*kgo.Record) {},
		"offset":       func(r *kgo.Record) { r.Offset++ },
		"append time":  func(r *kgo.Record) { r.Timestamp = r.Timestamp.Add(time.Millisecond) },
		"key":          func(r *kgo.Record) { r.Key = []byte("kez") },
		"value":        func(r *kgo.Record) { r.Value = []byte("valuf") },
		"border moved": func(r *kgo.Record) { r.Key, r.Value = []byte("keyv"), []byte("alue") },
		"no key":       func(r *kgo.Record) { r.Key, r.Value = nil, []byte("keyvalue") },
	} {
		r := base()
		change(r)
		c := chainOf(r)
		if other, ok := seen[c]; ok {
			t.Errorf("%q and %q have one chain", name, other)
		}
		seen[c] = name
	}
	a, b := base(), base()
	b.Offset = 8
	if chainOf(a, b) == chainOf(b, a) {
		t.Error("the order does not show")
	}
}

// Golden, computed by another language: another version must compute the same, or every replay across an upgrade is an alarm.
func TestChain_IsTheSameInEveryVersion(t *testing.T) {
	got := (&note{Chain: chainOf(&kgo.Record{Offset: 1, Timestamp: time.UnixMilli(2), Key: []byte("k"), Value: []byte("v")}), TopicID: "t", Committer: "c"}).String()
	if want := "streamgauge.1 0 0 t 0 55ca85cf468fc36d40aad520d8f5a4ec c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNote_IsReadAsItWasWritten(t *testing.T) {
	n := note{Generation: 3, Partitions: 256, TopicID: "vBz0Nz_gSBq", From: 12, Chain: Chain{1, 2, 0xff}, Committer: "streamgauge-monitor-0-1"}
	got, err := parseNote(n.String())
	if err != nil || got == nil || *got != n {
		t.Errorf("%v, %v of %q", got, err, n.String())
	}
	if long := (&note{TopicID: n.TopicID, Committer: strings.Repeat("x", 249)}).String(); len(long) > maxNote {
		t.Errorf("a note of %d bytes is above the brokers' %d", len(long), maxNote)
	}
}

func TestNote_OnlyANoteOfAnotherFormatIsAnError(t *testing.T) {
	good := (&note{TopicID: "t", Committer: "c"}).String()
	for text, wantErr := range map[string]bool{
		"": false, "streamgauge-monitor-0-1-5f2c": false, "by hand": false,
		"streamgauge.2 whatever": true, good + " more": true, good[:len(good)-2]: true,
		strings.Replace(good, " 0 ", " x ", 1): true, strings.Replace(good, "00000000", "000000zz", 1): true, strings.Replace(good, "00000000", "", 1): true,
	} {
		n, err := parseNote(text)
		if (err != nil) != wantErr || n != nil {
			t.Errorf("%q: note %v, error %v", text, n, err)
		}
	}
}

func BenchmarkChain(b *testing.B) {
	r := &kgo.Record{Key: []byte("team\x00customer"), Value: make([]byte, 300)}
	var c chainer
	var at Chain
	b.ReportAllocs()
	for b.Loop() {
		at = c.next(at, r)
	}
}
