package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	simheroku "example.com/zdd/sim/heroku"
)

// everythingIsLoopback is a DNS in memory that answers every question for an IPv4 address
// with 127.0.0.1.
func everythingIsLoopback() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for { // queries as they come over TCP (RFC 1035, 4.2.2)
				var size [2]byte
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				end := 12 + bytes.IndexByte(query[12:], 0) + 5 // behind the header: a name, its type and class
				answer := append([]byte{}, query[:end]...)
				answer[2], answer[3] = 0x84, 0 // a response, authoritative
				copy(answer[6:12], make([]byte, 6))
				if kind := binary.BigEndian.Uint16(query[end-4:]); kind == 1 {
					answer[7] = 1
					answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1)
				}
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// bait is a server on this machine that a probe must not reach.
type bait struct {
	net.Listener
	conns atomic.Int64
	work  sync.WaitGroup
}

// newBait has seen one connection, the test's own.
func newBait(t *testing.T) *bait {
	t.Helper()
	b := &bait{}
	var err error
	if b.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	b.work.Go(func() {
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			b.conns.Add(1)
			c.Close()
		}
	})
	c, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(c) // until it has been seen, and was closed
	c.Close()
	return b
}

// untouched ends the bait. Connections that were never accepted would count too.
func (b *bait) untouched(t *testing.T) {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr().String()) // behind all others
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(c)
	c.Close()
	b.Close()
	b.work.Wait()
	if n := b.conns.Load(); n != 2 {
		t.Errorf("got %d connections, want the test's own two", n)
	}
}

// TestNoProbeReachesThisMachine: what production runs, with the dialer of production, sends
// nothing to loopback, whatever name leads there, and whatever the environment and the policy
// say. The listener is outside of the bubble, as a real one is.
func TestNoProbeReachesThisMachine(t *testing.T) {
	resolver := net.DefaultResolver
	_, _ = everythingIsLoopback().LookupHost(t.Context(), "before.example") // package net makes a channel at the first look-up, which must be in no bubble
	t.Cleanup(func() { net.DefaultResolver = resolver })
	const operators = "people: { operators: [U0REQUESTER] }\n"
	for name, c := range map[string]struct {
		domain string // of the apps at Heroku; PORT is the bait's
		policy string
		says   string
	}{
		"a web_url whose name leads here":          {"acme.example:PORT", "", "leads to 127.0.0.1:PORT, where nothing may be sent"},
		"a web_url that is an address":             {"127.0.0.1:PORT", "", "is none that can be asked"},
		"a web_url below localhost":                {"herokuapp.localhost:PORT", "", "leads to 127.0.0.1:PORT, where nothing may be sent"},
		"a usual port":                             {"acme.example", "", "leads to 127.0.0.1:80, where nothing may be sent"},
		"a domain of the policy's that leads here": {"acme.example:PORT", "apps: { shop: { probe: { domain: internal.acme.example } } }", "leads to 127.0.0.1:443, where nothing may be sent"},
	} {
		t.Run(name, func(t *testing.T) {
			bait := newBait(t)
			_, port, err := net.SplitHostPort(bait.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
				t.Setenv(proxy, "http://"+bait.Addr().String())
			}
			says := strings.ReplaceAll(c.says, "PORT", port)
			synctest.Test(t, func(t *testing.T) {
				net.DefaultResolver = everythingIsLoopback()
				s := inMemoryOf(t, simheroku.Options{Domain: strings.ReplaceAll(c.domain, "PORT", port)})
				defer s.close()
				s.policy, s.probe = operators+c.policy, nil
				if err := s.start(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, line := range []string{"watch shop", "show D-1"} {
					if _, err := s.control(t.Context(), http.MethodPost, s.slackURL+"/_control/do", "type requester #general /zdd "+line); err != nil {
						t.Fatal(err)
					}
					time.Sleep(15 * time.Minute)
				}
				seen, err := s.control(t.Context(), http.MethodGet, s.slackURL+"/_control/log?since=0", "")
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(seen, says) || strings.Contains(seen, "proved") {
					t.Errorf("got in Slack\n%s\nwant %q, and nothing proved", seen, says)
				}
				var stdout, stderr bytes.Buffer
				code := run(t.Context(), []string{"watch", "shop"}, outside{Getenv: s.environment, Stdout: &stdout, Stderr: &stderr, Dial: s.dial})
				if said := strings.Join(strings.Fields(stdout.String()+stderr.String()), " "); code == exitGood || code == exitFindings || !strings.Contains(said, says) {
					t.Errorf("bot watch: got code %d and\n%s\nwant %q", code, said, says)
				}
			})
			bait.untouched(t)
		})
	}
}
