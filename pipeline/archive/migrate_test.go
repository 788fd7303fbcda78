package archive

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestMigrate_AppliesOnceAndThenNothing(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	first, err := Migrate(t.Context(), b.conn, b.cfg.Options)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"0001_facts", "0002_alerts_today", "0003_timeline", "0004_hits_at_watermark", "0005_alerts_today_at_watermark"}; !slices.Equal(first, want) {
		t.Errorf("applied %q, want %q", first, want)
	}
	again, err := Migrate(t.Context(), b.conn, b.cfg.Options)
	if err != nil || len(again) != 0 {
		t.Errorf("a second time applied %q, %v", again, err)
	}
	b.exec("TRUNCATE TABLE {db}.schema_migrations") // a starter that died before it could record
	if again, err = Migrate(t.Context(), b.conn, b.cfg.Options); err != nil || !slices.Equal(again, first) {
		t.Errorf("unrecorded, applied %q, %v; want all again", again, err)
	}
}

// TestMigrate_FactsOfAnOlderProgramReadAsNotAtTheWatermark: rows from before the column, and rows that a program without it inserts beside
// a newer one, hold as many cells as they have hits.
func TestMigrate_FactsOfAnOlderProgramReadAsNotAtTheWatermark(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	if _, err := migrate(t.Context(), b.conn, b.cfg.Options, migrations[:3]); err == nil || !strings.Contains(err.Error(), `facts.hits.at_watermark is ""`) {
		t.Fatalf("the tables of the first three migrations: %v, want the missing column named", err)
	}
	insert := "INSERT INTO {db}.facts (offset, appended, hits.rule, hits.version, hits.level, hits.score, hits.shadow, hits.reason, hits.values)" +
		" VALUES (%d, now64(3), ['A', 'B'], [1, 1], ['LOW', 'HIGH'], [1, 2], [false, false], ['a', 'b'], [map(), map()])"
	b.exec(fmt.Sprintf(insert, 1))
	b.migrated()
	b.exec(fmt.Sprintf(insert, 2))
	var offsets []uint64
	var cells [][]bool
	b.row("SELECT groupArray(offset), groupArray(hits.at_watermark) FROM (SELECT * FROM {db}.facts ORDER BY offset)", &offsets, &cells)
	if want := [][]bool{{false, false}, {false, false}}; !slices.Equal(offsets, []uint64{1, 2}) || !slices.EqualFunc(cells, want, slices.Equal) {
		t.Errorf("offsets %d read %v", offsets, cells)
	}
	var alerts uint64
	b.row("SELECT count() FROM {db}.alerts_today WHERE NOT at_watermark", &alerts)
	if alerts != 4 {
		t.Errorf("%d alerts of 2 facts with 2 hits each", alerts)
	}
}

func TestMigrate_AChangedTextIsAnErrorThatNamesIt(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	changed := slices.Clone(migrations)
	changed[1].digest = "00"
	_, err := migrate(t.Context(), b.conn, b.cfg.Options, changed)
	if err == nil || !strings.Contains(err.Error(), "migration 0002_alerts_today was applied with digest "+migrations[1].digest+" and has digest 00 now") {
		t.Errorf("got %v", err)
	}
}

func TestMigrate_ANewerProgramsVersionsAreLeftAlone(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	b.exec("INSERT INTO {db}.schema_migrations (version, name, digest) VALUES (9999, 'later', 'ff')")
	if applied, err := Migrate(t.Context(), b.conn, b.cfg.Options); err != nil || len(applied) != 0 {
		t.Errorf("applied %q, %v", applied, err)
	}
}

func TestMigrate_StartersAtOnceDoNotBreakEachOther(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := Migrate(t.Context(), b.conn, b.cfg.Options); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if applied, err := Migrate(t.Context(), b.conn, b.cfg.Options); err != nil || len(applied) != 0 {
		t.Errorf("afterwards applied %q, %v", applied, err)
	}
}

func TestMigrate_ATableWithoutItsDeduplicationWindowsIsRefused(t *testing.T) {
	for _, change := range []struct{ sql, want string }{
		{"ALTER TABLE {db}.facts MODIFY SETTING non_replicated_deduplication_window = 100", "non_replicated_deduplication_window = 100: want at least 10000"},
		{"ALTER TABLE {db}.facts RESET SETTING replicated_deduplication_window", "does not set replicated_deduplication_window"},
		{"ALTER TABLE {db}.facts MODIFY SETTING replicated_deduplication_window_seconds = 60", "replicated_deduplication_window_seconds = 60: want at least 3600"},
		{"ALTER TABLE {db}.facts MODIFY COLUMN score Int64", `facts.score is "Int64": want Int32`},
	} {
		b := newBed(t, 1, engineURL(t)).migrated()
		b.exec(change.sql)
		if _, err := Migrate(t.Context(), b.conn, b.cfg.Options); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: got %v, want %q", change.sql, err, change.want)
		}
	}
}

func TestMigrate_AProfileWithoutDeduplicationIsRefused(t *testing.T) {
	b := newBed(t, 1, engineURL(t))
	conn, err := Open(b.url + "?deduplicate_insert=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := Migrate(t.Context(), conn, b.cfg.Options); err == nil || !strings.Contains(err.Error(), "deduplicate_insert = disable") {
		t.Errorf("got %v", err)
	}
}

func TestMigrate_RetentionFollowsTheConfiguration(t *testing.T) {
	b := newBed(t, 1, engineURL(t)).migrated()
	for _, days := range []int{90, 90, 0} {
		b.cfg.RetentionDays = days
		b.migrated()
		ddl, err := createQuery(t.Context(), b.conn, b.cfg.Database)
		if err != nil {
			t.Fatal(err)
		}
		want := "TTL toDateTime(appended) + toIntervalDay(90)"
		if days == 0 {
			want = "TTL toDateTime(appended) + toIntervalDay(2557)"
		}
		if !strings.Contains(ddl, want) {
			t.Errorf("retention %d: %s is not in %s", days, want, ddl)
		}
	}
}

// comments are the lines before a migration's statement.
var comments = regexp.MustCompile(`^(--.*\n)+`)

// repeatable begins a statement that changes nothing the second time.
var repeatable = regexp.MustCompile(`^(CREATE (TABLE|VIEW) IF NOT EXISTS|CREATE OR REPLACE VIEW) \$\{database\}\.|^ALTER TABLE \$\{database\}\.\w+\s+ADD COLUMN IF NOT EXISTS `)

func TestMigrations_AreNumberedWithoutGapsAndMayRunTwice(t *testing.T) {
	for i, m := range migrations {
		if m.version != i+1 {
			t.Errorf("migration %s has number %d, want %d", m.name, m.version, i+1)
		}
		statement := comments.ReplaceAllString(m.text, "")
		if !repeatable.MatchString(statement) {
			t.Errorf("migration %s begins with %.60q: can it run twice?", m.name, statement)
		}
	}
}

func TestOpen_ABadURLSaysWhat(t *testing.T) {
	for _, url := range []string{"", "://", "http://", "gopher://x:1"} {
		if conn, err := Open(url); err == nil {
			conn.Close()
			t.Errorf("%q was taken", url)
		}
	}
}
