package slack_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/sim/slack"
)

// acking is a client that acknowledges everything with nothing, and notes what came.
func acking(t *testing.T, notes *[]string) func(*socketmode.Client, socketmode.Event) {
	return func(c *socketmode.Client, ev socketmode.Event) {
		if notes != nil {
			*notes = append(*notes, string(ev.Type))
		}
		if ev.Request != nil && ev.Request.EnvelopeID != "" {
			if err := c.Ack(*ev.Request); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestEveryDisconnectReasonIsSurvived(t *testing.T) {
	for _, reason := range []string{"warning", "refresh_requested", "link_disabled", "too_many_websockets", "drop"} {
		t.Run(reason, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				var notes []string
				defer b.connect(acking(t, &notes))()
				b.do("disconnect " + reason)
				b.pass(15 * time.Second)
				if got := b.sim.Links(); got != 1 {
					t.Fatalf("links after: got %d, want 1", got)
				}
				hellos := 0
				for _, n := range notes {
					if n == "hello" {
						hellos++
					}
				}
				if hellos != 2 {
					t.Errorf("hellos: got %d in %v, want 2", hellos, notes)
				}
				b.do("type requester /zdd x")
				b.pass(5 * time.Second)
				b.wantSeen()
			})
		})
	}
}

func TestAWarningComesTenSecondsAhead(t *testing.T) {
	inBubble(t, slack.Options{RefreshEvery: time.Hour}, func(b *bubble) {
		link := b.dial()
		start := time.Now()
		var got []string
		for {
			e, ok := link.tryNext(2 * time.Hour)
			if !ok {
				break
			}
			got = append(got, fmt.Sprint(e["type"], " ", e["reason"], " ", time.Since(start).Round(time.Second)))
		}
		want := []string{"disconnect warning 59m50s", "disconnect refresh_requested 1h0m0s"}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestARefreshReadsLateAcknowledgements(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		link := b.dial()
		b.do("type requester /zdd x")
		id := link.next()["envelope_id"].(string)
		b.do("disconnect refresh_requested")
		b.do("type requester /zdd y") // goes to no link that is asked to go
		link.ack(id, map[string]any{"text": "late"})
		b.pass(5 * time.Second)
		b.wantSeen(`timeout slack→requester: /zdd failed with the error "dispatch_failed"`, "ephemeral bot→requester: late")
		if b.sim.Links() != 0 {
			t.Error("the link still stands")
		}
	})
}

func TestTheEleventhLinkIsRefused(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		for range 10 {
			b.dial()
		}
		eleventh := b.dialQuietly()
		e, ok := eleventh.tryNext(time.Second)
		if !ok || e["type"] != "disconnect" || e["reason"] != "too_many_websockets" {
			t.Errorf("eleventh link: got %v, want disconnect too_many_websockets", e)
		}
		if _, ok := eleventh.tryNext(time.Second); ok {
			t.Error("the eleventh link stands")
		}
		if got := b.sim.Links(); got != 10 {
			t.Errorf("links: got %d, want 10", got)
		}
	})
}

func TestATicketOpensOneLink(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		url := b.openURL()
		dialer := websocket.Dialer{NetDialContext: b.net.Dial}
		first, _, err := dialer.Dial(url, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, resp, err := dialer.Dial(url, nil); err == nil || resp == nil || resp.StatusCode != 403 {
			t.Errorf("second use: got %v, want 403", err)
		}
	})
}

func TestASilentLinkIsGivenUpByTheClient(t *testing.T) {
	for _, line := range []string{"disconnect half-open", "pings off"} {
		t.Run(line, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				var notes []string
				defer b.connect(acking(t, &notes))()
				b.do(line)
				b.pass(2 * time.Minute)
				if n := strings.Count(strings.Join(notes, " "), "hello"); n < 2 {
					t.Errorf("hellos: got %d in %v, want the client to have come back", n, notes)
				}
			})
		})
	}
}

func TestAnAppMayDoWithoutPings(t *testing.T) {
	inBubble(t, slack.Options{PingEvery: -1}, func(b *bubble) {
		link := b.dial()
		if e, ok := link.tryNext(time.Hour); ok || link.pings != 0 {
			t.Errorf("got %v and %d pings, want silence", e, link.pings)
		}
	})
}

func TestRefusedConnections(t *testing.T) {
	for _, code := range []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked"} {
		t.Run(code, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				b.do("refuse " + code)
				err := b.connect(nil)()
				if err == nil || err.Error() != code {
					t.Errorf("run: got %v, want %s", err, code)
				}
			})
		})
	}
	for _, code := range []string{"token_expired", "missing_scope", "not_allowed_token_type", "team_disabled"} {
		t.Run(code, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				b.do("refuse " + code + " next 2")
				var notes []string
				defer b.connect(acking(t, &notes))()
				b.pass(time.Minute)
				if got := b.sim.Links(); got != 1 || strings.Count(strings.Join(notes, " "), "connection_error") != 2 {
					t.Errorf("got %d links after %v, want 1 after two errors", got, notes)
				}
			})
		})
	}
}

func TestGreetings(t *testing.T) {
	for _, what := range []string{"drop", "slam", "warning", "link_disabled"} {
		t.Run(what, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				b.do("greet " + what + " next 3")
				defer b.connect(acking(t, nil))()
				b.pass(time.Minute)
				if got := b.sim.Links(); got != 1 {
					t.Errorf("links: got %d, want 1", got)
				}
				opens := 0
				for _, c := range b.sim.Calls() {
					if c.Method == "apps.connections.open" {
						opens++
					}
				}
				if opens != 4 {
					t.Errorf("connections opened: got %d, want 4", opens)
				}
			})
		})
	}
}

