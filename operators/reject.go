package operators

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/streamgauge/streamgauge/schemas"
)

// Reasons of intake; unsupported_kind it shares with monitor (dedupe.go). They are codes for machines; the detail is for people.
const (
	ReasonInvalidJSON     = "invalid_json"     // not JSON, not UTF-8, a lone surrogate, bytes behind the value
	ReasonTooLarge        = "too_large"        // beyond MaxValue
	ReasonTooDeep         = "too_deep"         // beyond MaxDepth
	ReasonTooManyFields   = "too_many_fields"  // beyond MaxMembers or MaxAttributes
	ReasonDuplicateKey    = "duplicate_key"    // one key twice in an object: which one was meant?
	ReasonMissing         = "missing"          // a required field is absent or empty
	ReasonWrongType       = "wrong_type"       // text for a number and the like; nothing is coerced
	ReasonWrongValue      = "wrong_value"      // right type, but not a value that the field can have
	ReasonUnknownField    = "unknown_field"    // the format is strict and has no such field
	ReasonUnknownType     = "unknown_type"     // an envelope of another type
	ReasonAmountRange     = "amount_range"     // beyond schemas.MaxAmount
	ReasonImplausibleTime = "implausible_time" // outside 1970 to 2200, or seconds where milliseconds belong
	ReasonTooLong         = "too_long"         // beyond MaxText, MaxID or MaxCountry
	ReasonInvalidText     = "invalid_text"     // U+0000 or not UTF-8
)

// Rejection is the record that tells people of a rejected item: where it came from, why, and its bytes. Key and Value are the item's
// own and as long valid as those.
func Rejection(it *Item, topic string, partition int32, stage string) schemas.Rejection {
	return schemas.Rejection{
		Origin: schemas.Origin{Topic: topic, Partition: partition, Offset: it.Offset},
		Stage:  stage, Reason: it.Reason, Detail: it.Detail, Key: it.Key, Value: it.Value,
	}
}

const (
	maxDetail = 2048 // bytes of a rejection's detail: some twenty violations; a person fixes those first
	maxShown  = 64   // bytes of a value or key in a detail: enough to find it in the input
)

// faults collects what is wrong with one record. The first one gives the reason, all of them the detail.
type faults struct {
	reason string
	text   strings.Builder
	count  int
	more   int // of count, those found behind maxDetail
}

func (f *faults) reset() { *f = faults{} }

func (f *faults) any() bool { return f.reason != "" }

// add notes a violation at a field's path; path may be empty where it concerns the whole record.
func (f *faults) add(reason, path, format string, args ...any) {
	f.count++
	if f.reason == "" {
		f.reason = reason
	}
	s := fmt.Sprintf(format, args...)
	if path != "" {
		s = path + ": " + s
	}
	if f.text.Len() > 0 {
		if f.text.Len()+len(s) > maxDetail {
			f.more++
			return
		}
		f.text.WriteString("; ")
	}
	f.text.WriteString(s)
}

func (f *faults) detail() string {
	if f.more > 0 {
		return fmt.Sprintf("%s; and %d more", f.text.String(), f.more)
	}
	return f.text.String()
}

// shown is a piece of the input as a detail shows it: quoted, so that any bytes are readable text, and clipped.
func shown[T string | []byte](b T) string {
	if len(b) > maxShown {
		return strconv.Quote(string(b[:maxShown])) + "…"
	}
	return strconv.Quote(string(b))
}

// shownKey is a key as a path shows it: bare where that is readable.
func shownKey[T string | []byte](b T) string {
	for i := range len(b) {
		c := b[i] | 0x20
		if (c < 'a' || c > 'z') && (b[i] < '0' || b[i] > '9') && b[i] != '_' && b[i] != '-' && b[i] != '.' || i >= maxShown {
			return shown(b)
		}
	}
	if len(b) == 0 {
		return `""`
	}
	return string(b)
}
