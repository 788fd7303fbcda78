package devserver

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// methods are the driver's compressions over HTTP.
var methods = map[string]clickhouse.CompressionMethod{
	"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD, "gzip": clickhouse.CompressionGZIP,
}

// row has a column of every type that the archive's tables use.
type row struct {
	N        uint64                     `ch:"n"`
	Side     string                     `ch:"side"`
	Team     string                     `ch:"team"`
	Amount   decimal.Decimal            `ch:"amount"`
	Base     *decimal.Decimal           `ch:"base"`
	Time     time.Time                  `ch:"time"`
	Features map[string]decimal.Decimal `ch:"features"`
	Attrs    map[string]string          `ch:"attrs"`
	Flags    []string                   `ch:"flags"`
	Outcomes []string                   `ch:"outcomes"`
	HitRule  []string                   `ch:"hits.rule"`
	HitScore []int32                    `ch:"hits.score"`
	HitWith  []map[string]string        `ch:"hits.values"`
	HitBy    []uuid.UUID                `ch:"hits.suppressed_by"`
	ID       uuid.UUID                  `ch:"id"`
	Note     *string                    `ch:"note"`
	Where    *string                    `ch:"place"`
	Late     bool                       `ch:"late"`
}

const rowTable = `CREATE TABLE typed (n UInt64, side Enum8('NONE' = 0, 'OUT' = 1, 'IN' = 2), team LowCardinality(String),
	amount Decimal(18, 6), base Nullable(Decimal(18, 6)), time DateTime64(3, 'UTC') CODEC(Delta, ZSTD), features Map(LowCardinality(String), Decimal(38, 6)),
	attrs Map(LowCardinality(String), String), flags Array(LowCardinality(String)), outcomes Array(Enum8('HIT' = 1, 'NO_HIT' = 2, 'ND' = 3, 'ERROR' = 4)),
	hits Nested(rule LowCardinality(String), score Int32, values Map(String, String), suppressed_by UUID), id UUID, note Nullable(String),
	place LowCardinality(Nullable(String)), late Bool)
	ENGINE = MergeTree PARTITION BY toYYYYMM(time) ORDER BY (team, n)`

// sampleRow returns the i-th row, with each type's edges among the first ones.
func sampleRow(i int) row {
	text := fmt.Sprintf("note %d 'quoted' \\ \x00 ü", i)
	r := row{
		N: uint64(i), Side: []string{"NONE", "OUT", "IN"}[i%3], Team: fmt.Sprintf("team %d", i%7), Amount: decimal.New(int64(i)*1234567-3, -6),
		Time: time.Date(2026, 2, 28, 23, 59, 59, 999e6, time.UTC).Add(time.Duration(i) * time.Millisecond), Late: i%5 == 0,
		Features: map[string]decimal.Decimal{}, Attrs: map[string]string{}, Flags: []string{}, Outcomes: []string{},
		HitRule: []string{}, HitScore: []int32{}, HitWith: []map[string]string{}, HitBy: []uuid.UUID{}, ID: uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)),
	}
	if i%2 == 0 {
		base := decimal.RequireFromString("-999999999999.999999")
		r.Base, r.Note, r.Where = &base, &text, &r.Team
		r.Features["c_sum30"] = decimal.RequireFromString("99999999999999999999999999999999.999999")
		r.Features["c_n1"] = decimal.New(int64(i), 0)
		r.Attrs["attr.x"] = text
		r.Flags, r.Outcomes = append(r.Flags, "rounded", ""), append(r.Outcomes, "HIT", "ERROR")
		r.HitRule, r.HitScore = append(r.HitRule, "VEL_OUT", "DORMANT"), append(r.HitScore, -1, 1<<30)
		r.HitWith, r.HitBy = append(r.HitWith, map[string]string{"n": "7"}, map[string]string{}), append(r.HitBy, r.ID, uuid.Nil)
	}
	return r
}

// same compares two rows; decimals by value.
func (r row) same(o row) bool {
	text := func(r row) string {
		features := map[string]string{}
		for k, v := range r.Features {
			features[k] = v.StringFixed(6)
		}
		base := "NULL"
		if r.Base != nil {
			base = r.Base.StringFixed(6)
		}
		amount := r.Amount.StringFixed(6)
		r.Features, r.Base, r.Amount, r.Time = nil, nil, decimal.Decimal{}, r.Time.UTC()
		note, place := r.Note, r.Where
		r.Note, r.Where = nil, nil
		return fmt.Sprintf("%+v %v %s %s %q %q", r, features, base, amount, orNull(note), orNull(place))
	}
	return text(r) == text(o)
}

