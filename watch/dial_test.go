package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/policy"
)

// privateAddresses are addresses that a probe must never reach, and publicAddresses some that it may.
func privateAddresses() map[string]string {
	return map[string]string{
		"this host":                "0.0.0.0",
		"this network":             "0.1.2.3",
		"unspecified":              "::",
		"loopback":                 "127.0.0.1",
		"all of loopback":          "127.255.255.254",
		"loopback, 6":              "::1",
		"private 10":               "10.0.0.1",
		"private 172":              "172.31.255.255",
		"private 192":              "192.168.1.1",
		"unique local":             "fd00::1",
		"shared (CGNAT)":           "100.64.0.1",
		"shared, its end":          "100.127.255.255",
		"link-local":               "169.254.1.1",
		"link-local, 6":            "fe80::1",
		"link-local with a zone":   "fe80::1%lo",
		"site-local":               "fec0::1",
		"metadata":                 "169.254.169.254",
		"metadata of a container":  "169.254.170.2",
		"metadata, 6":              "fd00:ec2::254",
		"platform of Azure":        "168.63.129.16",
		"multicast":                "224.0.0.1",
		"multicast, its end":       "239.255.255.255",
		"multicast, 6":             "ff02::1",
		"broadcast":                "255.255.255.255",
		"reserved":                 "240.0.0.1",
		"protocol assignments":     "192.0.0.1",
		"documentation 1":          "192.0.2.1",
		"documentation 2":          "198.51.100.1",
		"documentation 3":          "203.0.113.1",
		"documentation, 6":         "2001:db8::1",
		"documentation, 6, newer":  "3fff::1",
		"benchmarking":             "198.18.0.1",
		"benchmarking, its end":    "198.19.255.255",
		"benchmarking, 6":          "2001:2::1",
		"6to4 relay":               "192.88.99.1",
		"mapped loopback":          "::ffff:127.0.0.1",
		"mapped private":           "::ffff:10.0.0.1",
		"mapped metadata":          "::ffff:a9fe:a9fe",
		"mapped public":            "::ffff:8.8.8.8", // a socket's address is never written so
		"compatible loopback":      "::127.0.0.1",
		"translated":               "::ffff:0:127.0.0.1",
		"6to4 of loopback":         "2002:7f00:1::1",
		"6to4 of metadata":         "2002:a9fe:a9fe::1",
		"NAT64 of loopback":        "64:ff9b::7f00:1",
		"NAT64 of metadata":        "64:ff9b::a9fe:a9fe",
		"local NAT64":              "64:ff9b:1::1",
		"Teredo":                   "2001:0:7f00:1::",
		"ORCHID":                   "2001:20::1",
		"discard":                  "100::1",
		"segment routing":          "5f00::1",
		"not given to anybody":     "4000::1",
		"a public one with a zone": "2606:4700::1%eth0",
	}
}

func publicAddresses() []string {
	return []string{"8.8.8.8", "9.255.255.255", "11.0.0.1", "54.243.1.2", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
		"169.253.255.255", "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.254",
		"2606:4700::1", "2600:1f18::1", "2a05:d018::1"}
}

func TestAllow(t *testing.T) {
	for name, ip := range privateAddresses() {
		for _, port := range []string{"80", "443"} {
			network := "tcp4"
			if strings.Contains(ip, ":") {
				network = "tcp6"
			}
			if err := allow(network, net.JoinHostPort(ip, port)); !errors.Is(err, errForbidden) {
				t.Errorf("%s (%s): got %v, want a refusal", name, ip, err)
			}
		}
	}
	for _, ip := range publicAddresses() {
		network := "tcp4"
		if strings.Contains(ip, ":") {
			network = "tcp6"
		}
		for port, want := range map[string]bool{"80": true, "443": true, "22": false, "25": false, "0": false, "8080": false, "6379": false, "65535": false} {
			if err := allow(network, net.JoinHostPort(ip, port)); (err == nil) != want || err != nil && !errors.Is(err, errForbidden) {
				t.Errorf("%s, port %s: got %v, want allowed %v", ip, port, err, want)
			}
		}
	}
	for _, c := range [][2]string{{"udp4", "8.8.8.8:443"}, {"tcp", "8.8.8.8:443"}, {"unix", "/run/docker.sock"}, {"tcp4", "shop.example.com:443"}, {"tcp4", "8.8.8.8"}, {"tcp4", ""}, {"tcp4", "0177.0.0.1:80"}} {
		if err := allow(c[0], c[1]); !errors.Is(err, errForbidden) {
			t.Errorf("%v: got %v, want a refusal", c, err)
		}
	}
}

