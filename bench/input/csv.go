package input

import (
	"bytes"
	"fmt"
)

// A record is split from the bytes that are at hand, in one pass and in bounded memory: encoding/csv reads on without end after a quote
// that nobody closes, and cannot be told where to go on. For records without a mistake the two agree (a fuzz test).

// split is what splitRecord found.
type split struct {
	fields   [][]byte // parts of the input, or of scratch where quotes had to be taken out
	size     int      // bytes of the record with its line end
	complete bool     // false: the record, or the first line of a mistake, goes on behind the bytes at hand
	mistake  string   // not empty: no record; size is that of the first line alone, so that the next one is read as if it began anew
}

// splitRecord splits the record at the start of b, which holds the rest of the file where end is true. It reuses s and scratch.
func splitRecord(b []byte, end bool, s *split, scratch *[]byte) {
	s.fields, s.size, s.complete, s.mistake = s.fields[:0], 0, false, ""
	*scratch = (*scratch)[:0]
	for at := 0; ; {
		var field []byte
		if at < len(b) && b[at] == '"' {
			n, text, ok := quoted(b[at:], scratch)
			if !ok {
				if end {
					s.fail(b, end, "the quote that begins field %d is never closed", len(s.fields)+1)
				}
				return
			}
			field, at = text, at+n
		} else {
			n := at
			for n < len(b) && b[n] != ',' && b[n] != '\n' && b[n] != '"' {
				n++
			}
			field, at = b[at:n], n
			if at < len(b) && b[at] == '"' {
				s.fail(b, end, "a quote inside field %d, which does not begin with one; quote the whole field and double the quotes in it", len(s.fields)+1)
				return
			}
			if at == len(b) || b[at] == '\n' {
				field = bytes.TrimSuffix(field, []byte("\r"))
			}
		}
		s.fields = append(s.fields, field)
		rest := b[at:]
		switch {
		case len(rest) == 0 || len(rest) == 1 && rest[0] == '\r' && !end:
			s.size, s.complete = len(b), end
			return
		case rest[0] == ',':
			at++
		case rest[0] == '\n':
			s.size, s.complete = at+1, true
			return
		case bytes.HasPrefix(rest, []byte("\r\n")):
			s.size, s.complete = at+2, true
			return
		case len(rest) == 1 && rest[0] == '\r':
			s.size, s.complete = len(b), true
			return
		default:
			s.fail(b, end, "bytes behind the closing quote of field %d; double a quote that belongs to the text", len(s.fields))
			return
		}
	}
}

// quoted reads the quoted field at the start of b, its text into scratch. It is not ok where b ends before the field does.
func quoted(b []byte, scratch *[]byte) (n int, text []byte, ok bool) {
	start := len(*scratch)
	for at := 1; ; {
		i := bytes.IndexByte(b[at:], '"')
		if i < 0 {
			return 0, nil, false
		}
		*scratch = appendLines(*scratch, b[at:at+i])
		at += i + 1
		if at == len(b) || b[at] != '"' {
			return at, (*scratch)[start:], true
		}
		*scratch = append(*scratch, '"')
		at++
	}
}

// appendLines appends text with its line ends as LF, as encoding/csv does.
func appendLines(b, text []byte) []byte {
	for {
		i := bytes.Index(text, []byte("\r\n"))
		if i < 0 {
			return append(b, text...)
		}
		b = append(append(b, text[:i]...), '\n')
		text = text[i+2:]
	}
}

func (s *split) fail(b []byte, end bool, format string, args ...any) {
	s.size, s.complete = firstLine(b)
	s.complete = s.complete || end
	s.mistake = fmt.Sprintf(format, args...)
}

// firstLine is the length of the first line of b with its end, and whether it has one.
func firstLine(b []byte) (size int, ended bool) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1, true
	}
	return len(b), false
}
