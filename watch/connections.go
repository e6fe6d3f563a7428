package watch

import (
	"context"
	"net"
	"sync"
	"time"
)

// connections are those of one Run. net/http goes on with a dial, and with the handshake
// on it, when the request that wanted it is over; here they end with the Run.
type connections struct {
	dial   Dial
	within time.Duration // what one dial may take; its request has no longer

	mu     sync.Mutex
	closed bool
	all    map[*connection]struct{}
	dials  sync.WaitGroup
}

// connection closes itself out of the set.
type connection struct {
	net.Conn
	of *connections
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.all, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// open is a Dial that ends with life.
func (o *connections) open(life context.Context) Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return nil, net.ErrClosed
		}
		o.dials.Add(1)
		o.mu.Unlock()
		defer o.dials.Done()

		ctx, cancel := context.WithTimeout(ctx, o.within)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		raw, err := o.dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: raw, of: o}
		o.mu.Lock()
		late := o.closed
		if !late {
			o.all[c] = struct{}{}
		}
		o.mu.Unlock()
		if late {
			raw.Close()
			return nil, net.ErrClosed
		}
		return c, nil
	}
}

// shut closes all, and waits for the dials under way, whose life has ended.
func (o *connections) shut() {
	o.mu.Lock()
	o.closed = true
	all := o.all
	o.all = nil
	o.mu.Unlock()
	for c := range all {
		c.Conn.Close()
	}
	o.dials.Wait()
}