func orNull(s *string) []string {
	if s == nil {
		return nil
	}
	return []string{*s}
}

func TestClickHouse_BatchComesBackAsItWasSent(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	for name, method := range methods {
		conn := dial(t, c, method)
		exe(t, conn, "DROP TABLE IF EXISTS typed SYNC", rowTable)
		const n = 5_000 // several blocks of the size that the select below asks for
		b, err := conn.PrepareBatch(t.Context(), "INSERT INTO typed")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range n {
			r := sampleRow(i)
			if err := b.AppendStruct(&r); err != nil {
				t.Fatalf("%s: row %d: %v", name, i, err)
			}
		}
		if err := b.Send(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows, err := conn.Query(t.Context(), "SELECT * FROM typed ORDER BY n SETTINGS max_block_size = 1000")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		i := 0
		for ; rows.Next(); i++ {
			var got row
			if err := rows.ScanStruct(&got); err != nil {
				t.Fatalf("%s: row %d: %v", name, i, err)
			}
			if want := sampleRow(i); !got.same(want) {
				t.Fatalf("%s: row %d is\n%+v, want\n%+v", name, i, got, want)
			}
		}
		if err := rows.Err(); err != nil || i != n {
			t.Errorf("%s: %d rows (%v), want %d", name, i, err, n)
		}
		rows.Close()
	}
}

func TestClickHouse_ParametersAndSettingsAreTheRequestsOwn(t *testing.T) {
	testEngine(t)
	conn := dial(t, start(t, t.TempDir()), clickhouse.CompressionLZ4)
	ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"a": "O'Br\\ien", "n": "7"}),
		clickhouse.WithSettings(clickhouse.Settings{"max_threads": 1, "session_timezone": "Asia/Tokyo", "max_block_size": 1234}), clickhouse.WithQueryID("q-1"))
	var a, n, zone string
	var block uint64
	err := conn.QueryRow(ctx, "SELECT {a:String}, toString({n:UInt8} + 1), timezone(), toUInt64(getSetting('max_block_size'))").Scan(&a, &n, &zone, &block)
	if err != nil || n != "8" || zone != "Asia/Tokyo" || block != 1234 || a != "O'Br\\ien" {
		t.Errorf("%q %s %s %d (%v), want O'Br\\ien, 8, Asia/Tokyo, 1234", a, n, zone, block, err)
	}
	if got := one[string](t, conn, "SELECT toString(?) || toString(?)", "x'\\y", 10); got != "x'\\y10" {
		t.Errorf("bound %q", got)
	}
	exe(t, conn, "SET max_block_size = 77", "CREATE TEMPORARY TABLE leftover (n Int8)", "CREATE DATABASE other", "USE other", "SET readonly = 1")
	for range 20 { // whatever connection the engine gives, nothing of the above is on it
		if got := one[string](t, conn, "SELECT concat(currentDatabase(), ' ', timezone(), ' ', toString(getSetting('max_block_size')), ' ', toString(getSetting('async_insert')))"); got != "default UTC 65409 false" {
			t.Fatalf("a request sees %q of earlier ones", got)
		}
	}
	exe(t, conn, "CREATE TEMPORARY TABLE leftover (n Int8)")
}

