package archive

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// tampered stands between the archive and the real table and does what before and after say, by the number of the insert, from 1.
// An error of before keeps the rows out; one of after hides that they are in.
type tampered struct {
	warehouse
	before, after func(n int, token string, rows []row) error
	n             atomic.Int64
}

func (w *tampered) insert(ctx context.Context, token string, rows []row) error {
	n := int(w.n.Add(1))
	if w.before != nil {
		if err := w.before(n, token, rows); err != nil {
			return err
		}
	}
	if err := w.warehouse.insert(ctx, token, rows); err != nil {
		return err
	}
	if w.after != nil {
		return w.after(n, token, rows)
	}
	return nil
}

// proxy is a stable address in front of an engine that comes and goes. While it is cut, it closes what comes.
type proxy struct {
	listener net.Listener
	mu       sync.Mutex
	target   string
	open     map[net.Conn]bool
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, open: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.carry(c) })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(); wg.Wait() })
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// to lets connections through to an engine; cut breaks them all and refuses new ones.
func (p *proxy) to(engineURL string) {
	u, err := url.Parse(engineURL)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = u.Host
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = ""
	for c := range p.open {
		c.Close()
	}
	clear(p.open)
}

func (p *proxy) carry(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.Dial("tcp", target)
	if target == "" || err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.open[client], p.open[server] = true, true
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		io.Copy(server, client)
		server.(*net.TCPConn).CloseWrite()
		close(done)
	}()
	io.Copy(client, server)
	client.Close()
	<-done
}
