package archive

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// attemptTimeout bounds one INSERT, counted from before the commit that allows it, or one reading back; the server has the same bound
// again (max_execution_time). An INSERT is dead at twice this at the latest, well inside the deduplication windows of the DDL: a later
// copy of it still meets its token.
const attemptTimeout = 60 * time.Second

// warehouse is the table facts as the protocol sees it.
type warehouse interface {
	// insert adds rows as one block under a deduplication token: all of them if the token is new, else none. After an error the rows
	// may be there, in part (one part per month), or may still come. Nothing is sent after ctx's deadline.
	insert(ctx context.Context, token string, rows []row) error
	// missing returns those of rows that the table does not hold, as it stands after every insert that was answered.
	missing(ctx context.Context, rows []row) ([]row, error)
	// present counts those of rows that the table holds.
	present(ctx context.Context, rows []row) (int, error)
}

// errEncode marks a block that the driver would not encode: our bug, no retry helps.
var errEncode = errors.New("encode block")

// Open connects to a ClickHouse by URL, http:// or https:// or clickhouse:// (native), user, password and settings in it as the driver
// documents them. It does not dial; the first query does. The URL's path is not used: statements here name their database.
func Open(address string) (driver.Conn, error) {
	if err := checkURL(address); err != nil {
		return nil, err
	}
	o, err := clickhouse.ParseDSN(address)
	if err != nil {
		return nil, fmt.Errorf("clickhouse url: %w", err)
	}
	o.Auth.Database = "default"
	o.DialTimeout = 5 * time.Second
	o.ReadTimeout = attemptTimeout
	conn, err := clickhouse.Open(o)
	if err != nil {
		return nil, fmt.Errorf("clickhouse %s: %w", strings.Join(o.Addr, ","), err)
	}
	return conn, nil
}

func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("archive clickhouse url cannot be read: want http://host:8123 or clickhouse://host:9000") // the text may hold a password
	}
	if !slices.Contains([]string{"http", "https", "clickhouse", "tcp"}, u.Scheme) || u.Host == "" {
		return fmt.Errorf("archive clickhouse url %q: want http://host:8123, https://… or clickhouse://host:9000", u.Redacted())
	}
	return nil
}

// table is the warehouse on a real ClickHouse.
type table struct {
	conn      driver.Conn
	database  string
	retention time.Duration // the table's TTL on appended
}

// settings stand in every INSERT, first or repeated alike: the token's meaning depends on them.
func (t *table) settings(token string) clickhouse.Settings {
	return clickhouse.Settings{
		"insert_deduplicate":                                 1,
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert":                                       0, // default 1 in newer servers: the answer would come before the rows are safe
		"max_partitions_per_insert_block":                    0, // a block of many months must go in all the same
		"max_execution_time":                                 int(attemptTimeout.Seconds()),
	}
}

func (t *table) insert(ctx context.Context, token string, rows []row) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(t.settings(token)), clickhouse.WithColumnNamesAndTypes(namesAndTypes))
	batch, err := t.conn.PrepareBatch(ctx, t.insertSQL())
	if err != nil {
		return fmt.Errorf("insert %d facts: %w", len(rows), err)
	}
	defer batch.Close()
	defer func() {
		if !batch.IsSent() {
			_ = batch.Abort() // drops the connection; Close alone would end the INSERT on the server, with no rows
		}
	}()
	for i, c := range columns {
		if err := c.fill(batch.Column(i), rows); err != nil {
			return fmt.Errorf("%w: column %s: %w", errEncode, c.name, err)
		}
	}
	for i, c := range batch.Columns() { // the HTTP transport sends an uneven block as an empty one, which is answered with OK
		if c.Rows() != len(rows) {
			return fmt.Errorf("%w: column %s has %d cells for %d rows", errEncode, columns[i].name, c.Rows(), len(rows))
		}
	}
	if end, ok := ctx.Deadline(); ok && time.Now().Round(0).After(end.Round(0)) { // by the wall clock: a suspended machine's timers sleep too
		return fmt.Errorf("insert %d facts: not sent, the process was asleep: %w", len(rows), context.DeadlineExceeded)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert %d facts: %w", len(rows), err)
	}
	return nil
}

func (t *table) insertSQL() string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quoteName(c.name)
	}
	return fmt.Sprintf("INSERT INTO %s.facts (%s)", quoteName(t.database), strings.Join(names, ", "))
}

// missing looks rows up by their places. Rows past the table's TTL are not missed: ClickHouse may drop them at any merge.
func (t *table) missing(ctx context.Context, rows []row) ([]row, error) {
	held, err := t.held(ctx, rows)
	if err != nil {
		return nil, err
	}
	var gone []row
	expired := time.Now().Add(-t.retention).UnixMilli()
	for i := range rows {
		if !held[rows[i].place()] && rows[i].Appended > expired {
			gone = append(gone, rows[i])
		}
	}
	return gone, nil
}

func (t *table) present(ctx context.Context, rows []row) (n int, err error) {
	held, err := t.held(ctx, rows)
	for i := range rows {
		if held[rows[i].place()] {
			n++
		}
	}
	return n, err
}

// held reads the places around rows that the table holds. It goes by places, which the projection by_place finds, and not by offsets of
// topic facts: a place is what must not come twice, from whichever log it came.
func (t *table) held(ctx context.Context, rows []row) (map[place]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	held := map[place]bool{}
	for _, g := range groupPlaces(rows) {
		if err := t.readPlaces(ctx, g, held); err != nil {
			return nil, fmt.Errorf("read back generation %d partition %d offsets %d-%d: %w", g.generation, g.partition, g.low, g.high, err)
		}
	}
	return held, nil
}

func (t *table) readPlaces(ctx context.Context, g placeRange, held map[place]bool) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{
		"max_execution_time":            int(attemptTimeout.Seconds()),
		"select_sequential_consistency": 1, // for replicated tables with a quorum; without meaning otherwise
	}))
	found, err := t.conn.Query(ctx, fmt.Sprintf("SELECT generation, partition, offset, seq FROM %s.facts"+
		" WHERE generation = %d AND partition = %d AND offset BETWEEN %d AND %d", quoteName(t.database), g.generation, g.partition, g.low, g.high))
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var p place
		if err := found.Scan(&p.generation, &p.partition, &p.offset, &p.seq); err != nil {
			return err
		}
		held[p] = true
	}
	return found.Err()
}

// placeRange is the range of event offsets that a block has of one partition of one generation; a block has one range as a rule.
type placeRange struct {
	generation, partition uint16
	low, high             uint64
}

func groupPlaces(rows []row) (gs []placeRange) {
	for i := range rows {
		p := rows[i].place()
		at := slices.IndexFunc(gs, func(g placeRange) bool { return g.generation == p.generation && g.partition == p.partition })
		if at < 0 {
			gs = append(gs, placeRange{p.generation, p.partition, p.offset, p.offset})
			continue
		}
		gs[at].low, gs[at].high = min(gs[at].low, p.offset), max(gs[at].high, p.offset)
	}
	return gs
}

// quoteName quotes an identifier. The name is a configuration value, checked by validName.
func quoteName(name string) string { return "`" + strings.ReplaceAll(name, "`", "\\`") + "`" }

// unreachable tells a server that cannot be reached from one that answered with an exception.
func unreachable(err error) bool {
	var exception *clickhouse.Exception
	return err != nil && !errors.As(err, &exception)
}
