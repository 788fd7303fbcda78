package input

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/streamgauge/streamgauge/operators"
)

// MaxLine bounds a line or CSV record, and the JSON that it becomes, in bytes: what intake takes.
const MaxLine = operators.MaxValue

// keptOfLong is how much of a line beyond MaxLine is kept for people to recognise it, in bytes.
const keptOfLong = 1024

// Reasons of lines that cannot be turned into a JSON object; those that intake has too are intake's.
const (
	ReasonInvalidCSV = "invalid_csv" // quotes that do not pair
	ReasonFieldCount = "field_count" // more or fewer fields than the header
)

// Line is one data line of the file. Its bytes belong to the caller.
type Line struct {
	Number   int      // from 1; the header and empty lines do not count
	Customer string   // the partition key; empty where the line gives none
	Value    []byte   // one flat JSON object; nil where Err is set
	Err      *BadLine // why there is none
	Raw      []byte   // the line as it stands in the file, without its end; the first KiB of one beyond MaxLine
}

// BadLine says why a line could not be turned into a JSON object.
type BadLine struct {
	Reason string // a code: one of ours or of operators
	Detail string // in words, with the value and the way out
}

// Reader reads one file from start to end, for one goroutine; BytesRead and Size may be asked from others.
type Reader struct {
	path string
	file *os.File
	size int64
	read counter // of the file as it lies on disk
	text *bufio.Reader

	mapping Mapping
	limit   int // MaxLine; bytes of a line and of its JSON
	line    int // the last one that Next returned
	next    func() (Line, error)

	// CSV
	header  []string
	columns [][]output // by place in the header
	split   split
	scratch []byte

	// JSON lines
	outputs map[string][]output // by the file's key
}

// counter counts what goes through it.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// Open opens a file by its extension, .csv or .jsonl, .gz behind it or not; whether it is gzip its first bytes decide. It fails where the
// file cannot be read, has another extension or is not UTF-8, and where a CSV's header lacks a column, with every mistake at once.
func Open(path string, m Mapping) (*Reader, error) {
	r := &Reader{path: path, mapping: m, outputs: map[string][]output{}}
	base := strings.TrimSuffix(strings.ToLower(filepath.Base(path)), ".gz")
	switch ext := filepath.Ext(base); ext {
	case ".csv":
		r.next = r.nextCSV
	case ".jsonl":
		r.next = r.nextJSON
	default:
		return nil, fmt.Errorf("input %s: extension %q is neither .csv nor .jsonl (one JSON object a line), each with or without .gz", path, ext)
	}
	if err := r.open(strings.HasSuffix(base, ".csv")); err != nil {
		if r.file != nil {
			r.file.Close()
		}
		return nil, fmt.Errorf("input %s: %w", path, err)
	}
	return r, nil
}

func (r *Reader) open(withHeader bool) (err error) {
	if r.file, err = os.Open(r.path); err != nil {
		return err
	}
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return errors.New("is a folder, want a file")
	}
	r.size = info.Size()
	return r.begin(r.file, MaxLine, withHeader)
}

// begin reads the start of the file: whether it is packed, its byte order mark, its header.
func (r *Reader) begin(file io.Reader, limit int, withHeader bool) (err error) {
	r.limit, r.read.r = limit, file
	packed := bufio.NewReaderSize(&r.read, 64<<10)
	var plain io.Reader = struct{ io.Reader }{packed} // bufio would take a larger buffer for its own, and with it another limit
	if magic, _ := packed.Peek(2); string(magic) == "\x1f\x8b" {
		if plain, err = gzip.NewReader(packed); err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
	}
	r.text = bufio.NewReaderSize(plain, limit+len("\r\n"))
	start, err := r.text.Peek(3)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case string(start) == "\xef\xbb\xbf":
		r.drop(len(start))
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return errors.New("is UTF-16; save it as UTF-8")
	}
	if !withHeader {
		return nil
	}
	return r.readHeader()
}

// Next returns the next data line, io.EOF behind the last one. A line that is no record is no error: see Line.Err. An error is about the
// file itself (a broken gzip, a disk) and final.
func (r *Reader) Next() (Line, error) {
	line, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		return Line{}, io.EOF
	case err != nil:
		return Line{}, fmt.Errorf("input %s behind data line %d: %w", r.path, r.line, err)
	}
	if len(line.Value) > r.limit {
		line.fail(operators.ReasonTooLarge, "%d bytes as JSON, at most %d", len(line.Value), r.limit)
	}
	r.line++
	line.Number = r.line
	return line, nil
}

// Lines is the number of data lines that Next has returned.
func (r *Reader) Lines() int { return r.line }

// BytesRead is how many bytes of the file, as it lies on disk, have been read; it may be ahead of the lines by a buffer.
func (r *Reader) BytesRead() int64 { return r.read.n.Load() }

// Size is the file's size on disk in bytes.
func (r *Reader) Size() int64 { return r.size }

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }

func (l *Line) fail(reason, format string, args ...any) {
	l.Value, l.Customer = nil, ""
	l.Err = &BadLine{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// failLong marks a line that is a little too long, and keeps of it what is kept of all such lines.
func (r *Reader) failLong(line *Line) {
	line.fail(operators.ReasonTooLarge, "a line of %d bytes, at most %d", len(line.Raw), r.limit)
	line.Raw = line.Raw[:min(keptOfLong, r.limit)]
}

// tooLong passes over a line of which r.limit bytes and more are at hand, to the line's end.
func (r *Reader) tooLong() (line Line, err error) {
	head, _ := r.text.Peek(min(keptOfLong, r.limit))
	line.Raw = bytes.Clone(head)
	size := 0
	for {
		part, err := r.text.ReadSlice('\n')
		size += len(part)
		if err == nil || errors.Is(err, io.EOF) {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	line.fail(operators.ReasonTooLarge, "a line of %d bytes, at most %d", size, r.limit)
	return line, nil
}

// drop passes over n bytes that are at hand, which cannot fail.
func (r *Reader) drop(n int) { _, _ = r.text.Discard(n) }

// chomp cuts the line's end off.
func chomp(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}
