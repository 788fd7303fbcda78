package faults

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline"
	"github.com/streamgauge/streamgauge/schemas"
	"github.com/streamgauge/streamgauge/topology"
)

const (
	largest     = 1<<20 - 100 // bytes of key and value together: brokers take batches of 1 MiB and 12 B, the batch's own header included
	inflated    = 8 << 20     // bytes of a value that compresses so well that brokers take it all the same
	bomb        = 40 << 20    // the same, of more than intake unpacks
	kept        = 1 << 20     // bytes of a key and value that a rejection repeats at the most
	goodCount   = 200         // events behind the garbage: of so many customers, so that every partition has some
	memoryLimit = 1 << 30     // bytes; measured 0.4 of it
)

func TestServers_GarbageOnEveryInputTopicIsRejectedAndThePartitionMovesOn(t *testing.T) {
	values := append(suiteValues(t), randomValues()...)
	in := install(t, 5*time.Minute, nil)
	in.prepare()
	sent := map[schemas.Origin]*kgo.Record{}
	in.start()
	for _, topic := range []string{schemas.Payments, schemas.Transactions, schemas.Events.Name} {
		in.litter(topic, values, sent)
	}
	in.litter(schemas.Events.Name, forged(t), sent)
	in.litter(schemas.Payments, [][]byte{make([]byte, bomb), make([]byte, bomb)}, sent)
	in.litter(schemas.Transactions, [][]byte{make([]byte, bomb), make([]byte, bomb)}, sent)
	in.good(0)
	drain(in.ctx, t, in.topo, in.reach()...)
	memory := in.running.peakMemory()
	in.running.kill() // and a second time: without the window store the whole log is read again, garbage and all
	if err := in.redis.FlushDB(in.ctx).Err(); err != nil {
		t.Fatal(err)
	}
	in.start()
	in.good(1)
	drain(in.ctx, t, in.topo, in.reach()...)
	memory = max(memory, in.running.peakMemory())
	if memory > memoryLimit {
		t.Errorf("garbage made the process %d MiB large, at most %d are due", memory>>20, memoryLimit>>20)
	}
	in.running.stop()
	in.levelWithWindows()
	in.everyOneRejected(sent)
	report := compare(in.ctx, t, in.reach()...)
	if n := report.Outcomes[schemas.Assessed]; n != 2*goodCount {
		t.Errorf("%d events were assessed, %d good ones were sent behind the garbage", n, 2*goodCount)
	}
	t.Logf("%d records of garbage, %d MiB of memory at the most: %s", len(sent), memory>>20, report.String())
}

// litter writes values to a topic, one partition after the other, with what brokers take at the most, and notes where they stand.
func (in *installation) litter(topic string, values [][]byte, sent map[schemas.Origin]*kgo.Record) {
	in.t.Helper()
	cl := connect(in.t, append(in.reach(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2*bomb), kgo.BrokerMaxWriteBytes(4*bomb),
		kgo.ProducerBatchCompression(kgo.GzipCompression()), kgo.MaxBufferedRecords(1))...) // one record a batch
	defer cl.Close()
	large := func(b string) []byte { return []byte(strings.Repeat(b, largest/len(b))) }
	records := []*kgo.Record{
		{Value: nil}, {Key: []byte("tombstone")}, {Value: []byte{}}, {Key: []byte{}, Value: []byte{0}},
		{Value: large("[")}, {Value: large(`{"a":`)}, {Value: large(" ")}, {Value: large("\xff")}, {Value: large("\xc3\x01")},
		{Key: large("k")}, {Key: large("\x00")}, {Value: noise(largest)}, {Value: noise(largest)}, {Key: noise(largest / 2), Value: noise(largest / 2)},
		{Value: bytes.Repeat([]byte(" "), inflated)}, {Value: bytes.Repeat([]byte("["), inflated)},
	}
	for _, v := range values {
		records = append(records, &kgo.Record{Value: v})
	}
	for i, r := range records {
		r.Topic, r.Partition = topic, int32(i)%in.config.Kafka.Partitions
		cl.Produce(in.ctx, r, nil)
	}
	if err := cl.Flush(in.ctx); err != nil {
		in.t.Fatal(err)
	}
	for _, r := range records {
		if r.Offset < 0 {
			in.t.Fatalf("the broker did not take %d bytes of key and %d of value on topic %s", len(r.Key), len(r.Value), topic)
		}
		sent[schemas.Origin{Topic: topic, Partition: r.Partition, Offset: r.Offset}] = r
	}
}

// noise is random bytes, the same ones for every length.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// randomValues are random bytes of random length, some of them behind the first bytes of an Avro event.
func randomValues() (values [][]byte) {
	rnd := rand.New(rand.NewPCG(9, 1))
	for i := range 300 {
		v := noise(rnd.IntN(1 << rnd.IntN(13)))
		rnd.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		if i%3 == 0 {
			v = append([]byte{0xc3, 0x01}, v...)
		}
		values = append(values, v)
	}
	return values
}

