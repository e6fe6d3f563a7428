package play

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Network is an internet in memory: servers listen under a host's name, and clients
// that dial through it reach them. It works inside a testing/synctest bubble, where a
// real socket would freeze the clock. Connections are net.Pipes: unbuffered, so each
// side has to read. The zero value is ready to use.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// listener hands the server's ends of the pipes to Accept.
type listener struct {
	name  string
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	net   *Network
}

// Listen opens a listener for http://HOST. A name that is taken is taken over, as a
// server that restarts takes its port over.
func (n *Network) Listen(host string) net.Listener {
	l := &listener{name: host, conns: make(chan net.Conn), done: make(chan struct{}), net: n}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]*listener{}
	}
	n.hosts[host] = l
	return l
}

// Serve serves h as http://HOST until stop is called, which closes every connection that
// h has not taken over.
func (n *Network) Serve(host string, h http.Handler) (stop func()) {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	l := n.Listen(host)
	var work sync.WaitGroup
	work.Go(func() { srv.Serve(l) })
	return func() {
		srv.Close()
		l.Close()
		work.Wait()
	}
}

// Dial connects to a host of this network; it fits http.Transport.DialContext and
// websocket.Dialer.NetDialContext.
func (n *Network) Dial(ctx context.Context, _, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	l := n.hosts[host]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: no such host in this network", addr)
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.done:
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Client is an HTTP client of this network, with a transport of its own. Close its idle
// connections before a bubble ends.
func (n *Network) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.Dial}}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.hosts[l.name] == l {
			delete(l.net.hosts, l.name)
		}
	})
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return address(l.name) }

type address string

func (address) Network() string  { return "memory" }
func (a address) String() string { return string(a) + ":80" }
