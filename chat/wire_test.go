package chat

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
)

const upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"

// frame builds one frame of a server's.
func frame(opcode byte, payload string) string {
	head := []byte{0x80 | opcode}
	switch n := len(payload); {
	case n < 126:
		head = append(head, byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, 126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, 127), uint64(n))
	}
	return string(head) + payload
}

func TestScannerReadsFramesHoweverTheyAreCut(t *testing.T) {
	stream := upgrade + frame(opPing, "") + frame(opText, `{"type":"hello"}`) + frame(opText, strings.Repeat("x", 300)) +
		frame(opText, strings.Repeat("y", 70_000)) + frame(opPing, "p") + frame(opText, `{"type":"disconnect","reason":"link_disabled"}`)
	for _, size := range []int{1, 2, 3, 7, 125, 4096, len(stream)} {
		p := &pulse{}
		s := scanner{pulse: p}
		for rest := stream; rest != ""; {
			n := min(size, len(rest))
			s.feed([]byte(rest[:n]))
			rest = rest[n:]
		}
		if p.opaque.Load() || p.gap.Load() == 0 || p.reason.Load() == nil || *p.reason.Load() != "link_disabled" {
			t.Errorf("in pieces of %d: opaque %v, rhythm %v, reason %v", size, p.opaque.Load(), p.gap.Load(), p.reason.Load())
		}
	}
}

func TestScannerGivesUpOnWhatItDoesNotKnow(t *testing.T) {
	p := &pulse{}
	s := scanner{pulse: p}
	s.feed([]byte(upgrade + "\xc1\x05hello")) // a compressed frame
	if !p.opaque.Load() {
		t.Error("a compressed frame was read as if it were plain")
	}
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(upgrade+frame(opPing, "x")), 3)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		s := scanner{pulse: &pulse{}}
		for size = max(size, 1); len(stream) > 0; {
			n := min(size, len(stream))
			s.feed(stream[:n])
			stream = stream[n:]
			if len(s.payload) > keptFrame || len(s.head) > 10 {
				t.Fatalf("kept %d and %d bytes", len(s.payload), len(s.head))
			}
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
