package rule

import (
	"archive/zip"
	"bytes"
	_ "embed" // the time zones
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ZonesVersion is the version of the IANA time zone database that the binary holds and that calendar windows follow.
const ZonesVersion = "2025c"

// zoneinfo is the database as the Go distribution ships it (lib/time/zoneinfo.zip, whose update.bash names the version). Package time
// would read the machine's own copy first, whose rules differ from machine to machine: the same log would give other results there.
//
//go:embed zoneinfo/2025c.zip
var zoneinfo []byte

// zones is the database by zone name.
var zones = sync.OnceValue(func() map[string]*zip.File {
	r, err := zip.NewReader(bytes.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		panic(fmt.Sprintf("BUG: time zones: %v", err))
	}
	all := map[string]*zip.File{}
	for _, f := range r.File {
		if !strings.HasSuffix(f.Name, "/") {
			all[f.Name] = f
		}
	}
	return all
})

// loadZone is the zone of that IANA name; nil where the database has none.
func loadZone(name string) *time.Location {
	f := zones()[name]
	switch {
	case name == "UTC":
		return time.UTC
	case f == nil:
		return nil
	}
	r, err := f.Open()
	if err != nil {
		panic(fmt.Sprintf("BUG: time zone %s: %v", name, err))
	}
	data, err := io.ReadAll(r)
	if err != nil {
		panic(fmt.Sprintf("BUG: time zone %s: %v", name, err))
	}
	zone, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		panic(fmt.Sprintf("BUG: time zone %s: %v", name, err))
	}
	return zone
}

// zoneNames are the names of all zones, ascending.
func zoneNames() []string { return slices.Sorted(maps.Keys(zones())) }
