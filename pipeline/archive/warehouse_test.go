package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/schemas"
)

// plainFact is a fact as most are: a payment, five rules, six features, a hit now and then.
func plainFact(partition int32, offset int64) *schemas.Fact {
	f := &schemas.Fact{Generation: 1, Partition: partition, Offset: offset, Appended: base + offset, Outcome: schemas.Assessed, BaseAmount: 57_160_000 + offset,
		HasBase: true, Config: 1, Stage: schemas.StageDone, DecisionType: schemas.Accepted,
		Event: schemas.Event{Kind: schemas.KindPayment, Organisation: "bank", Team: "aml", Source: "transactions", Customer: fmt.Sprintf("c%d", offset*7919%10_000),
			ID: fmt.Sprintf("p-%012d", offset), Side: schemas.SideOut, Time: base + offset, Amount: 57_160_000 + offset, HasAmount: true, Present: 7, Currency: "EUR",
			Counterparty: fmt.Sprintf("x%d", offset*104_729%50_000), Channel: "online", Country: "LV", Type: "TRANSFER",
			Origin: schemas.Origin{Topic: "transactions", Partition: partition, Offset: offset}}}
	f.Assessment = schemas.AssessmentGUID(1, partition, f.Offset, &f.Event)
	for i := range 6 {
		f.Features = append(f.Features, schemas.Feature{Name: fmt.Sprintf("c_sum%d", i), Value: schemas.I128(offset * int64(1_000_000*(i+1))).Bytes()})
	}
	for i := range 5 {
		f.Rules = append(f.Rules, schemas.RuleVerdict{Rule: fmt.Sprintf("RULE_%d", i), Version: 1})
	}
	if offset%50 == 0 {
		f.Rules[0].Verdict = schemas.Hit
		f.Hits = []schemas.HitExplained{{Rule: "RULE_0", Version: 1, Level: schemas.LevelHigh, Score: 40, Reason: "7 payments in 1 h, more than 5",
			Values: []schemas.Attribute{{Name: "count(1h)", Value: "7"}}}}
	}
	return f
}

func records(partition int32, facts int, fact func(int32, int64) *schemas.Fact) (rs []*kgo.Record) {
	for i := range int64(facts) {
		value, err := schemas.Facts.Codec.Append(nil, fact(partition, i))
		if err != nil {
			panic(err)
		}
		rs = append(rs, &kgo.Record{Topic: schemas.Facts.Name, Partition: partition, Offset: i, Value: value, Timestamp: time.UnixMilli(base + i)})
	}
	return rs
}

func TestInsert_ABlockOf50000RowsIsOnePart(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	rows, bad := decodeAll(nil, records(0, 50_000, plainFact))
	if len(bad) > 0 {
		t.Fatal(bad[0].Detail)
	}
	if err := b.table().insert(t.Context(), token("t", 0, 0, 50_000, 1), rows); err != nil {
		t.Fatal(err)
	}
	var parts, count, level uint64
	b.row("SELECT count(), sum(rows), toUInt64(max(level)) FROM system.parts WHERE database = '{db}' AND table = 'facts' AND active", &parts, &count, &level)
	if parts != 1 || count != 50_000 || level != 0 {
		t.Errorf("%d parts of level %d with %d rows: a token is good for one block, want one part of 50000 rows", parts, level, count)
	}
	gone, err := b.table().missing(t.Context(), rows)
	if err != nil || len(gone) != 0 {
		t.Errorf("missing %d rows, %v", len(gone), err)
	}
}

func TestInsert_ABlockThatTheDriverCannotEncodeIsOurBugAndInsertsNothing(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	rows := []row{{Fact: *plainFact(0, 0)}, {Fact: *plainFact(0, 1)}}
	rows[1].Stage = 99
	if err := b.table().insert(t.Context(), "t", rows); !errors.Is(err, errEncode) || !strings.Contains(err.Error(), "column stage") {
		t.Errorf("got %v", err)
	}
	var n uint64
	if b.row("SELECT count() FROM {db}.facts", &n); n != 0 {
		t.Errorf("%d facts, want none", n)
	}
}

func TestMissing_RowsPastTheirRetentionAreNotMissed(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	rows := []row{{Fact: *plainFact(0, 0)}, {Fact: *plainFact(0, 1)}}
	rows[1].Appended = time.Now().UnixMilli()
	table := b.table()
	table.retention = 24 * time.Hour // the first row is three days old
	gone, err := table.missing(t.Context(), rows)
	if err != nil || len(gone) != 1 || gone[0].Offset != 1 {
		t.Errorf("missing %d rows, %v; want the young one only", len(gone), err)
	}
}

func TestInsert_NothingIsSentAfterTheDeadline(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	if err := b.table().insert(ctx, "t", []row{{Fact: *plainFact(0, 0)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	var n uint64
	if b.row("SELECT count() FROM {db}.facts", &n); n != 0 {
		t.Errorf("%d facts, want none", n)
	}
}

// BenchmarkInsert is one writer's way from records to an answered INSERT, in blocks of 50,000.
func BenchmarkInsert(b *testing.B) {
	bed := newBed(b, 1, engineURL(b)).migrated()
	block := records(0, 50_000, plainFact)
	var rows []row
	b.ResetTimer()
	for i := range b.N {
		rows, _ = decodeAll(rows, block)
		if len(rows) != len(block) {
			b.Fatalf("%d rows of %d", len(rows), len(block))
		}
		if err := bed.table().insert(b.Context(), token("bench", 0, int64(i), int64(i)+1, 1), rows); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(block))/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkDecode is the part of BenchmarkInsert before the driver.
func BenchmarkDecode(b *testing.B) {
	block := records(0, 50_000, plainFact)
	var rows []row
	for b.Loop() {
		rows, _ = decodeAll(rows, block)
	}
	b.ReportMetric(float64(b.N)*float64(len(block))/b.Elapsed().Seconds(), "rows/s")
}
