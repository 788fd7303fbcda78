package archive

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Options say where the tables live and how long facts stay.
type Options struct {
	Database      string // default DefaultDatabase; letters, digits and _
	RetentionDays int    // days after the log's append time at which ClickHouse drops a fact; default DefaultRetentionDays
}

const (
	// DefaultDatabase is used where the configuration names none.
	DefaultDatabase = "streamgauge"
	// DefaultRetentionDays is seven years, two leap days included: the longest that the usual record-keeping rules ask for.
	DefaultRetentionDays = 2557
)

// migration is one numbered file. Its statements are written so that running them again, or twice at once, changes nothing.
type migration struct {
	version int
	name    string
	digest  string // hex SHA-256 of the file; what was applied must never change afterwards
	text    string // one statement, ${database} for the database
}

//go:embed migrations/*.sql
var migrationFiles embed.FS

var migrationName = regexp.MustCompile(`^(\d{4})_([a-z0-9_]+)\.sql$`)

// migrations are the embedded files by version.
var migrations = func() (ms []migration) {
	files, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	for _, f := range files {
		text, err := migrationFiles.ReadFile(f)
		m := migrationName.FindStringSubmatch(path.Base(f))
		if err != nil || m == nil {
			panic(fmt.Sprintf("BUG: migration %s: %v", f, err))
		}
		version, _ := strconv.Atoi(m[1])
		sum := sha256.Sum256(text)
		ms = append(ms, migration{version, m[2], hex.EncodeToString(sum[:]), string(text)})
	}
	slices.SortFunc(ms, func(a, b migration) int { return a.version - b.version })
	return ms
}()

// Migrate brings the database to what this program needs and returns the names of the migrations that it applied, in order. It may run
// at any time, in several processes at once, and again after it died half way. It fails on a migration that was applied with another
// text, named in the error, and where the tables are not as the archive's guarantee needs them. Versions that this program does not know
// are a newer program's: they only add, and are left alone.
func Migrate(ctx context.Context, conn driver.Conn, o Options) ([]string, error) {
	return migrate(ctx, conn, o, migrations)
}

func migrate(ctx context.Context, conn driver.Conn, o Options, ms []migration) ([]string, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	db := quoteName(o.Database)
	if err := checkVersion(conn); err != nil {
		return nil, err
	}
	if err := createLedger(ctx, conn, o.Database); err != nil {
		return nil, err
	}
	applied, err := appliedDigests(ctx, conn, db)
	if err != nil {
		return nil, err
	}
	if err := unchanged(ms, applied); err != nil {
		return nil, err
	}
	var done []string
	for _, m := range ms {
		if _, ok := applied[m.version]; ok {
			continue
		}
		name := fmt.Sprintf("%04d_%s", m.version, m.name)
		if err := conn.Exec(ctx, strings.ReplaceAll(m.text, "${database}", db)); err != nil {
			return done, fmt.Errorf("migration %s: %w", name, err)
		}
		if err := record(ctx, conn, db, m); err != nil {
			return done, fmt.Errorf("migration %s is applied but not recorded: %w", name, err)
		}
		done = append(done, name)
	}
	if err := setRetention(ctx, conn, o); err != nil {
		return done, err
	}
	return done, errors.Join(checkTable(ctx, conn, o.Database), checkProfile(ctx, conn))
}

// leastVersion is the first ClickHouse whose projections can point into the table (_part_offset) instead of holding the rows again.
var leastVersion = [2]uint64{25, 6}

func checkVersion(conn driver.Conn) error {
	v, err := conn.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	if got := [2]uint64{v.Version.Major, v.Version.Minor}; got[0] < leastVersion[0] || got[0] == leastVersion[0] && got[1] < leastVersion[1] {
		return fmt.Errorf("server is ClickHouse %d.%d: want at least %d.%d", got[0], got[1], leastVersion[0], leastVersion[1])
	}
	return nil
}

func (o Options) withDefaults() (Options, error) {
	if o.Database == "" {
		o.Database = DefaultDatabase
	}
	if o.RetentionDays == 0 {
		o.RetentionDays = DefaultRetentionDays
	}
	var errs []error
	if !validName.MatchString(o.Database) {
		errs = append(errs, fmt.Errorf("archive database %q: want letters, digits and _, not starting with a digit", o.Database))
	}
	if o.RetentionDays < 1 || o.RetentionDays > maxRetentionDays {
		errs = append(errs, fmt.Errorf("archive retention of %d days: want 1 to %d", o.RetentionDays, maxRetentionDays))
	}
	return o, errors.Join(errs...)
}

// maxRetentionDays is a hundred years: beyond, ClickHouse's DateTime ends (2106).
const maxRetentionDays = 36525

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// createLedger makes the database, unless it is there already (a user without that right may be given one), and schema_migrations.
func createLedger(ctx context.Context, conn driver.Conn, database string) error {
	var there uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name = '"+database+"'").Scan(&there); err != nil {
		return fmt.Errorf("look for database %s: %w", database, err)
	}
	if there == 0 {
		if err := conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(database)); err != nil {
			return fmt.Errorf("create database %s: %w", database, err)
		}
	}
	err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS `+quoteName(database)+`.schema_migrations
