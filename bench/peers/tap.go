package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// tap is a proxy before a Redis that counts what clients ask of it: requests and their bytes as they stand on the wire, of those that
// write also the keys. What goes through is not changed.
type tap struct {
	listener net.Listener
	redis    string
	conns    sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]bool
	counts counts
	bad    error // the first request that could not be read
}

// counts are what clients asked.
type counts struct {
	writes     int64 // scripts that were given more bytes of values than of key names: flushes
	writeBytes int64 // of those requests, names, values and protocol
	keys       int64 // that they name, but for the partition's marker, which is the first of each
	others     int64 // all other requests: loads, the client's greetings
	otherBytes int64
}

func (c counts) minus(d counts) counts {
	return counts{c.writes - d.writes, c.writeBytes - d.writeBytes, c.keys - d.keys, c.others - d.others, c.otherBytes - d.otherBytes}
}

func (c *counts) add(r asked) {
	if r.values > r.names && r.keys > 0 {
		c.writes, c.writeBytes, c.keys = c.writes+1, c.writeBytes+r.bytes, c.keys+r.keys-1
		return
	}
	c.others, c.otherBytes = c.others+1, c.otherBytes+r.bytes
}

// asked is one request of a client; keys, names and values are of scripts only.
type asked struct {
	bytes         int64 // on the wire
	keys          int64
	names, values int64 // bytes of the keys' names, and of the arguments behind them
}

func newTap(redis string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("tap: %w", err)
	}
	t := &tap{listener: l, redis: redis, open: map[net.Conn]bool{}}
	t.conns.Go(t.accept)
	return t, nil
}

func (t *tap) address() string { return t.listener.Addr().String() }

// sofar is what was asked until now; it fails with the first request that could not be read.
func (t *tap) sofar() (counts, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts, t.bad
}

// close ends all connections and waits for them.
func (t *tap) close() {
	t.listener.Close()
	t.mu.Lock()
	for c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	t.conns.Wait()
}

func (t *tap) accept() {
	for {
		in, err := t.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", t.redis)
		if err != nil {
			in.Close()
			continue
		}
		t.mu.Lock()
		t.open[in], t.open[out] = true, true
		t.mu.Unlock()
		t.conns.Go(func() {
			_, _ = io.Copy(in, out) // an end of either side is an end of both
			in.Close()
		})
		t.conns.Go(func() {
			if err := t.forward(in, out); err != nil {
				t.mu.Lock()
				t.bad = errors.Join(t.bad, err)
				t.mu.Unlock()
			}
			out.Close()
		})
	}
}

// forward passes requests on and counts each when it is whole.
func (t *tap) forward(in io.Reader, out io.Writer) error {
	r := bufio.NewReaderSize(io.TeeReader(in, out), 64<<10)
	for {
		q, err := readRequest(r)
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
		t.mu.Lock()
		t.counts.add(q)
		t.mu.Unlock()
	}
}

// readRequest reads one request, an array of strings.
func readRequest(r *bufio.Reader) (q asked, err error) {
	args, n, err := readLength(r, '*')
	if err != nil {
		return q, err
	}
	q.bytes = n
	script := false
	for i := range args {
		length, n, err := readLength(r, '$')
		if err != nil {
			return q, err
		}
		q.bytes += n + length + 2
		switch {
		case i == 0 || i == 2 && script:
			text, err := readText(r, length)
			if err != nil {
				return q, err
			}
			if i == 0 {
				script = strings.EqualFold(text, "evalsha") || strings.EqualFold(text, "eval")
			} else if q.keys, err = strconv.ParseInt(text, 10, 64); err != nil || q.keys < 0 {
				return q, fmt.Errorf("tap: script with %.40q keys", text)
			}
			continue
		case script && i > 2 && i < 3+q.keys:
			q.names += length
		case script && i > 2:
			q.values += length
		}
		if _, err := io.CopyN(io.Discard, r, length+2); err != nil {
			return q, err
		}
	}
	return q, nil
}

// readText reads a string of the length and the line's end behind it.
func readText(r *bufio.Reader, length int64) (string, error) {
	if length > 64 {
		return "", fmt.Errorf("tap: %d bytes where a command's name or a number must stand", length)
	}
	b := make([]byte, length+2)
	_, err := io.ReadFull(r, b)
	return string(b[:length]), err
}

// readLength reads a line of a type byte and a number, and returns the line's bytes, too.
func readLength(r *bufio.Reader, kind byte) (v, bytes int64, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	text := strings.TrimSuffix(line, "\r\n")
	if len(text) < 2 || text[0] != kind {
		return 0, 0, fmt.Errorf("tap: %.40q where %q and a number must stand: only requests in arrays are read", line, kind)
	}
	if v, err = strconv.ParseInt(text[1:], 10, 64); err != nil || v < 0 {
		return 0, 0, fmt.Errorf("tap: length %.40q", line)
	}
	return v, int64(len(line)), nil
}
