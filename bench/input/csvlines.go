package input

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/streamgauge/streamgauge/operators"
)

// record splits the next record into r.split and returns its bytes with its end. They and the fields are valid until the next read.
// io.EOF at the end; size 0 and no mistake: a line too long to look at.
func (r *Reader) record() (raw []byte, err error) {
	if err := r.skipEmpty(); err != nil {
		return nil, err
	}
	for want := max(r.text.Buffered(), 1); ; {
		b, err := r.text.Peek(want)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		splitRecord(b, err != nil, &r.split, &r.scratch)
		if r.split.complete {
			return b[:r.split.size], nil
		}
		if want >= r.text.Size() {
			return r.unended(b), nil
		}
		want = min(max(2*want, r.text.Buffered()), r.text.Size())
	}
}

// unended judges a buffer full of bytes that hold no whole record: the first line alone may be too long, or a quote spans more lines than
// a record may have.
func (r *Reader) unended(b []byte) []byte {
	size, ended := firstLine(b)
	if !ended {
		r.split.size = 0
		return nil
	}
	r.split.size = size
	r.split.mistake = fmt.Sprintf("the quote that begins field %d is not closed within %d bytes", len(r.split.fields)+1, r.limit)
	return b[:size]
}

// skipEmpty passes over empty lines.
func (r *Reader) skipEmpty() error {
	for {
		b, err := r.text.Peek(2)
		switch {
		case len(b) == 0:
			return err
		case b[0] == '\n':
			r.drop(1)
		case string(b) == "\r\n", string(b) == "\r":
			r.drop(len(b))
		default:
			return nil
		}
	}
}

func (r *Reader) readHeader() error {
	raw, err := r.record()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("is empty, want a header line with the columns' names")
	case err != nil:
		return err
	case len(raw) == 0:
		return fmt.Errorf("the first line is longer than %d bytes, want a header line with the columns' names", r.limit)
	case r.split.mistake != "":
		return fmt.Errorf("header: %s", r.split.mistake)
	case !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0:
		return errors.New("header: is not UTF-8 text; save the file as CSV in UTF-8, packed with gzip or not at all")
	}
	var errs []error
	for i, field := range r.split.fields {
		name := strings.TrimSpace(string(field))
		if name == "" { // the index column that some tools write
			name = fmt.Sprintf("column%d", i+1)
		}
		if slices.Contains(r.header, name) {
			errs = append(errs, fmt.Errorf("header: column %q stands twice; rename one", name))
		}
		r.header = append(r.header, name)
		r.columns = append(r.columns, r.mapping.outputs(name))
	}
	if len(r.header) == 1 {
		for _, other := range []string{";", "\t", "|"} {
			if strings.Contains(r.header[0], other) {
				return fmt.Errorf("header: %q is one column; separate columns by commas, not by %q", r.header[0], other)
			}
		}
	}
	errs = append(errs, r.mapping.missing(r.header))
	r.drop(len(raw))
	return errors.Join(errs...)
}

func (r *Reader) nextCSV() (line Line, err error) {
	raw, err := r.record()
	if err != nil {
		return line, err
	}
	if len(raw) == 0 {
		return r.tooLong()
	}
	line.Raw = bytes.Clone(chomp(raw))
	fields := r.split.fields
	switch {
	case len(line.Raw) > r.limit:
		r.failLong(&line)
	case r.split.mistake != "":
		line.fail(ReasonInvalidCSV, "%s", r.split.mistake)
	case len(fields) != len(r.header):
		line.fail(ReasonFieldCount, "%d fields, the header has %d columns", len(fields), len(r.header))
	case r.notUTF8() >= 0:
		line.fail(operators.ReasonInvalidText, "column %q is not UTF-8; save the file as UTF-8", r.header[r.notUTF8()])
	default:
		line.Value = make([]byte, 0, len(raw)+r.keyBytes()+8*len(fields))
		line.Value = append(line.Value, '{')
		for i, field := range fields {
			line.cell(r.columns[i], string(field))
		}
		line.Value = append(line.Value, '}')
	}
	r.drop(len(raw))
	return line, nil
}

// cell appends what a column's text gives; an empty one gives nothing.
func (l *Line) cell(outs []output, text string) {
	if text == "" {
		return
	}
	for i := range outs {
		if len(l.Value) > 1 {
			l.Value = append(l.Value, ',')
		}
		l.Value = append(l.Value, outs[i].key...)
		l.Value = outs[i].appendCell(l.Value, text)
		if outs[i].customer {
			l.Customer = text
		}
	}
}

func (r *Reader) keyBytes() (n int) {
	for _, outs := range r.columns {
		for i := range outs {
			n += len(outs[i].key)
		}
	}
	return n
}

// notUTF8 is the place of the first field that is not UTF-8, or negative.
func (r *Reader) notUTF8() int {
	return slices.IndexFunc(r.split.fields, func(field []byte) bool { return !utf8.Valid(field) })
}