// forged are values that begin as an event does and are none, or one that no intake lets through.
func forged(t *testing.T) (values [][]byte) {
	t.Helper()
	e := schemas.Event{Kind: schemas.KindPayment, Organisation: "o", Team: "default", Customer: "forged", ID: "1", Time: 1, HasAmount: true}
	whole, err := schemas.Events.Codec.Append(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		values = append(values, whole[:n])
	}
	head := whole[:10] // marker and fingerprint
	for _, count := range []string{"\xff\xff\xff\xff\x0f", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x80\x80\x80\x80\x10"} {
		values = append(values, bytes.Join([][]byte{head, []byte(strings.Repeat(count, 40))}, nil))
	}
	values = append(values, append(bytes.Clone(whole), 0))
	e.Attributes = []schemas.Attribute{{Name: "large", Value: strings.Repeat("x", largest-200)}}
	large, err := schemas.Events.Codec.Append(nil, &e)
	if err != nil {
		t.Fatal(err)
	}
	if len(large) <= pipeline.MaxEvent {
		t.Fatalf("%d bytes are not beyond the largest event", len(large))
	}
	return append(values, large)
}

// good sends events behind the garbage into every partition of the inputs.
func (in *installation) good(round int) {
	in.t.Helper()
	cl := connect(in.t, append(in.reach(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	defer cl.Close()
	for i := range goodCount {
		customer := "good" + strconv.Itoa(i)
		r := &kgo.Record{Topic: schemas.Transactions, Partition: int32(i/2) % in.config.Kafka.Partitions, Key: []byte(customer)}
		at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
		id := customer + "-" + strconv.Itoa(round)
		if i%2 == 0 {
			r.Topic = schemas.Payments
			r.Value = []byte(`{"workspaceId":"w","spektrId":"` + customer + `","createdAt":` + strconv.FormatInt(at.UnixMilli(), 10) + `,"source":"s","type":"paymentMade","eventData":{"transaction_id":"` + id + `","type":"deposit","amount":1.5,"currency":"EUR"}}`)
		} else {
			r.Value = []byte(`{"id":"` + id + `","time":"` + at.Format(time.RFC3339Nano) + `","customer":"` + customer + `","amount":12.25,"direction":"OUT"}`)
		}
		cl.Produce(in.ctx, r, nil)
	}
	if err := cl.Flush(in.ctx); err != nil {
		in.t.Fatal(err)
	}
}

// everyOneRejected holds topic rejected against what was sent: each record once, with a reason and its bytes, and nothing else.
func (in *installation) everyOneRejected(sent map[schemas.Origin]*kgo.Record) {
	in.t.Helper()
	stages := map[bool]string{false: topology.StageIntake, true: topology.StageMonitor}
	got := map[schemas.Origin]bool{}
	read(in.ctx, in.t, schemas.RejectedRecords.Name, func(r *kgo.Record) {
		var j schemas.Rejection
		if err := schemas.RejectedRecords.Codec.Decode(r.Value, &j); err != nil {
			in.t.Errorf("rejection at partition %d offset %d: %v", r.Partition, r.Offset, err)
			return
		}
		was := sent[j.Origin]
		switch {
		case was == nil || got[j.Origin]:
			in.t.Errorf("%+v is rejected, but was not sent or is rejected already: %s %s", j.Origin, j.Reason, j.Detail)
			return
		case j.Reason == "" || j.Detail == "" || len(j.Detail) > 8<<10:
			in.t.Errorf("%+v is rejected for reason %q, %.200q", j.Origin, j.Reason, j.Detail)
		case j.Stage != stages[j.Origin.Topic == schemas.Events.Name]:
			in.t.Errorf("%+v is rejected by %s", j.Origin, j.Stage)
		case len(was.Value) == bomb:
			if j.Reason != "too_large" || len(j.Value) > 0 {
				in.t.Errorf("%+v is a batch too large to unpack, and is rejected for %s with %d bytes", j.Origin, j.Reason, len(j.Value))
			}
		case len(was.Key)+len(was.Value) > kept:
			if !bytes.HasPrefix(was.Value, j.Value) || len(j.Value) != kept || !strings.Contains(j.Detail, strconv.Itoa(len(was.Value))) {
				in.t.Errorf("%+v: of %d bytes the first %d are kept: %s", j.Origin, len(was.Value), len(j.Value), j.Detail)
			}
		case !bytes.Equal(j.Key, was.Key) || !bytes.Equal(j.Value, was.Value):
			in.t.Errorf("%+v: of %d and %d bytes of key and value, %d and %d are kept, or others", j.Origin, len(was.Key), len(was.Value), len(j.Key), len(j.Value))
		}
		got[j.Origin] = true
	}, in.reach()...)
	lost := 0
	for o, r := range sent {
		if !got[o] {
			if lost++; lost <= 10 {
				in.t.Errorf("%+v is lost: %d bytes of key, %d of value, %.40q", o, len(r.Key), len(r.Value), r.Value)
			}
		}
	}
	if lost > 0 {
		in.t.Errorf("%d of %d records of garbage are lost", lost, len(sent))
	}
}

// suiteValues are the files of JSONTestSuite.
func suiteValues(t *testing.T) (values [][]byte) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "data", "jsontestsuite", "JSONTestSuite-tests.tar.gz"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("shared/data/jsontestsuite is not beside the repository")
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return values
		} else if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag != tar.TypeReg || filepath.Ext(head.Name) != ".json" {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, text)
	}
}
