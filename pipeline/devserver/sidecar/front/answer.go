//go:build linux && amd64

package front

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"

	"github.com/streamgauge/streamgauge/pipeline/devserver/sidecar/chdb"
)

// answerBuffer is how many bytes of an answer are held back, as on a server: up to there a failure still answers with its own status.
const answerBuffer = 1 << 20

// blockSize is how many bytes go into one compressed block, as on a server.
const blockSize = 1 << 20

// tagLength is the length that drivers expect of an exception's tag.
const tagLength = 16

// answer is one response. Its first answerBuffer bytes are held back; behind them the status is gone, and a failure is written into the
// body, framed by a tag that the headers announce and the result cannot contain by chance.
type answer struct {
	w      http.ResponseWriter
	blocks *compress.Writer // nil: not compressed
	held   []byte
	sent   bool
	done   bool
	tag    string
}

func newAnswer(w http.ResponseWriter) *answer {
	a := &answer{w: w, tag: rand.Text()[:tagLength]}
	a.header("X-ClickHouse-Server-Display-Name", displayName)
	a.header("X-ClickHouse-Exception-Tag", a.tag)
	return a
}

// header sets a header unless the value is "". Without effect once the answer is on its way.
func (a *answer) header(name, value string) {
	if value != "" {
		a.w.Header().Set(name, value)
	}
}

// compress chooses ClickHouse's block compression for the result; None for plain bytes.
func (a *answer) compress(m compress.Method) {
	if m != compress.None {
		a.blocks = compress.NewWriter(compress.LevelZero, m)
	}
}

// write appends result bytes; it keeps nothing of p.
func (a *answer) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), blockSize)
		b := p[:n]
		if a.blocks != nil {
			if err := a.blocks.Compress(b); err != nil {
				return fmt.Errorf("compress answer: %w", err)
			}
			b = a.blocks.Data
		}
		if len(a.held)+len(b) > answerBuffer {
			if err := a.flush(); err != nil {
				return err
			}
		}
		a.held = append(a.held, b...)
		p = p[n:]
	}
	return nil
}

func (a *answer) flush() error {
	if len(a.held) == 0 {
		return nil
	}
	a.sent = true
	_, err := a.w.Write(a.held)
	a.held = a.held[:0]
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// finish sends what is held back, or err as fail does. A client that is gone is no failure of ours.
func (a *answer) finish(err error) {
	if err != nil {
		a.fail(err)
		return
	}
	a.done = true
	if a.flush() != nil {
		panic(http.ErrAbortHandler)
	}
}

// fail answers with an exception: as the whole answer while nothing is sent, else inside the body, and the connection ends behind it so
// that no reader takes the half for the whole. Result bytes held back are dropped.
func (a *answer) fail(err error) {
	a.done = true
	var ex *chdb.Exception
	if !errors.As(err, &ex) {
		ex = refuse(1002, "UNKNOWN_EXCEPTION", "%v", err)
	}
	text := strings.TrimRight(ex.Text, "\n")
	if !a.sent {
		a.header("Content-Type", "text/plain; charset=UTF-8")
		a.header("X-ClickHouse-Exception-Code", strconv.Itoa(int(ex.Code)))
		a.w.WriteHeader(statusOf(ex.Code))
		fmt.Fprintln(a.w, text)
		return
	}
	fmt.Fprintf(a.w, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", a.tag, text, len(text)+1, a.tag)
	http.NewResponseController(a.w).Flush()
	panic(http.ErrAbortHandler)
}

// statusOf is the HTTP status of an exception's code, as servers choose it for the codes that clients tell apart.
func statusOf(code int32) int {
	switch code {
	case 6, 26, 27, 33, 34, 36, 41, 42, 43, 44, 45, 47, 53, 62, 69, 70, 72, 108, 117, 125, 128, 131, 179, 386, 456, 457:
		return http.StatusBadRequest
	case 16, 46, 50, 60, 63, 73, 81, 115, 152, 161:
		return http.StatusNotFound
	case 164, 497:
		return http.StatusForbidden
	case 307:
		return http.StatusRequestEntityTooLarge
	case 48, 501:
		return http.StatusNotImplemented
	case 159:
		return http.StatusRequestTimeout
	}
	return http.StatusInternalServerError
}
