package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/streamgauge/streamgauge/pipeline/archive"
)

// question is one thing an analyst asks ClickHouse, as the report shows it with its answer.
type question struct {
	words string
	sql   string
}

// questions are asked in the report. {db} is the database.
var questions = []question{
	{"Is every fact there exactly once?", "SELECT count() AS facts, uniqExact(generation, partition, offset, seq) AS distinct_facts FROM {db}.facts"},
	{"Which rules fired, on how many customers?", "SELECT rule, count() AS hits, uniqExact(customer) AS customers, max(level) AS highest FROM {db}.alerts_today GROUP BY rule ORDER BY hits DESC, rule LIMIT 5"},
	{"Which alerts wait for a human, largest amounts first?", "SELECT rule, customer, amount, currency, reason FROM {db}.alerts_today WHERE stage = 'OPEN' ORDER BY amount DESC, rule LIMIT 3"},
	{"What did the customer with the highest score do when it was reached?", "SELECT time, side, amount, currency, counterparty, level, arrayStringConcat(hits, '; ') AS hits FROM {db}.timeline WHERE customer = (SELECT customer FROM {db}.alerts_today ORDER BY level DESC, score DESC, amount DESC, customer LIMIT 1) AND outcome = 'assessed' AND notEmpty(hits) ORDER BY time, partition, offset LIMIT 4"},
}

// level is how long the archive may take to store what is judged: its blocks close after a second.
const level = time.Minute

// warehouse waits until the archive holds every fact and asks the questions.
func (l *liveRun) warehouse(ctx context.Context, out io.Writer, head func(string)) error {
	head("ClickHouse")
	if !l.archived() {
		fmt.Fprintf(out, "  archive: %s\n", l.archive)
		return nil
	}
	conn, err := archive.Open(l.env.Config.ClickHouse.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	db := l.env.Config.ClickHouse.Database
	began := time.Now()
	for {
		var n uint64
		err := conn.QueryRow(ctx, "SELECT count() FROM "+db+".facts").Scan(&n)
		if err == nil && int64(n) >= l.facts {
			fmt.Fprintf(out, "  %s facts stored, level with the log %s after the last verdict\n", thousands(int64(n)), time.Since(began).Round(time.Millisecond))
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Since(began) > level {
			return fmt.Errorf("%w within %s: %d of %d facts, last error: %w", errBehind, level, n, l.facts, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, q := range questions {
		sql := strings.ReplaceAll(q.sql, "{db}", db)
		fmt.Fprintf(out, "\n  %s\n    %s\n", q.words, sql)
		if err := answer(ctx, conn, sql, out); err != nil {
			return fmt.Errorf("clickhouse: %s: %w", sql, err)
		}
	}
	return nil
}

// answer prints a query's rows as a table.
func answer(ctx context.Context, conn driver.Conn, sql string, out io.Writer) error {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "      "+strings.Join(rows.Columns(), "\t"))
	types := rows.ColumnTypes()
	for rows.Next() {
		cells := make([]any, len(types))
		for i, c := range types {
			cells[i] = reflect.New(c.ScanType()).Interface()
		}
		if err := rows.Scan(cells...); err != nil {
			return err
		}
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = cell(reflect.ValueOf(c).Elem().Interface())
		}
		fmt.Fprintln(t, "      "+strings.Join(texts, "\t"))
	}
	return errors.Join(rows.Err(), t.Flush())
}

// cell is a value as a person reads it.
func cell(v any) string {
	if t, ok := v.(time.Time); ok {
		return t.UTC().Format("2006-01-02 15:04:05")
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer {
		if r.IsNil() {
			return "–"
		}
		return cell(r.Elem().Interface())
	}
	return fmt.Sprint(v)
}
