package faults

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy stands between processes and one server and disturbs what passes. It opens one connection to the server for each that it takes;
// when one side closes, so does the other.
type proxy struct {
	server  string // host:port
	address string // its own

	mu     sync.Mutex
	turn   *sync.Cond   // broadcast whenever a field below changes
	listen net.Listener // nil while the server is known to be down: connections are refused then, as by any port on which nobody listens
	pairs  map[*pair]bool
	delay  time.Duration // of every piece that passes, one way
	held   [2]bool       // by direction: nothing passes until it is let go, or ever, if the connection is cut before
	ended  bool
	wait   sync.WaitGroup
}

// Directions.
const (
	requests = iota
	answers
)

// pair is a taken connection and its own to the server.
type pair struct{ client, server net.Conn }

// newProxy listens on an address, any loopback port if that is empty.
func newProxy(t *testing.T, address, server string) *proxy {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("proxy in front of %s: %v", server, err)
	}
	p := &proxy{server: server, address: l.Addr().String(), listen: l, pairs: map[*pair]bool{}}
	p.turn = sync.NewCond(&p.mu)
	p.wait.Go(func() { p.accept(l) })
	t.Cleanup(p.close)
	return p
}

// down refuses connections from now on. Those that are open end with the server.
func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listen != nil {
		p.listen.Close()
		p.listen = nil
	}
}

// up takes connections again as soon as the server does. It does not wait for that.
func (p *proxy) up() {
	p.wait.Go(func() {
		for {
			c, err := net.DialTimeout("tcp", p.server, time.Second)
			p.mu.Lock()
			if p.ended || p.listen != nil {
				p.mu.Unlock()
				return
			}
			if err == nil {
				c.Close()
				if p.listen, err = net.Listen("tcp", p.address); err == nil {
					l := p.listen
					p.mu.Unlock()
					p.accept(l)
					return
				}
			}
			p.mu.Unlock()
			time.Sleep(20 * time.Millisecond)
		}
	})
}

func (p *proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.DialTimeout("tcp", p.server, time.Second)
		if err != nil {
			client.Close() // it died a moment ago
			continue
		}
		x := &pair{client, server}
		p.mu.Lock()
		p.pairs[x] = true
		ended := p.ended
		p.mu.Unlock()
		if ended {
			p.drop(x)
			return
		}
		p.wait.Go(func() { p.pass(x, client, server, requests) })
		p.wait.Go(func() { p.pass(x, server, client, answers) })
	}
}

// pass carries one direction until a side closes.
func (p *proxy) pass(x *pair, from, to net.Conn, direction int) {
	defer p.drop(x)
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if !p.mayPass(x, direction) {
				return
			}
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// mayPass waits while the direction is held and as long as pieces are delayed; false if the connection was cut meanwhile: what was under
// way is lost.
func (p *proxy) mayPass(x *pair, direction int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held[direction] && p.pairs[x] {
		p.turn.Wait()
	}
	if d := p.delay; d > 0 && p.pairs[x] {
		p.mu.Unlock()
		time.Sleep(d)
		p.mu.Lock()
	}
	return p.pairs[x]
}

func (p *proxy) drop(x *pair) {
	p.mu.Lock()
	delete(p.pairs, x)
	p.turn.Broadcast()
	p.mu.Unlock()
	x.client.Close()
	x.server.Close()
}

// cut closes every connection. What was read from one side and not yet written to the other is lost.
func (p *proxy) cut() {
	p.mu.Lock()
	var all []*pair
	for x := range p.pairs {
		all = append(all, x)
	}
	p.mu.Unlock()
	for _, x := range all {
		p.drop(x)
	}
}

// hold lets nothing pass in some directions until release. To the other side that is a network that swallows everything.
func (p *proxy) hold(directions ...int) {
	p.set(func() {
		for _, d := range directions {
			p.held[d] = true
		}
	})
}

// slow delays every piece, in each direction.
func (p *proxy) slow(d time.Duration) { p.set(func() { p.delay = d }) }

// release ends hold and slow.
func (p *proxy) release() { p.set(func() { p.held, p.delay = [2]bool{}, 0 }) }

func (p *proxy) set(change func()) {
	p.mu.Lock()
	change()
	p.turn.Broadcast()
	p.mu.Unlock()
}

func (p *proxy) close() {
	p.set(func() { p.ended = true })
	p.down()
	p.cut()
	p.wait.Wait()
}

// echo is a server that answers every line with itself in upper case.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					if _, err := c.Write([]byte(strings.ToUpper(string(b[:n])))); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// The faults are worth what the proxy does: a held answer must not come, a released one must, a cut one never.
func TestProxy_HoldsReleasesAndLosesWhatItSays(t *testing.T) {
	p := newProxy(t, "", echo(t))
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	say := func(c net.Conn, text string) {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c net.Conn, within time.Duration) string {
		b := make([]byte, 100)
		if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil && !strings.Contains(err.Error(), "timeout") {
			return "closed"
		}
		return string(b[:n])
	}
	c := dial()
	say(c, "a")
	if got := hear(c, 5*time.Second); got != "A" {
		t.Fatalf("undisturbed: %q", got)
	}
	p.hold(answers)
	say(c, "b")
	if got := hear(c, 100*time.Millisecond); got != "" {
		t.Errorf("held, and yet %q came", got)
	}
	p.release()
	if got := hear(c, 5*time.Second); got != "B" {
		t.Errorf("released: %q", got)
	}
	p.hold(requests, answers)
	say(c, "c")
	time.Sleep(50 * time.Millisecond)
	p.cut()
	if got := hear(c, 5*time.Second); got != "closed" {
		t.Errorf("cut: %q", got)
	}
	p.release()
	p.down()
	if c, err := net.Dial("tcp", p.address); err == nil {
		c.Close()
		t.Error("a connection to a server that is down was taken")
	}
	p.up()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if c, err := net.Dial("tcp", p.address); err == nil {
			c.Close()
			break
		} else if time.Since(began) > 5*time.Second {
			t.Fatalf("up again: %v", err)
		}
	}
	c = dial()
	p.slow(60 * time.Millisecond)
	began := time.Now()
	say(c, "d")
	if got, took := hear(c, 5*time.Second), time.Since(began); got != "D" || took < 120*time.Millisecond {
		t.Errorf("60 ms each way: %q after %s", got, took)
	}
}
