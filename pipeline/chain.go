package pipeline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/streamgauge/streamgauge/pipeline/store"
)

// Chain is a running hash over a partition's records as they were judged: H(chain, offset, append time, key, value) for each, SHA-256
// cut to 16 bytes. Equal chains at an offset prove the same input, whatever the batches were; transaction markers and aborted records
// are not in it, for a broker may drop them. SHA-256 and not a checksum: the chain is what an auditor holds against the log years later,
// and it costs 0.2 µs for an event of 300 bytes where the processor has instructions for it.
type Chain = store.Chain

// chainer advances chains without allocating.
type chainer struct {
	h    hash.Hash
	head [16 + 8 + 8 + 4]byte
	sum  [sha256.Size]byte
}

// next is the chain behind one more record.
func (c *chainer) next(at Chain, r *kgo.Record) Chain {
	if c.h == nil {
		c.h = sha256.New()
	}
	c.h.Reset()
	copy(c.head[:16], at[:])
	binary.BigEndian.PutUint64(c.head[16:], uint64(r.Offset))
	binary.BigEndian.PutUint64(c.head[24:], uint64(r.Timestamp.UnixMilli()))
	binary.BigEndian.PutUint32(c.head[32:], uint32(len(r.Key)))
	c.h.Write(c.head[:])
	c.h.Write(r.Key)
	c.h.Write(r.Value)
	c.h.Sum(c.sum[:0])
	return Chain(c.sum[:16])
}

// note is what a commit says of itself, in the group's commit metadata: under which topology it judged, what it read, and who it was.
type note struct {
	Generation int32  // of the topology
	Partitions int32  // of topic events
	TopicID    string // of topic events
	From       int64  // the chain's first offset: where the partition began to be judged
	Chain      Chain  // over [From, the committed offset)
	Committer  string // the transactional id; who finds the offsets unstable ends its open transaction
}

// noteFormat begins every note. Its fields stand between single spaces; none of them may hold one.
const noteFormat = "streamgauge.1"

// maxNote is what brokers take of commit metadata by default (offset.metadata.max.bytes). A note has 100 bytes and the names.
const maxNote = 4096

// String is the form that is committed.
func (n *note) String() string {
	return fmt.Sprintf("%s %d %d %s %d %s %s", noteFormat, n.Generation, n.Partitions, n.TopicID, n.From, hex.EncodeToString(n.Chain[:]), n.Committer)
}

// parseNote is the inverse. It answers nil for metadata that no version with notes wrote: what an earlier one, or a tool that sets
// offsets by hand, leaves there. A note that cannot be read is an error: a later version's, which this one must not go on from.
func parseNote(text string) (*note, error) {
	if !strings.HasPrefix(text, "streamgauge.") {
		return nil, nil //nolint:nilnil // there is none
	}
	f := strings.Split(text, " ")
	if f[0] != noteFormat || len(f) != 7 {
		return nil, fmt.Errorf("commit metadata %.80q is of a format that this version does not read (%s); run the version that wrote it", text, noteFormat)
	}
	n := &note{TopicID: f[3], Committer: f[6]}
	generation, err1 := strconv.ParseInt(f[1], 10, 32)
	partitions, err2 := strconv.ParseInt(f[2], 10, 32)
	from, err3 := strconv.ParseInt(f[4], 10, 64)
	chain, err4 := hex.DecodeString(f[5])
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return nil, fmt.Errorf("commit metadata %.80q: %w", text, err)
		}
	}
	if len(chain) != len(n.Chain) {
		return nil, fmt.Errorf("commit metadata %.80q: a chain has %d bytes, this one %d", text, len(n.Chain), len(chain))
	}
	n.Generation, n.Partitions, n.From, n.Chain = int32(generation), int32(partitions), from, Chain(chain)
	return n, nil
}