// FuzzAllow holds the check against another opinion: that of net/netip, of every IPv4
// address in an IPv6 one, and of the prefixes that both leave out.
func FuzzAllow(f *testing.F) {
	for _, ip := range privateAddresses() {
		if addr, err := netip.ParseAddr(ip); err == nil {
			f.Add(addr.AsSlice(), uint16(443))
		}
	}
	for _, ip := range publicAddresses() {
		f.Add(netip.MustParseAddr(ip).AsSlice(), uint16(80))
	}
	special := []netip.Prefix{}
	for _, p := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "2001:db8::/32", "3fff::/20", "2001::/23"} {
		special = append(special, netip.MustParsePrefix(p))
	}
	private := func(ip netip.Addr) bool {
		if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			return true
		}
		for _, p := range special {
			if p.Contains(ip) {
				return true
			}
		}
		return false
	}
	f.Fuzz(func(t *testing.T, raw []byte, port uint16) {
		ip, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		network := "tcp4"
		if ip.Is6() {
			network = "tcp6"
		}
		if allow(network, netip.AddrPortFrom(ip, port).String()) != nil {
			return
		}
		if port != 80 && port != 443 {
			t.Errorf("port %d is allowed", port)
		}
		if private(ip) || private(ip.Unmap()) || ip.Is4In6() {
			t.Errorf("%s is allowed", ip)
		}
		if ip.Is6() {
			b := ip.As16()
			first := binary.BigEndian.Uint16(b[:])
			if first>>13 != 1 { // 2000::/3 is all that was given to the internet
				t.Errorf("%s is allowed, outside of global unicast", ip)
			}
			if first == 0x2002 || first == 0x2001 && b[2] == 0 && b[3] == 0 {
				t.Errorf("%s is allowed, and carries an IPv4 address", ip)
			}
		}
	})
}

// dnsNames is a resolver's DNS server in memory. Each question for a name is answered with its
// next address, and the last one for ever.
type dnsNames struct {
	mu    sync.Mutex
	next  map[string][]string
	asked int
}

func (n *dnsNames) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go n.serve(server)
		return client, nil
	}}
}

// serve answers queries as they come over TCP (RFC 1035, 4.2.2), until the client has gone.
func (n *dnsNames) serve(c net.Conn) {
	defer c.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		answer := n.answer(query)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

// answer makes a response of a query: its header, its question, and an address where there
// is one of the kind that was asked for.
func (n *dnsNames) answer(query []byte) []byte {
	const header = 12
	var labels []string
	at := header
	for query[at] != 0 {
		labels = append(labels, string(query[at+1:at+1+int(query[at])]))
		at += 1 + int(query[at])
	}
	end := at + 5 // the root label, type and class
	kind := binary.BigEndian.Uint16(query[at+1:])
	response := append([]byte{}, query[:end]...)
	response[2], response[3] = 0x84, 0x00       // a response, authoritative
	binary.BigEndian.PutUint32(response[6:], 0) // no answers, no authorities
	binary.BigEndian.PutUint16(response[10:], 0)
	if ip, ok := n.address(strings.Join(labels, "."), kind); ok {
		response[7] = 1
		response = append(response, 0xc0, header) // the name of the question
		response = binary.BigEndian.AppendUint16(response, kind)
		response = append(response, 0, 1, 0, 0, 0, 1) // of the internet, for a second
		response = binary.BigEndian.AppendUint16(response, uint16(len(ip)))
		response = append(response, ip...)
	}
	return response
}

func (n *dnsNames) address(name string, kind uint16) ([]byte, bool) {
	const a, aaaa = 1, 28
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.next[name]
	if len(all) == 0 {
		return nil, false
	}
	ip := netip.MustParseAddr(all[0])
	if kind == a && !ip.Is4() || kind == aaaa && !ip.Is6() || kind != a && kind != aaaa {
		return nil, false
	}
	n.asked++
	if len(all) > 1 {
		n.next[name] = all[1:]
	}
	return ip.AsSlice(), true
}

// A name is refused by what it resolves to, whatever it is called.
func TestPublicDialerRefusesNames(t *testing.T) {
	for name, ip := range privateAddresses() {
		addr, err := netip.ParseAddr(ip)
		if err != nil || addr.Zone() != "" || addr.Is6() && !addr.Is4In6() || addr == netip.MustParseAddr("::ffff:8.8.8.8") {
			// A machine without IPv6 makes no such socket, and a mapped address is dialled as
			// the IPv4 one that it is. TestAllow has all of them.
			continue
		}
		t.Run(name, func(t *testing.T) {
			n := &dnsNames{next: map[string][]string{"shop.example.com": {ip}}}
			for _, port := range []string{"80", "443"} {
				c, err := publicDialer(n.resolver())(t.Context(), "tcp", "shop.example.com:"+port)
				if c != nil {
					c.Close()
				}
				if !errors.Is(err, errForbidden) {
					t.Errorf("port %s: got %v, want a refusal", port, err)
				}
			}
			if n.asked == 0 {
				t.Error("nobody asked the test's resolver")
			}
		})
	}
}

// Addresses as they are, without a name, are looked at all the same.
func TestPublicDialerRefusesAddresses(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:80", "10.0.0.1:443", "169.254.169.254:80", "[::ffff:127.0.0.1]:80", "8.8.8.8:53", "localhost:80"} {
		c, err := PublicDialer()(t.Context(), "tcp", addr)
		if c != nil {
			c.Close()
		}
		if err == nil || addr != "localhost:80" && !errors.Is(err, errForbidden) { // a machine may resolve localhost to ::1 without IPv6
			t.Errorf("%s: got %v, want a refusal", addr, err)
		}
	}
}

