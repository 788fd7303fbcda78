package store

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// Keys of partition p of generation g stand under one hash tag each, so in one slot of a Cluster: {tag}:m the marker, {tag}:h:<hash> a
// customer's head, {tag}:c:<hash>:<seq>.<version> a sealed chunk; hash = base64 of the first 16 bytes of SHA-256 of the customer's key.
// Key names carry no customer data.

// slots is how many a Redis Cluster has.
const slots = 16384

// hashed is a customer's name in keys: 22 letters of base64.
func hashed(key []byte) string {
	h := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(h[:16])
}

// slotOf is the slot that partition p of so many shall lie in: spread evenly, one slot each.
func slotOf(p, partitions int32) int { return int(int64(p) * slots / int64(partitions)) }

// suffixLetters are what a tag ends in, suffixLength of them: the first of all combinations, in their order, that leads to the slot.
const (
	suffixLetters = "0123456789abcdefghijklmnopqrstuvwxyz"
	suffixLength  = 4
)

// tags computes the hash tag of every partition of a generation, "{g.p.xxxx}": a function of its arguments alone, for ever. CRC16 is
// linear, so one table of what the suffixes add serves all partitions; without it 4,096 partitions take seconds.
func tags(generation, partitions int32) []string {
	var first [slots]string // by what the suffix adds to the slot
	var suffix [suffixLength]byte
	for n, found := 0, 0; found < slots; n++ {
		for i, rest := suffixLength-1, n; i >= 0; i-- {
			suffix[i] = suffixLetters[rest%len(suffixLetters)]
			rest /= len(suffixLetters)
		}
		if at := &first[crc16(0, string(suffix[:]))%slots]; *at == "" {
			*at = string(suffix[:])
			found++
		}
	}
	out := make([]string, partitions)
	for p := range partitions {
		prefix := fmt.Sprintf("%d.%d.", generation, p)
		have := crc16(crc16(0, prefix), string(make([]byte, suffixLength))) % slots
		out[p] = "{" + prefix + first[have^uint16(slotOf(p, partitions))] + "}"
	}
	return out
}

// crc16 goes on from crc over s: CRC-16/XMODEM, by which a Cluster assigns keys to slots.
func crc16(crc uint16, s string) uint16 {
	for i := range len(s) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^s[i]]
	}
	return crc
}

var crcTable = func() (t [256]uint16) {
	for i := range t {
		c := uint16(i) << 8
		for range 8 {
			if c&0x8000 != 0 {
				c = c<<1 ^ 0x1021
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()