func TestALinkThatDropsEachSecond(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		var notes []string
		defer b.connect(acking(t, &notes))()
		b.do("flap 1s for 10m")
		b.pass(12 * time.Minute)
		hellos, limited := strings.Count(strings.Join(notes, " "), "hello"), 0
		for _, c := range b.sim.Calls() {
			if c.Error == "ratelimited" {
				limited++
			}
		}
		if hellos < 300 || limited == 0 {
			t.Errorf("got %d hellos and %d refusals, want hundreds, and the tier's limit felt", hellos, limited)
		}
		b.do("type requester /zdd x")
		b.pass(5 * time.Second)
		b.wantSeen()
	})
}

func TestARevokedTokenEndsEverything(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		stop := b.connect(acking(t, nil))
		b.do("revoke-token")
		b.pass(time.Second)
		if err := stop(); err == nil || err.Error() != "token_revoked" {
			t.Errorf("run: got %v, want token_revoked", err)
		}
		if _, err := b.api.AuthTest(); err == nil || err.Error() != "token_revoked" {
			t.Errorf("auth.test: got %v, want token_revoked", err)
		}
		b.do("restore-token")
		if _, err := b.api.AuthTest(); err != nil {
			t.Errorf("auth.test: got %v, want none", err)
		}
	})
}

// rawLink is a Socket Mode client that does nothing of itself.
type rawLink struct {
	b      *bubble
	conn   *websocket.Conn
	frames chan map[string]any
	pings  int
}

func (b *bubble) openURL() string {
	b.t.Helper()
	_, url, err := b.api.StartSocketModeContext(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return url
}

// dial opens a link and takes its hello.
func (b *bubble) dial() *rawLink {
	b.t.Helper()
	l := b.dialQuietly()
	if hello := l.next(); hello["type"] != "hello" || hello["num_connections"] != float64(b.sim.Links()) {
		b.t.Fatalf("first frame: got %v, want hello with num_connections %d", hello, b.sim.Links())
	}
	return l
}

func (b *bubble) dialQuietly() *rawLink {
	b.t.Helper()
	dialer := websocket.Dialer{NetDialContext: b.net.Dial}
	conn, _, err := dialer.Dial(b.openURL(), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	l := &rawLink{b: b, conn: conn, frames: make(chan map[string]any, 1000)}
	conn.SetPingHandler(func(string) error { l.pings++; return nil })
	go func() {
		defer close(l.frames)
		for {
			_, data, err := conn.ReadMessage()
			if err != nil {
				conn.Close()
				return
			}
			frame := map[string]any{}
			if err := json.Unmarshal(data, &frame); err != nil {
				b.t.Error(err)
			}
			l.frames <- frame
		}
	}()
	return l
}

func (l *rawLink) next() map[string]any {
	l.b.t.Helper()
	frame, ok := l.tryNext(time.Second)
	if !ok {
		l.b.t.Fatal("no frame came")
	}
	return frame
}

func (l *rawLink) tryNext(wait time.Duration) (map[string]any, bool) {
	select {
	case frame, ok := <-l.frames:
		return frame, ok
	case <-time.After(wait):
		return nil, false
	}
}

// all are the frames that came so far.
func (l *rawLink) all() []map[string]any {
	synctest.Wait()
	var frames []map[string]any
	for len(l.frames) > 0 {
		frames = append(frames, <-l.frames)
	}
	return frames
}

func (l *rawLink) ack(id string, payload any) {
	l.b.t.Helper()
	answer := map[string]any{"envelope_id": id}
	if payload != nil {
		answer["payload"] = payload
	}
	if err := l.conn.WriteJSON(answer); err != nil {
		l.b.t.Fatal(err)
	}
	synctest.Wait()
}

func TestAClientThatStopsReadingIsGivenUp(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		dialer := websocket.Dialer{NetDialContext: b.net.Dial}
		conn, _, err := dialer.Dial(b.openURL(), nil)
		if err != nil {
			b.t.Fatal(err)
		}
		defer conn.Close()
		synctest.Wait()
		b.do("type requester /zdd x")
		b.pass(20 * time.Second)
		b.wantSeen(`timeout slack→requester: /zdd failed with the error "operation_timeout"`)
		if got := b.sim.Links(); got != 1 {
			t.Errorf("links after 20 s: got %d, want 1", got)
		}
		b.pass(20 * time.Second)
		if got := b.sim.Links(); got != 0 {
			t.Errorf("links after 40 s: got %d, want none", got)
		}
	})
}

func TestCloseEndsWhatIsHeld(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.dial()
		b.do("fault auth.test hang")
		done := make(chan error, 1)
		go func() {
			_, err := b.api.AuthTest()
			done <- err
		}()
		synctest.Wait()
		b.sim.Close()
		if err := <-done; err == nil {
			t.Error("a held call: got no error, want one")
		}
		if got := b.sim.Links(); got != 0 {
			t.Errorf("links: got %d, want none", got)
		}
		if _, err := b.api.AuthTest(); err == nil {
			t.Error("a call after Close: got no error, want one")
		}
		b.sim.Close() // again is harmless
	})
}