// A name that is public when somebody looks, and loopback when it is dialled, is refused.
func TestPublicDialerRefusesNamesThatTurn(t *testing.T) {
	n := &dnsNames{next: map[string][]string{"shop.example.com": {"93.184.215.14", "127.0.0.1"}}}
	resolver := n.resolver()
	before, err := resolver.LookupNetIP(t.Context(), "ip4", "shop.example.com")
	if err != nil || len(before) != 1 || allow("tcp4", netip.AddrPortFrom(before[0].Unmap(), 443).String()) != nil {
		t.Fatalf("looked up %v, %v, want a public address first", before, err)
	}
	p := NewProber(ProberConfig{Dial: publicDialer(resolver)})
	s := firstSample(t, p, probed(t, func(p *policy.Probe) { p.Domain, p.Timeout = "shop.example.com", time.Minute }))
	if s.Outcome != Own || !strings.Contains(s.Err, "not asked: ") || !strings.Contains(s.Err, "127.0.0.1") {
		t.Errorf("got %+v, want one that was not asked", s)
	}
	if n.asked < 2 {
		t.Errorf("asked %d times, want once before the dial and once for it", n.asked)
	}
}

// firstSample is the first sample of a probe on the real clock.
func firstSample(t *testing.T, p *Prober, target Target) (got Sample) {
	t.Helper()
	g, err := p.Begin(target)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err = g.Run(ctx, func(s Sample) {
		if got.Due.IsZero() && !strings.Contains(s.Err, "stood still") { // a machine that is busy may be late
			got = s
			cancel()
		}
	}, nil)
	_, refused := errors.AsType[*NotProbed](err)
	if err != nil && !refused || got.Due.IsZero() {
		t.Fatalf("got %+v, %v, want a sample", got, err)
	}
	return got
}

// An address that may not be asked is tried once.
func TestProbeEndsAtAForbiddenAddress(t *testing.T) {
	_, _ = new(dnsNames).resolver().LookupHost(t.Context(), "before.example") // package net makes a channel at the first look-up, which must be in no bubble
	synctest.Test(t, func(t *testing.T) {
		n := &dnsNames{next: map[string][]string{"shop.example.com": {"127.0.0.1"}}}
		p := NewProber(ProberConfig{Dial: publicDialer(n.resolver())})
		g, err := p.Begin(probed(t, func(p *policy.Probe) { p.Domain = "shop.example.com" }))
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		var samples []Sample
		err = g.Run(t.Context(), func(s Sample) { samples = append(samples, s) }, nil)
		refused, ok := errors.AsType[*NotProbed](err)
		const want = "shop.example.com leads to 127.0.0.1:443, where nothing may be sent: only public addresses are probed, on the ports 80 and 443."
		if !ok || refused.Why != want {
			t.Errorf("got %v, want %q", err, want)
		}
		if len(samples) != 1 || samples[0].Outcome != Own {
			t.Errorf("got %+v, want one request that was not sent", samples)
		}
	})
}

// ExactDialer dials what it was given, and nothing that is called alike.
func TestExactDialer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	allowed := map[string]string{"shop.herokuapp.localhost:80": l.Addr().String()}
	dial := ExactDialer(allowed)
	allowed["blog.herokuapp.localhost:80"] = l.Addr().String() // too late
	c, err := dial(t.Context(), "tcp", "shop.herokuapp.localhost:80")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	for _, addr := range []string{"shop.herokuapp.localhost:81", "blog.herokuapp.localhost:80", "SHOP.herokuapp.localhost:80", l.Addr().String(), "127.0.0.1:80", ""} {
		if c, err := dial(t.Context(), "tcp", addr); !errors.Is(err, errForbidden) {
			if c != nil {
				c.Close()
			}
			t.Errorf("%q: got %v, want a refusal", addr, err)
		}
	}
}
