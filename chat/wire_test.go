package chat

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

func TestTheRhythmOfPings(t *testing.T) {
	begin := time.Now()
	for _, c := range []struct {
		name  string
		pings []time.Duration // after the beginning
		want  time.Duration
	}{
		{"none", nil, 0},
		{"the first tells no rhythm", []time.Duration{9 * time.Second}, 0},
		{"the longest gap", []time.Duration{0, 10 * time.Second, 35 * time.Second, 40 * time.Second}, 25 * time.Second},
		{"the machine slept", []time.Duration{0, 10 * time.Second, 9 * time.Hour}, slowestPing},
		{"at the same moment", []time.Duration{0, 0}, 1},
	} {
		w := &wire{opened: begin}
		for _, after := range c.pings {
			w.ping(begin.Add(after))
		}
		if got := time.Duration(w.gap.Load()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// wired is a connection to a server that does with it what serve does.
func wired(t *testing.T, serve func(*websocket.Conn)) *wire {
	t.Helper()
	network := &play.Network{}
	t.Cleanup(network.Serve("link.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		serve(conn)
	})))
	conn, _, err := Config{Dial: network.Dial, Timing: Timing{}.filled()}.dialer().DialContext(t.Context(), "ws://link.test/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &wire{conn: conn, opened: time.Now()}
}

func TestAcknowledgementsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 1)
		w := wired(t, func(conn *websocket.Conn) {
			for {
				_, frame, err := conn.ReadMessage()
				if err != nil {
					return
				}
				heard <- string(frame)
			}
		})
		defer w.end()
		for _, c := range []struct {
			payload any
			want    string
			err     error
		}{
			{nil, `{"envelope_id":"E1"}`, nil},
			{map[string]string{"text": "no"}, `{"envelope_id":"E1","payload":{"text":"no"}}`, nil},
			{strings.Repeat("x", maxAck), "", errTooLong}, // Slack would drop it silently
			{nil, `{"envelope_id":"E1"}`, nil},            // and the connection is as good as before
		} {
			if err := w.ack("E1", c.payload, time.Second); !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if c.err != nil {
				continue
			}
			if got := <-heard; got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		}
	})
}

func TestALinkThatTakesNothingIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		w := wired(t, func(*websocket.Conn) { <-over })
		defer close(over)
		begin := time.Now()
		if err := w.ack("E1", nil, time.Second); err == nil {
			t.Error("a server that does not read was believed to have heard")
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %s of the fake clock, want 1s", took)
		}
		if _, err := w.read(); err == nil {
			t.Error("the connection is still read")
		}
	})
}

// certificate makes one for a host that is valid on the bubble's clock.
func certificate(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func TestLinksOverTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cert, roots := certificate(t, "slack.test")
		sim := slack.New(slack.Options{})
		network := &play.Network{}
		srv := &http.Server{Handler: sim, ErrorLog: log.New(io.Discard, "", 0)} // it logs the bad certificate
		var serving sync.WaitGroup
		listener := network.Listen("slack.test")
		serving.Go(func() { srv.Serve(tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{cert}})) })
		cfg := Config{APIURL: "https://slack.test/api/", BotToken: secret.New(slack.DefaultBotToken), AppToken: secret.New(slack.DefaultAppToken), Dial: network.Dial, Roots: roots, Commands: &grammar{}}
		bot, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- bot.Run(ctx) }()
		time.Sleep(time.Minute)
		if ok, why := bot.Ready(); !ok {
			t.Errorf("not ready over TLS: %s", why)
		}
		if bot.patience() == 0 {
			t.Error("pings were not seen inside TLS")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		cfg.Roots = x509.NewCertPool()
		if bot, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		if _, err := bot.CheckBotToken(t.Context()); err == nil {
			t.Error("an unknown certificate was believed")
		}
		bot.api.close()
		sim.Close()
		srv.Close()
		listener.Close()
		serving.Wait()
	})
}
