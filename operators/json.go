package operators

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/schemas"
)

// Limits of one input record.
const (
	MaxValue   = 1 << 20 // bytes; Kafka's own default for a record batch (message.max.bytes) is 1 MiB
	MaxDepth   = 64      // nested objects and arrays; our formats need 2
	MaxMembers = 128     // keys of one object: MaxAttributes and every canonical field fit with room
)

// parsed is one record's JSON as a flat list of members, together with the event that a format makes of it. It is reused from record to
// record; its texts are parts of the record or memory of their own, never shared with the next one.
type parsed struct {
	dec     jx.Decoder
	members []member // of the top object and of the objects directly in it; while parsing also of the objects that are open
	event   *schemas.Event
	faults  faults
}

// member is one key of an object and its value.
type member struct {
	object int // number of the object that holds it: 0 for the top one, 1 + its member's index for the others
	name   []byte
	kind   jx.Type
	text   []byte // of a string without quotes and escapes, of a number or boolean as written; nil for null, objects and arrays
	known  bool   // a field of the format took it
}

func (p *parsed) begin(e *schemas.Event) {
	p.members, p.event = p.members[:0], e
	p.faults.reset()
}

// release gives p back to the pool without the record that it last saw.
func (p *parsed) release() {
	clear(p.members[:cap(p.members)])
	if cap(p.members) > 1024 { // one hostile record would hold its memory for ever
		p.members = nil
	}
	p.event = nil
	p.dec.ResetBytes(nil)
	parsers.Put(p)
}

// parse reads value into p.members and reports whether it is one well-formed JSON object within the limits. If not, the fault is noted.
func (p *parsed) parse(value []byte) bool {
	if len(value) > MaxValue {
		p.faults.add(ReasonTooLarge, "", "%d bytes, at most %d", len(value), MaxValue)
		return false
	}
	if err := CheckText(value); err != nil {
		p.faults.add(ReasonInvalidJSON, "", "%v", err)
		return false
	}
	p.dec.ResetBytes(value)
	top := p.dec.Next()
	err := p.value(0, -1)
	if err == nil {
		err = p.end(value)
	}
	var r *refusalError
	switch {
	case errors.As(err, &r):
		p.faults.add(r.reason, r.path, "%s", r.detail)
	case err != nil:
		p.faults.add(ReasonInvalidJSON, "", "%s", Syntax(err, len(value)))
	case top != jx.Object:
		p.faults.add(ReasonWrongType, "", "expected one JSON object, got %s", top)
	default:
		return true
	}
	return false
}

// value reads the next value, which belongs to member i, or to no member that is kept where i is negative.
func (p *parsed) value(depth, i int) (err error) {
	kind := p.dec.Next()
	var text []byte
	switch {
	case kind == jx.Object:
		err = p.object(depth+1, depth == 0 || depth == 1 && i >= 0)
	case kind == jx.Array:
		err = p.array(depth + 1)
	case kind == jx.String && i >= 0:
		text, err = p.dec.StrBytes()
	case kind == jx.Number && i >= 0, kind == jx.Bool && i >= 0:
		text, err = p.dec.Raw()
	default:
		err = p.dec.Skip()
	}
	if i >= 0 {
		p.members[i].kind, p.members[i].text = kind, text
	}
	return err
}

func (p *parsed) object(depth int, keep bool) error {
	if depth > MaxDepth {
		return tooDeep()
	}
	iter, err := p.dec.ObjIter()
	if err != nil {
		return err
	}
	start := len(p.members)
	for n := 1; iter.Next(); n++ {
		name := iter.Key()
		if n > MaxMembers {
			return &refusalError{ReasonTooManyFields, "", fmt.Sprintf("more than %d keys in one object", MaxMembers)}
		}
		if p.find(start, name) {
			return &refusalError{ReasonDuplicateKey, p.path(start, name), "given twice; send it once"}
		}
		p.members = append(p.members, member{object: start, name: name})
		if err := p.value(depth, len(p.members)-1); err != nil {
			return err
		}
	}
	if !keep {
		p.members = p.members[:start]
	}
	return iter.Err()
}

func (p *parsed) array(depth int) error {
	if depth > MaxDepth {
		return tooDeep()
	}
	iter, err := p.dec.ArrIter()
	if err != nil {
		return err
	}
	for iter.Next() {
		if err := p.value(depth, -1); err != nil {
			return err
		}
	}
	return iter.Err()
}

func (p *parsed) find(object int, name []byte) bool {
	for i := object; i < len(p.members); i++ {
		if p.members[i].object == object && bytes.Equal(p.members[i].name, name) {
			return true
		}
	}
	return false
}

// path names a member from the top.
func (p *parsed) path(object int, name []byte) string {
	if object == 0 {
		return shownKey(name)
	}
	return p.path(p.members[object-1].object, p.members[object-1].name) + "." + shownKey(name)
}

// end fails unless nothing but white space is left. jx tells no offset, so that of a fault is found by a second look.
func (p *parsed) end(value []byte) error {
	if p.dec.Skip() == io.EOF { //nolint:errorlint // a cut value behind the first one is a wrapped io.EOF, and no end
		return nil
	}
	first, _ := jx.DecodeBytes(value).Raw() // with the white space before it
	at := len(first)
	at += len(value[at:]) - len(bytes.TrimLeft(value[at:], " \t\r\n"))
	return &refusalError{ReasonInvalidJSON, "", fmt.Sprintf("bytes behind the value, at byte %d", at)}
}

// refusalError ends the parsing of a record with a reason of its own.
type refusalError struct{ reason, path, detail string }

func (r *refusalError) Error() string { return r.reason + ": " + r.detail }

func tooDeep() error {
	return &refusalError{ReasonTooDeep, "", fmt.Sprintf("more than %d nested objects and arrays", MaxDepth)}
}

// Syntax says in a few words where jx stopped in a text of that many bytes: its wrapped errors repeat the grammar once per level.
func Syntax(err error, size int) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "unexpected end at byte " + strconv.Itoa(size)
	}
	return err.Error()
}

// CheckText fails with a position where b cannot be JSON text as we take it: empty, a byte order mark, not UTF-8, or an escape of a lone
// surrogate, which no UTF-8 can hold and which jx would replace silently.
func CheckText(b []byte) error {
	switch {
	case len(b) == 0:
		return errors.New("empty value")
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return errors.New("byte order mark at byte 0; send UTF-8 without it")
	case !utf8.Valid(b):
		at := 0
		for r, n := utf8.DecodeRune(b); r != utf8.RuneError || n != 1; r, n = utf8.DecodeRune(b[at:]) {
			at += n
		}
		return fmt.Errorf("not UTF-8 at byte %d", at)
	}
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], '\\')
		if n < 0 {
			break
		}
		i += n
		unit, ok := escapedUnit(b[i:])
		switch {
		case !ok: // another escape, or one that the parser refuses
			i += 2
		case unit < 0xD800 || unit > 0xDFFF:
			i += 6
		default:
			low, pair := escapedUnit(b[i+6:])
			if unit >= 0xDC00 || !pair || low < 0xDC00 || low > 0xDFFF {
				return fmt.Errorf("lone surrogate at byte %d", i)
			}
			i += 12
		}
	}
	return nil
}

// escapedUnit reads \uXXXX at the start of b.
func escapedUnit(b []byte) (unit uint64, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | uint64(c)
	}
	return unit, true
}