func TestClickHouse_TokenInsertsOnce(t *testing.T) {
	testEngine(t)
	conn := dial(t, start(t, t.TempDir()), clickhouse.CompressionLZ4)
	exe(t, conn,
		"CREATE TABLE base (month UInt8, n UInt64) ENGINE = MergeTree PARTITION BY month ORDER BY n SETTINGS non_replicated_deduplication_window = 20000",
		"CREATE TABLE sums (month UInt8, rows UInt64) ENGINE = SummingMergeTree ORDER BY month SETTINGS non_replicated_deduplication_window = 20000",
		"CREATE MATERIALIZED VIEW to_sums TO sums AS SELECT month, count() AS rows FROM base GROUP BY month")
	send := func(token string, from int) {
		t.Helper()
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplication_token": token, "deduplicate_blocks_in_dependent_materialized_views": 1, "async_insert": 0}))
		b, err := conn.PrepareBatch(ctx, "INSERT INTO base")
		for i := from; err == nil && i < from+10; i++ {
			err = b.Append(uint8(i%2), uint64(i))
		}
		if err == nil {
			err = b.Send()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		token string
		from  int
		want  uint64
	}{{"A", 0, 10}, {"A", 0, 10}, {"A", 500, 10}, {"B", 0, 20}, {"A", 0, 20}} {
		send(c.token, c.from)
		if base, view := one[uint64](t, conn, "SELECT count() FROM base"), one[uint64](t, conn, "SELECT sum(rows) FROM sums"); base != c.want || view != c.want {
			t.Errorf("token %s from %d: %d rows, %d in the view, want %d", c.token, c.from, base, view, c.want)
		}
	}
}

func TestClickHouse_ViewAndProjectionFollowTheTable(t *testing.T) {
	testEngine(t)
	conn := dial(t, start(t, t.TempDir()), clickhouse.CompressionNone)
	exe(t, conn,
		`CREATE TABLE facts (partition UInt16, offset UInt64, customer String, rules Array(String), PROJECTION by_place (SELECT * ORDER BY (partition, offset)))
			ENGINE = MergeTree ORDER BY (customer, offset) SETTINGS deduplicate_merge_projection_mode = 'rebuild'`,
		`CREATE TABLE hits (rule String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY rule`,
		`CREATE MATERIALIZED VIEW to_hits TO hits AS SELECT arrayJoin(rules) AS rule, count() AS n FROM facts GROUP BY rule`)
	b, err := conn.PrepareBatch(t.Context(), "INSERT INTO facts")
	for i := 0; err == nil && i < 100_000; i++ {
		err = b.Append(uint16(i%4), uint64(i), fmt.Sprint("customer ", i%1000), []string{"VEL", "VOL"}[:i%3])
	}
	if err == nil {
		err = b.Send()
	}
	if err != nil {
		t.Fatal(err)
	}
	exe(t, conn, "OPTIMIZE TABLE facts FINAL")
	if got := one[uint64](t, conn, "SELECT sum(n) FROM hits WHERE rule = 'VEL'"); got != 33333+33333 {
		t.Errorf("view counts %d, want 66666", got)
	}
	if got := one[uint64](t, conn, "SELECT count() FROM facts WHERE partition = 3 AND offset < 1000 SETTINGS force_optimize_projection = 1"); got != 250 {
		t.Errorf("projection finds %d rows, want 250", got)
	}
	if parts := one[uint64](t, conn, "SELECT count() FROM system.projection_parts WHERE table = 'facts' AND active AND name = 'by_place'"); parts == 0 {
		t.Error("the projection has no parts")
	}
}

func TestClickHouse_ExceptionsAreTyped(t *testing.T) {
	testEngine(t)
	c := start(t, t.TempDir())
	for name, method := range methods {
		conn := dial(t, c, method)
		for _, q := range []struct {
			sql    string
			code   int32
			status int
		}{
			{"SELECT * FROM nope", 60, 404}, {"SELECT bad syntax here from", 62, 400}, {"SELEC 1", 62, 400}, {"SELECT nope(1)", 46, 404},
			{"SELECT 1; SELECT 2", 62, 400}, {"CREATE TABLE t (n Int8) ENGINE = Memory; DROP TABLE t", 62, 400}, {"DROP DATABASE nope", 81, 404},
			{"SELECT 1 SETTINGS nope = 1", 115, 404}, {"SELECT toUInt8('x')", 6, 400}, {"INSERT INTO nope VALUES (1)", 60, 404},
		} {
			err := conn.Exec(t.Context(), q.sql)
			var ex *clickhouse.Exception
			var answer *clickhouse.HTTPError
			if !errors.As(err, &ex) || !errors.As(err, &answer) || ex.Code != q.code || answer.StatusCode != q.status {
				t.Errorf("%s: %s: %v, want code %d, status %d", name, q.sql, err, q.code, q.status)
			}
		}
		bad := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"no_such_setting": 1}))
		var ex *clickhouse.Exception
		if err := conn.Exec(bad, "SELECT 1"); !errors.As(err, &ex) || ex.Code != 115 {
			t.Errorf("%s: %v, want code 115 (UNKNOWN_SETTING)", name, err)
		}
		// Behind the first megabyte the status is sent: the exception comes inside the body.
		rows, err := conn.Query(t.Context(), "SELECT number, throwIf(number = 3000000) FROM numbers(5000000) SETTINGS max_block_size = 65409, max_threads = 1")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for rows.Next() {
			n++
		}
		ex = nil
		if err := rows.Err(); !errors.As(err, &ex) || ex.Code != 395 || n == 0 || n > 3_000_000 {
			t.Errorf("%s: %v after %d rows, want code 395 in the middle", name, err, n)
		}
		rows.Close()
	}
}

