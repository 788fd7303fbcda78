package schemas

import (
	"crypto/sha256"
	"encoding/hex"
)

// Snapshot is one validated configuration: the value of topic config, kept for ever. A control record in every partition of events says
// where it begins. It holds the files themselves, so that an old verdict can be judged again by the very text that judged it.
type Snapshot struct {
	Version int32          `avro:"version"` // from 1, ascending
	Files   []SnapshotFile `avro:"files"`   // ascending by name
}

// SnapshotFile is one file of a rules folder.
type SnapshotFile struct {
	Name    string `avro:"name"` // relative to the folder, with /
	Content string `avro:"content"`
}

// Digest is the hex SHA-256 over names and contents: equal for equal folders whatever the version.
func (s *Snapshot) Digest() string {
	h := sha256.New()
	for _, f := range s.Files {
		for _, t := range []string{f.Name, f.Content} {
			h.Write([]byte{byte(len(t) >> 24), byte(len(t) >> 16), byte(len(t) >> 8), byte(len(t))})
			h.Write([]byte(t))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