(
    version    UInt32 COMMENT 'number of the migration, from 1',
    name       String COMMENT 'what it brings',
    digest     String COMMENT 'hex SHA-256 of its text; a text that was applied never changes',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC') COMMENT 'when it was recorded, by the server''s clock'
)
ENGINE = MergeTree ORDER BY version
COMMENT 'migrations of this database; a version may stand twice where two programs started at once'`)
	if err != nil {
		return fmt.Errorf("create schema_migrations: %w", err)
	}
	return nil
}

// appliedDigests are the digests on record by version; two starters at once may both have recorded one.
func appliedDigests(ctx context.Context, conn driver.Conn, db string) (map[int][]string, error) {
	rows, err := conn.Query(ctx, "SELECT version, groupUniqArray(digest) FROM "+db+".schema_migrations GROUP BY version")
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", err)
	}
	defer rows.Close()
	applied := map[int][]string{}
	for rows.Next() {
		var version uint32
		var digests []string
		if err := rows.Scan(&version, &digests); err != nil {
			return nil, fmt.Errorf("read schema_migrations: %w", err)
		}
		applied[int(version)] = digests
	}
	return applied, rows.Err()
}

// unchanged reports every migration whose text is not the one on record.
func unchanged(ms []migration, applied map[int][]string) error {
	var errs []error
	for _, m := range ms {
		for _, digest := range applied[m.version] {
			if digest != m.digest {
				errs = append(errs, fmt.Errorf("migration %04d_%s was applied with digest %s and has digest %s now:"+
					" restore its text and put the change into a new migration", m.version, m.name, digest, m.digest))
			}
		}
	}
	return errors.Join(errs...)
}

func record(ctx context.Context, conn driver.Conn, db string, m migration) error {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"async_insert": 0}))
	return conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s.schema_migrations (version, name, digest) SELECT %d, '%s', '%s'", db, m.version, m.name, m.digest))
}

var ttlDays = regexp.MustCompile(`TTL toDateTime\(appended\) \+ toIntervalDay\((\d+)\)`)

// setRetention changes the table's TTL where the configuration asks for another than it has. Parts that are there follow at their merges.
func setRetention(ctx context.Context, conn driver.Conn, o Options) error {
	ddl, err := createQuery(ctx, conn, o.Database)
	if err != nil {
		return err
	}
	if m := ttlDays.FindStringSubmatch(ddl); m != nil && m[1] == strconv.Itoa(o.RetentionDays) {
		return nil
	}
	err = conn.Exec(ctx, fmt.Sprintf("ALTER TABLE %s.facts MODIFY TTL toDateTime(appended) + toIntervalDay(%d) SETTINGS materialize_ttl_after_modify = 0",
		quoteName(o.Database), o.RetentionDays))
	if err != nil {
		return fmt.Errorf("set retention of %d days: %w", o.RetentionDays, err)
	}
	return nil
}

// The least deduplication windows under which a retry is safe: with 64 partitions at a block a second, 10000 blocks are 156 s, above the
// 120 s that an INSERT can live. The DDL asks for twice as much.
const (
	leastWindowBlocks  = 10_000
	leastWindowSeconds = 3600
)

// checkTable asserts what the archive's exactness rests on: that the table really has the deduplication windows of the DDL, and every
// column with its type. An operator's ALTER, or a table made by hand, is found here and not by a duplicate.
func checkTable(ctx context.Context, conn driver.Conn, database string) error {
	ddl, err := createQuery(ctx, conn, database)
	if err != nil {
		return err
	}
	var errs []error
	for name, least := range map[string]int{"non_replicated_deduplication_window": leastWindowBlocks,
		"replicated_deduplication_window": leastWindowBlocks, "replicated_deduplication_window_seconds": leastWindowSeconds} {
		m := regexp.MustCompile(`\b` + name + ` = (\d+)`).FindStringSubmatch(ddl)
		switch {
		case m == nil:
			errs = append(errs, fmt.Errorf("table %s.facts does not set %s: ALTER TABLE … MODIFY SETTING %s = 20000", database, name, name))
		default:
			if v, err := strconv.Atoi(m[1]); err != nil || v < least {
				errs = append(errs, fmt.Errorf("table %s.facts has %s = %s: want at least %d", database, name, m[1], least))
			}
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(append(errs, checkColumns(ctx, conn, database))...)
}

// checkProfile asserts that the user's profile does not switch deduplication off with a setting that stands above those that an INSERT
// brings. Servers before 26 do not know it, so that it cannot be sent along.
func checkProfile(ctx context.Context, conn driver.Conn) error {
	var off uint64
	err := conn.QueryRow(ctx, "SELECT count() FROM system.settings WHERE name = 'deduplicate_insert' AND value = 'disable'").Scan(&off)
	if err != nil {
		return fmt.Errorf("read the user's settings: %w", err)
	}
	if off > 0 {
		return errors.New("the user's profile has deduplicate_insert = disable: the archive's retries would double facts; set it to enable")
	}
	return nil
}

func checkColumns(ctx context.Context, conn driver.Conn, database string) error {
	rows, err := conn.Query(ctx, "SELECT name, type FROM system.columns WHERE database = '"+database+"' AND table = 'facts'")
	if err != nil {
		return fmt.Errorf("read columns of %s.facts: %w", database, err)
	}
	defer rows.Close()
	there := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return fmt.Errorf("read columns of %s.facts: %w", database, err)
		}
		there[name] = kind
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read columns of %s.facts: %w", database, err)
	}
	var errs []error
	for _, c := range columns {
		if there[c.name] != c.kind {
			errs = append(errs, fmt.Errorf("column %s.facts.%s is %q: want %s", database, c.name, there[c.name], c.kind))
		}
	}
	return errors.Join(errs...)
}

func createQuery(ctx context.Context, conn driver.Conn, database string) (string, error) {
	var ddl string
	err := conn.QueryRow(ctx, "SELECT create_table_query FROM system.tables WHERE database = '"+database+"' AND name = 'facts'").Scan(&ddl)
	if err != nil {
		return "", fmt.Errorf("read the definition of %s.facts: %w", database, err)
	}
	return ddl, nil
}
