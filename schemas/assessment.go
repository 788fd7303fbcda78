package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Stage is where an assessment stands.
type Stage uint8

const (
	StageNone            Stage = iota // not an assessed event
	StageOpen                         // waits for a human decision
	StageWaitingApproval              // decided, waits for the approval date; reserved
	StageDone                         // decided
)

// Stages lists the stages' names by value.
var Stages = []string{"NONE", "OPEN", "WAITING_APPROVAL", "DONE"}

func (s Stage) String() string { return enumName(Stages, int(s)) }

// Decision types of an operation's assessment.
const (
	Accepted         = "ACCEPTED"
	DecisionRejected = "REJECTED"
)

// Assessment is the verdict on one event: the data of the CloudEvents on topic operation-realtime.
type Assessment struct {
	GUID         string
	Stage        Stage
	InitialLevel Level
	FinalLevel   Level
	DecisionType string // empty while open
	GroundCode   string // from the classifier; only where a human decided
}

// AssessmentGUID derives the guid of the assessment of an event at a place of topic events from the log alone, so that a retry gives the
// same bytes. It is a UUIDv8: 16 bits generation, 16 bits partition (a decision finds its partition without a lookup), 90 bits of
// SHA-256 over the identity and the offset. The offset is in it because a producer may use an id again once the first event has left
// retention: two assessments, and a consumer who dedupes by id must see both.
func AssessmentGUID(generation, partition int32, offset int64, e *Event) string {
	var room [512]byte // on the stack; longer identities move to the heap
	b := room[:0]
	for _, s := range [...]string{e.Organisation, e.Team, e.Customer, e.ID} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	b = append(b, byte(e.Side), byte(e.Kind))
	h := sha256.Sum256(binary.BigEndian.AppendUint64(b, uint64(offset)))
	var u [16]byte
	binary.BigEndian.PutUint16(u[0:], uint16(generation))
	binary.BigEndian.PutUint16(u[2:], uint16(partition))
	copy(u[4:], h[:])
	return uuid8(u)
}

// parseUUID reads the 36 characters that uuid8 writes.
func parseUUID(s string) (u [16]byte, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return u, false
	}
	var digits [32]byte
	copy(digits[0:], s[0:8])
	copy(digits[8:], s[9:13])
	copy(digits[12:], s[14:18])
	copy(digits[16:], s[19:23])
	copy(digits[20:], s[24:36])
	_, err := hex.Decode(u[:], digits[:])
	return u, err == nil
}

// uuid8 sets the version and variant bits of RFC 9562 and formats.
func uuid8(u [16]byte) string {
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	var b [36]byte
	hex.Encode(b[0:], u[0:4])
	hex.Encode(b[9:], u[4:6])
	hex.Encode(b[14:], u[6:8])
	hex.Encode(b[19:], u[8:10])
	hex.Encode(b[24:], u[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
