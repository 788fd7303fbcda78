package rule

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The binary's own data decides, not the machine's: ZONEINFO, which package time asks first, names a folder in which Vilnius keeps
// Tokyo's time.
func TestZone_IsReadFromTheBinaryAndNeverFromTheMachine(t *testing.T) {
	const name = "Europe/Vilnius"
	dir := t.TempDir()
	f, err := zones()["Asia/Tokyo"].Open()
	if err != nil {
		t.Fatal(err)
	}
	tokyo, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "Europe"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), tokyo, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ZONEINFO", dir)
	summer := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	machine, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, offset := summer.In(machine).Zone(); offset != 9*3600 {
		t.Fatalf("package time does not read ZONEINFO (offset %d s): the test would prove nothing", offset)
	}
	s := compile(t, "policy: {time_zone: Europe/Vilnius}\n---\n"+condition("count('day') > 1"))
	if zone, offset := summer.In(s.Policy.Zone).Zone(); offset != 3*3600 || s.Policy.Zone.String() != name {
		t.Errorf("%s is %s, %d s from UTC", s.Policy.Zone, zone, offset)
	}
}

// What happened since 1970 and what is to come, by tables that the data was not made from.
func TestZone_KnowsTheLocalTimesOfTheWorld(t *testing.T) {
	for _, c := range []struct{ zone, utc, local string }{
		{"UTC", "2026-07-01T12:00", "2026-07-01T12:00"},
		{"Europe/Vilnius", "2026-01-01T12:00", "2026-01-01T14:00"},
		{"Europe/Vilnius", "2026-03-29T00:59", "2026-03-29T02:59"}, // the last minute before summer
		{"Europe/Vilnius", "2026-03-29T01:00", "2026-03-29T04:00"},
		{"Europe/Vilnius", "2026-10-25T00:59", "2026-10-25T03:59"}, // the last minute of summer
		{"Europe/Vilnius", "2026-10-25T01:00", "2026-10-25T03:00"},
		{"Europe/Vilnius", "2199-07-01T12:00", "2199-07-01T15:00"}, // by rule, beyond all tables
		{"America/New_York", "2007-03-11T07:00", "2007-03-11T03:00"},
		{"America/New_York", "2006-03-12T07:00", "2006-03-12T02:00"}, // the year before, summer began in April
		{"Asia/Kathmandu", "1985-12-31T18:30", "1986-01-01T00:15"},
		{"Pacific/Apia", "2011-12-30T09:59", "2011-12-29T23:59"}, // and there was no 30th
		{"Pacific/Apia", "2011-12-30T10:00", "2011-12-31T00:00"},
		{"Australia/Lord_Howe", "2026-01-01T00:00", "2026-01-01T11:00"},
		{"Australia/Lord_Howe", "2026-07-01T00:00", "2026-07-01T10:30"},
	} {
		const layout = "2006-01-02T15:04"
		at, err := time.Parse(layout, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		if got := at.In(loadZone(c.zone)).Format(layout); got != c.local {
			t.Errorf("%s in %s is %s, want %s", c.utc, c.zone, got, c.local)
		}
	}
}

func TestZone_EveryZoneLoads(t *testing.T) {
	names := zoneNames()
	for _, name := range names {
		if z := loadZone(name); z == nil || z.String() != name {
			t.Errorf("%s is %v", name, z)
		}
	}
	if len(names) < 500 {
		t.Errorf("%d zones", len(names))
	}
}

// A configuration's days must not change because a build took other data along: the version and the data change together.
func TestZone_VersionIsThatOfTheData(t *testing.T) {
	const digest = "8f55634d05f8bca1f7bc7c69c5933428c69357e0bdf565e5ba224e3f88ff12e8" // of 2025c, as Go 1.26.8 ships it
	if got := fmt.Sprintf("%x", sha256.Sum256(zoneinfo)); got != digest {
		t.Errorf("the time zone data is %s, not that of %s: change ZonesVersion and this digest together", got, ZonesVersion)
	}
}
