package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// intent is what a committed offset's metadata says: the rows from that offset up to end were about to be inserted as one block, and may
// be in the table, in part or not at all. Whoever comes next must finish exactly this block before any other. It is small, because a
// broker keeps 4096 bytes of metadata at most (offset.metadata.max.bytes), and readable, because operators list it.
type intent struct {
	End   int64  `json:"end"`   // first offset behind the block, above the committed one
	Topic string `json:"topic"` // id of topic facts, hex: a topic made anew counts its offsets anew
}

func (n intent) String() string {
	b, err := json.Marshal(n)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// parseIntent reads the metadata of a commit at offset. No text means that nothing was under way. It fails on a text that no archive
// wrote and on an end that no block from offset can have.
func parseIntent(offset int64, metadata string) (n intent, pending bool, err error) {
	if metadata == "" {
		return intent{}, false, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(metadata)))
	d.DisallowUnknownFields()
	if err := d.Decode(&n); err != nil {
		return intent{}, false, fmt.Errorf("commit metadata %.100q is not an archive's: %w", metadata, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return intent{}, false, fmt.Errorf("commit metadata %.100q is not an archive's: text behind it", metadata)
	}
	if offset < 0 || n.End <= offset {
		return intent{}, false, fmt.Errorf("commit metadata %.100q: end %d is not above the committed offset %d", metadata, n.End, offset)
	}
	return n, true, nil
}

// token names a block for ClickHouse's deduplication: the same place of the same log is the same block, whoever sends it. Round is 1 for
// the block itself; 2 and above for the rows of it that a reading back found missing.
func token(topic string, partition int32, from, end int64, round int) string {
	t := fmt.Sprintf("%s:%d:%d:%d", topic, partition, from, end)
	if round > 1 {
		t += fmt.Sprintf("#%d", round)
	}
	return t
}