func TestClickHouse_CancelStopsTheStatement(t *testing.T) {
	testEngine(t)
	conn := dial(t, start(t, t.TempDir()), clickhouse.CompressionNone)
	exe(t, conn, "CREATE TABLE sink (n UInt64) ENGINE = MergeTree ORDER BY n")
	running := func() uint64 {
		return one[uint64](t, conn, "SELECT count() FROM system.processes WHERE query LIKE '%numbers(900000000000)%' AND query NOT LIKE '%processes%'")
	}
	for _, sql := range []string{
		"SELECT sum(sipHash64(number)) FROM numbers(900000000000)",
		"INSERT INTO sink SELECT number FROM numbers(900000000000) WHERE sipHash64(number) = 1",
		"EXPLAIN ANALYZE SELECT sum(sipHash64(number)) FROM numbers(900000000000)",
		"SELECT number FROM numbers(900000000000)", // streams; the client reads nothing
	} {
		for _, wait := range []bool{true, false} { // once running, and at once
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				rows, err := conn.Query(ctx, sql)
				if err == nil {
					<-ctx.Done()
					rows.Close()
				}
				done <- err
			}()
			for wait && running() == 0 {
				select {
				case err := <-done:
					t.Fatalf("%s ended by itself: %v", sql, err)
				default:
				}
			}
			cancel()
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v, want that it was cancelled", sql, err)
			}
			for deadline := time.Now().Add(10 * time.Second); running() > 0; {
				if time.Now().After(deadline) {
					t.Fatalf("%s still runs 10 s after its client went away", sql)
				}
			}
		}
	}
}

func TestClickHouse_ManyClientsAtOnce(t *testing.T) {
	testEngine(t)
	conn := dial(t, start(t, t.TempDir()), clickhouse.CompressionLZ4)
	exe(t, conn, "CREATE TABLE many (client UInt8, n UInt32) ENGINE = MergeTree ORDER BY (client, n)")
	const clients, batches = 30, 10
	var wg sync.WaitGroup
	errs := make([]error, clients)
	for k := range clients {
		wg.Go(func() {
			for n := range batches {
				b, err := conn.PrepareBatch(context.Background(), "INSERT INTO many")
				for i := 0; err == nil && i < 10; i++ {
					err = b.Append(uint8(k), uint32(n*10+i))
				}
				if err == nil {
					err = b.Send()
				}
				var got uint64
				if err == nil {
					err = conn.QueryRow(context.Background(), "SELECT count() FROM many WHERE client = ?", k).Scan(&got)
				}
				if err == nil && got != uint64(n+1)*10 {
					err = fmt.Errorf("client %d sees %d rows of its own after %d batches", k, got, n+1)
				}
				errs[k] = errors.Join(errs[k], err)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// TestRowSame_ToldApart holds the comparison itself: rows that differ in any one field are told apart.
func TestRowSame_ToldApart(t *testing.T) {
	if a, b := sampleRow(4), sampleRow(4); !a.same(b) {
		t.Fatal("a row differs from itself")
	}
	odd := reflect.ValueOf(sampleRow(5))
	for i := range odd.NumField() {
		r := sampleRow(4)
		field := reflect.ValueOf(&r).Elem().Field(i)
		field.Set(odd.Field(i))
		if reflect.DeepEqual(field.Interface(), reflect.ValueOf(sampleRow(4)).Field(i).Interface()) {
			field.SetZero()
			if field.Kind() == reflect.Bool {
				field.SetBool(!sampleRow(4).Late)
			}
		}
		if r.same(sampleRow(4)) {
			t.Errorf("a row with another %s is taken for the same", odd.Type().Field(i).Name)
		}
	}
}
