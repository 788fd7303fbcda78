package archive

import (
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
	if want := []string{"0001_facts", "0002_alerts_today", "0003_timeline"}; !slices.Equal(first, want) {
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

func TestMigrations_AreNumberedWithoutGapsAndMayRunTwice(t *testing.T) {
	for i, m := range migrations {
		if m.version != i+1 {
			t.Errorf("migration %s has number %d, want %d", m.name, m.version, i+1)
		}
		statement := m.text[strings.Index(m.text, "\nC")+1:]
		if !strings.HasPrefix(statement, "CREATE TABLE IF NOT EXISTS ${database}.") && !strings.HasPrefix(statement, "CREATE VIEW IF NOT EXISTS ${database}.") {
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
