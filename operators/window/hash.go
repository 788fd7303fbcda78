package window

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/streamgauge/streamgauge/schemas"
)

// IDHash is the 8 bytes by which an event id is known: of SHA-256, so that nobody can make two ids meet.
func IDHash(id string, side schemas.Side) uint64 {
	var b [256]byte
	h := sha256.Sum256(append(append(b[:0], byte(side)), id...))
	return binary.BigEndian.Uint64(h[:])
}

// OriginHash is the 4 bytes by which an input record's place is known. The places are the broker's, not a sender's choice: a fast
// mixing does.
func OriginHash(o *schemas.Origin) uint32 {
	h := uint64(14695981039346656037) ^ uint64(uint32(o.Partition))<<32 ^ uint64(len(o.Topic))
	for i := range len(o.Topic) {
		h = (h ^ uint64(o.Topic[i])) * 1099511628211
	}
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, uint64(o.Offset)^0xd6e8feb86659fd93)
	h = (hi ^ lo ^ h) * 0xff51afd7ed558ccd
	return uint32(h>>32) ^ uint32(h)
}
