package store

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Chain is the running hash over the input that a partition reflects.
type Chain [16]byte

// Marker says how far the store reflects a partition of topic events. The zero Marker is a partition that was never flushed.
type Marker struct {
	Offset  int64  // of the next record that is not reflected
	Config  int32  // version of the configuration in force there
	TopicID string // of topic events: a recreated topic's offsets mean something else; no spaces
	Chain   Chain  // over the records below Offset
}

// markerFormat begins every stored marker. A reader takes this one and no other; a golden file holds it.
const markerFormat = "v2"

// IsZero reports whether the partition was never flushed.
func (m Marker) IsZero() bool { return m == Marker{} }

// String is the part of the stored form that markers are compared by; "" for the zero Marker.
func (m Marker) String() string {
	if m.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s %d %d %s %s", markerFormat, m.Offset, m.Config, m.TopicID, hex.EncodeToString(m.Chain[:]))
}

// ParseMarker is the inverse of String.
func ParseMarker(s string) (m Marker, err error) {
	if s == "" {
		return m, nil
	}
	f := strings.Split(s, " ")
	if len(f) != 5 || f[0] != markerFormat {
		return m, fmt.Errorf("marker %q: this version reads \"%s offset config topic chain\"", s, markerFormat)
	}
	if m.Offset, err = strconv.ParseInt(f[1], 10, 64); err != nil {
		return m, fmt.Errorf("marker %q: offset: %w", s, err)
	}
	c, err := strconv.ParseInt(f[2], 10, 32)
	if err != nil {
		return m, fmt.Errorf("marker %q: config: %w", s, err)
	}
	if want := hex.EncodedLen(len(m.Chain)); len(f[4]) != want {
		return m, fmt.Errorf("marker %q: chain: %d hexadecimal digits, want %d", s, len(f[4]), want)
	}
	if _, err := hex.Decode(m.Chain[:], []byte(f[4])); err != nil {
		return m, fmt.Errorf("marker %q: chain: %w", s, err)
	}
	m.Config, m.TopicID = int32(c), f[3]
	return m, nil
}

// stored is the whole stored form: the marker, and what belongs to the calls that move it. As text, "fid fc nkeys|marker": how many
// calls of which flush were applied, and how many keys the partition has besides the marker's own.
type stored struct {
	marker Marker
	flush  string // id of the last flush that wrote anything
	calls  int    // of it that are applied
	keys   int64
}

func parseStored(s string) (out stored, err error) {
	if s == "" {
		return out, nil
	}
	chain, marker, found := strings.Cut(s, "|")
	if f := strings.Split(chain, " "); found && len(f) == 3 {
		out.flush = f[0]
		calls, bad1 := strconv.Atoi(f[1])
		keys, bad2 := strconv.ParseInt(f[2], 10, 64)
		if bad1 == nil && bad2 == nil {
			out.calls, out.keys = calls, keys
			out.marker, err = ParseMarker(marker)
			return out, err
		}
	}
	return out, fmt.Errorf("stored marker %q: this version reads \"flush calls keys|marker\"", s)
}
