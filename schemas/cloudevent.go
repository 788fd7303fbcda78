package schemas

import (
	"crypto/sha256"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event types of operation assessments behind the configured prefix; the defaults make app.amlyze.operation.riskmanagement.….
const (
	OperationPending   = "operation.riskmanagement.operation_realtime.pending"
	OperationCompleted = "operation.riskmanagement.operation_realtime.completed"
)

// CloudEvent is one CloudEvents 1.0 envelope, the value of topic operation-realtime.
type CloudEvent struct {
	Type    string // prefix + one of the types above
	Source  string // URI-reference; by configuration
	Subject string // the resource's external id: the operation's event id
	ID      string // derived from (assessmentGuid, type): the same on every redelivery
	Time    int64  // ms; append time of the record that caused it
	Data    Assessment
}

// EventType is a CloudEvent type with what makes ids of it; a configuration has two of them, for every event.
type EventType struct {
	Name string
	mask [16]byte // of SHA-256 of the name
}

// NewEventType makes the type of this name.
func NewEventType(name string) EventType {
	s := sha256.Sum256([]byte(name))
	return EventType{Name: name, mask: [16]byte(s[:16])}
}

// ID derives the id of the event of this type from its assessment's guid: the guid with the type's bits turned, hence as unlike all
// others as the guid is, another for each type and never the guid itself. A second hash of both would say no more. A text that is no
// guid has the empty id.
func (t *EventType) ID(guid string) string {
	u, ok := parseUUID(guid)
	if !ok {
		return ""
	}
	for i := range u {
		u[i] ^= t.mask[i]
	}
	return uuid8(u)
}

// CloudEventID is EventType.ID for whoever has the type as text.
func CloudEventID(guid, eventType string) string {
	t := NewEventType(eventType)
	return t.ID(guid)
}

// AppendStructured appends the event as one JSON object (content type application/cloudevents+json), keys in the order of the reference document.
func (c *CloudEvent) AppendStructured(b []byte) []byte {
	b = append(b, `{"type":`...)
	b = AppendJSONString(b, c.Type)
	b = append(b, `,"specversion":"1.0","source":`...)
	b = AppendJSONString(b, c.Source)
	b = append(b, `,"subject":`...)
	b = AppendJSONString(b, c.Subject)
	b = append(b, `,"id":`...)
	b = AppendJSONString(b, c.ID)
	b = append(b, `,"time":"`...)
	b = AppendTime(b, c.Time)
	b = append(b, `","datacontenttype":"application/json","data":`...)
	b = c.AppendData(b)
	return append(b, '}')
}

// AppendData appends the event's data alone: the value of a binary-mode record. Keys without a value are left out, never null.
func (c *CloudEvent) AppendData(b []byte) []byte {
	b = append(b, `{"assessmentGuid":`...)
	b = AppendJSONString(b, c.Data.GUID)
	b = append(b, `,"initialRiskLevel":"`...)
	b = append(b, c.Data.InitialLevel.String()...)
	b = append(b, '"')
	if c.Data.Stage == StageDone {
		b = append(b, `,"finalRiskLevel":"`...)
		b = append(b, c.Data.FinalLevel.String()...)
		b = append(b, `","decisionType":`...)
		b = AppendJSONString(b, c.Data.DecisionType)
		if c.Data.GroundCode != "" {
			b = append(b, `,"decisionGroundCode":`...)
			b = AppendJSONString(b, c.Data.GroundCode)
		}
	}
	return append(b, '}')
}

// StructuredContentType is the content-type header of a structured-mode record.
const StructuredContentType = "application/cloudevents+json; charset=UTF-8"

// BinaryHeaders are the record headers of binary mode, in the Kafka protocol binding's spelling.
func (c *CloudEvent) BinaryHeaders() []Attribute {
	return []Attribute{
		{"ce_specversion", "1.0"}, {"ce_type", c.Type}, {"ce_source", c.Source}, {"ce_subject", c.Subject},
		{"ce_id", c.ID}, {"ce_time", string(AppendTime(nil, c.Time))}, {"content-type", "application/json"},
	}
}

// AppendTime appends ms since 1970 as RFC 3339 in UTC, with milliseconds only where there are any.
func AppendTime(b []byte, ms int64) []byte {
	b = time.UnixMilli(ms).UTC().AppendFormat(b, time.RFC3339) // the one layout that has a fast way
	if m := (ms%1000 + 1000) % 1000; m != 0 {
		b = append(b[:len(b)-1], '.', '0'+byte(m/100), '0'+byte(m/10%10), '0'+byte(m%10), 'Z')
	}
	return b
}

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (p [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		p[c] = c != '"' && c != '\\'
	}
	return p
}()

// AppendJSONString appends s as a JSON string; what is not UTF-8 becomes U+FFFD.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, `\u00`...)
				if c < 16 {
					b = append(b, '0')
				}
				b = strconv.AppendUint(b, uint64(c), 16)
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(b, s[from:i]...)
			b = append(b, "\uFFFD"...)
			i++
			from = i
			continue
		}
		i += n
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
