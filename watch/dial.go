package watch

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Dial opens connections for probes.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// errForbidden is in the chain of every error of a dialer that would not dial: nothing was
// sent, and nothing is said of the app.
var errForbidden = errors.New("not an address that may be probed")

// forbidden is an errForbidden with the address that was not dialled.
type forbidden struct {
	address string
	why     error // nil: it is not one of those that were named
}

func (e *forbidden) Error() string {
	if e.why == nil {
		return e.address + ": " + errForbidden.Error()
	}
	return e.address + ": " + errForbidden.Error() + ": " + e.why.Error()
}

func (e *forbidden) Unwrap() error { return e.why }

func (e *forbidden) Is(target error) bool { return target == errForbidden }

// PublicDialer dials public addresses and nothing else, on the ports 80 and 443. A name's
// addresses are looked at one by one as each is about to be dialled, so a name that
// resolves to something else the second time helps nobody. Refused are all addresses of
// IANA's registries of special purpose for IPv4 and IPv6: this host, loopback, private,
// link-local (with the metadata services of clouds), shared (CGNAT), multicast,
// documentation, benchmarking and reserved ones, and the IPv6 forms that carry an IPv4
// address (mapped, 6to4, NAT64, Teredo). No proxy is used, whatever the environment says.
func PublicDialer() Dial { return publicDialer(nil) }

// publicDialer resolves by another resolver than the system's, unless it is nil.
func publicDialer(resolver *net.Resolver) Dial {
	d := &net.Dialer{
		Resolver: resolver,
		// On the very address that the socket is about to be connected to.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return allow(network, address)
		},
		KeepAlive: 30 * time.Second, // a reused connection rests for seconds at most
	}
	return d.DialContext
}

// allow refuses a socket's address that is not public, or not a web server's.
func allow(network, address string) error {
	// A Guardian permits tcp4 and tcp6, the ports 80 and 443, and what IANA has
	// given to the public internet.
	if err := ssrf.New(ssrf.WithDeniedV4Prefixes(azure())).Safe(network, address, nil); err != nil {
		return &forbidden{address: address, why: err}
	}
	return nil
}

// azure is what each virtual machine of Azure finds its platform at, by http: a public
// address by the registry, and a metadata service by what it does (Microsoft, "What is IP
// address 168.63.129.16?").
func azure() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{168, 63, 129, 16}), 32) }

// Public says whether [PublicDialer] dials an address.
func Public(ip netip.Addr) bool {
	network := "tcp4"
	if ip.Is6() {
		network = "tcp6"
	}
	return allow(network, netip.AddrPortFrom(ip, 443).String()) == nil
}

// ExactDialer dials for each host:port of the map the address that stands there, and
// refuses all else. It is for the demo and for tests, whose apps have no public address;
// nothing but their code makes one.
func ExactDialer(allowed map[string]string) Dial {
	allowed = maps.Clone(allowed)
	var d net.Dialer
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		exact, ok := allowed[addr]
		if !ok {
			return nil, &forbidden{address: addr}
		}
		return d.DialContext(ctx, network, exact)
	}
}
