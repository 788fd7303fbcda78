package input

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/go-faster/jx"

	"github.com/streamgauge/streamgauge/schemas"
)

// jsonKey is a key of an object with its colon.
func jsonKey(name string) []byte { return append(appendText(nil, name), ':') }

// appendText appends text as a JSON string; it must be UTF-8.
func appendText[T string | []byte](b []byte, text T) []byte {
	w := jx.Writer{Buf: b}
	w.Str(string(text))
	return w.Buf
}

// appendCell appends a text of the file as the JSON value that the output wants.
func (o *output) appendCell(b []byte, text string) []byte {
	switch {
	case o.amount && o.scale != 0:
		text = shift(text, o.scale)
	case o.isTime && o.time == iso:
		text = instant(text)
	case o.isTime:
		if ms, ok := milliseconds(text, o.time); ok {
			return strconv.AppendInt(b, ms, 10)
		}
	}
	return appendText(b, text)
}

// shift is text·10^exp as decimal text, exactly; what is no number stays as it is. A number that is out of range or has more than six
// decimals stays exact as well, so that it is intake that rejects or rounds it, and says so.
func shift(text string, exp int) string {
	micros, rounded, err := schemas.ParseScaled(text, exp)
	switch {
	case err == nil && !rounded:
		return schemas.FormatAmount(micros)
	case err != nil && !errors.Is(err, schemas.ErrAmountRange):
		return text
	}
	digits, own, _ := strings.Cut(strings.ToLower(text), "e")
	if own != "" {
		n, err := strconv.Atoi(own)
		if err != nil {
			return text // an exponent beyond int: the shift changes neither its range nor its rounding
		}
		exp += n
	}
	return digits + "e" + strconv.Itoa(exp)
}

// milliseconds reads Unix seconds or milliseconds and drops what is finer than a millisecond.
func milliseconds(text string, form timeForm) (ms int64, ok bool) {
	exp, keep := -6, 0 // ParseScaled counts in 10⁻⁶
	if form == unix {
		exp, keep = -3, 3
	}
	if point := strings.IndexByte(text, '.'); point >= 0 && !strings.ContainsAny(text, "eE") {
		decimals := text[point+1:]
		if strings.Trim(decimals, "0123456789") != "" || decimals == "" {
			return 0, false
		}
		if text = text[:point]; keep > 0 {
			text += "." + decimals[:min(keep, len(decimals))]
		}
	}
	ms, _, err := schemas.ParseScaled(text, exp)
	return ms, err == nil
}

// layouts are the times of files beyond RFC 3339. Go's parser takes a fraction after the seconds by itself.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02", "2006-01-02 15:04:05Z07:00"}

// instant turns the times of files into RFC 3339, and leaves everything else as it is.
func instant(text string) string {
	if len(text) < len("2006-01-02") || text[4] != '-' || strings.Contains(text, ",") {
		return text
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format("2006-01-02T15:04:05.999Z07:00")
		}
	}
	return text
}
