package input

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/operators"
)

// What Reader.outputs remembers is bounded: files have a handful of short keys, a hostile one has new and long ones in every line.
const (
	maxKnownKeys = 1024
	maxKnownKey  = 256 // bytes
)

func (r *Reader) nextJSON() (line Line, err error) {
	for {
		raw, err := r.peekLine()
		switch {
		case err != nil:
			return line, err
		case raw == nil:
			return r.tooLong()
		}
		text := chomp(raw)
		if len(bytes.Trim(text, " \t\r")) == 0 {
			r.drop(len(raw))
			continue
		}
		line.Raw = bytes.Clone(text)
		r.drop(len(raw))
		break
	}
	if len(line.Raw) > r.limit {
		r.failLong(&line)
		return line, nil
	}
	r.object(&line)
	return line, nil
}

// peekLine returns the next line with its end, nil where the buffer does not hold it, io.EOF behind the last one.
func (r *Reader) peekLine() ([]byte, error) {
	for want := max(r.text.Buffered(), 1); ; {
		b, err := r.text.Peek(want)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(b) == 0 {
			return nil, io.EOF
		}
		if size, ended := firstLine(b); ended || err != nil {
			return b[:size], nil //nolint:nilerr // io.EOF ends the last line; the next call returns it
		}
		if want >= r.text.Size() {
			return nil, nil
		}
		want = min(max(2*want, r.text.Buffered()), r.text.Size())
	}
}

// object turns line.Raw into line.Value: keys renamed, amounts and times converted, everything else as it is written.
func (r *Reader) object(line *Line) {
	if err := operators.CheckText(line.Raw); err != nil {
		line.fail(operators.ReasonInvalidJSON, "%v", err)
		return
	}
	d := jx.DecodeBytes(line.Raw)
	if kind := d.Next(); kind != jx.Object {
		if err := d.Validate(); err != nil {
			line.fail(operators.ReasonInvalidJSON, "%s", operators.Syntax(err, len(line.Raw)))
			return
		}
		line.fail(operators.ReasonWrongType, "expected one JSON object, got %s", kind)
		return
	}
	line.Value = append(make([]byte, 0, len(line.Raw)+len(line.Raw)/4+64), '{')
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		value, err := d.Raw()
		if err != nil {
			return err
		}
		return line.member(r.keyOutputs(key), value)
	})
	if err == nil {
		if d.Skip() == io.EOF { //nolint:errorlint // a cut value behind the object is a wrapped io.EOF, and no end
			line.Value = append(line.Value, '}')
			return
		}
		line.fail(operators.ReasonInvalidJSON, "bytes behind the object; want one object a line")
		return
	}
	line.fail(operators.ReasonInvalidJSON, "%s", operators.Syntax(err, len(line.Raw)))
}

func (r *Reader) keyOutputs(key []byte) []output {
	outs, ok := r.outputs[string(key)]
	if !ok {
		outs = r.mapping.outputs(string(key))
		if len(r.outputs) < maxKnownKeys && len(key) <= maxKnownKey {
			r.outputs[string(key)] = outs
		}
	}
	return outs
}

// member appends what a key's value gives.
func (l *Line) member(outs []output, value jx.Raw) error {
	kind := value.Type()
	text := string(value)
	if kind == jx.String {
		var err error
		if text, err = jx.DecodeBytes(value).Str(); err != nil {
			return err
		}
	}
	for i := range outs {
		o := &outs[i]
		if len(l.Value) > 1 {
			l.Value = append(l.Value, ',')
		}
		l.Value = append(l.Value, o.key...)
		scalar := kind == jx.String || kind == jx.Number
		converts := o.amount && o.scale != 0 || o.isTime && (kind == jx.String || o.time != iso)
		if scalar && converts {
			l.Value = o.appendCell(l.Value, text)
		} else {
			l.Value = append(l.Value, value...)
		}
		if o.customer && scalar {
			l.Customer = text
		}
	}
	return nil
}
