package watch

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/policy"
)

// withVisitors asks for them as a policy does.
func withVisitors(n int) func(*policy.Probe) {
	return func(p *policy.Probe) {
		p.Visitors, p.VisitorStart, p.VisitorPath, p.VisitorMarker = n, "/login", "/account", "signed in"
	}
}

// sessionShop is an app with sessions in memory, as far as visitors see.
type sessionShop struct {
	sessions map[string]bool
	account  func(w http.ResponseWriter, in bool) // what /account answers
	logins   int
	visits   int
}

func (s *sessionShop) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" && r.UserAgent() != "zdd-visitor/1 (+deploy watch)" {
		http.Error(w, "not a visitor", http.StatusTeapot)
		return
	}
	switch r.URL.Path {
	case "/login":
		s.logins++
		id := fmt.Sprint("s", s.logins)
		s.sessions[id] = true
		http.SetCookie(w, &http.Cookie{Name: "session", Value: id, Path: "/", HttpOnly: true})
		http.Redirect(w, r, "/account", http.StatusSeeOther)
	case "/account":
		s.visits++
		c, err := r.Cookie("session")
		s.account(w, err == nil && s.sessions[c.Value])
	default:
		if len(r.Cookies()) > 0 {
			http.Error(w, "a probe with cookies", http.StatusTeapot)
		}
	}
}

// Visitors keep their cookies, come back, and say once when they were logged out.
func TestVisitors(t *testing.T) {
	began := time.Time{}
	lost := func() bool { at := time.Since(began); return at >= 30*time.Second && at < 31*time.Second }
	tests := map[string]struct {
		out  func(w http.ResponseWriter) // what /account answers when logged out
		want VisitResult
		why  string
	}{
		"a page without it":  {func(w http.ResponseWriter) { fmt.Fprint(w, "please log in") }, Lost, "is gone"},
		"a login":            {func(w http.ResponseWriter) { w.Header().Set("Location", "https://sso.example/"); w.WriteHeader(302) }, Lost, "302 Found"},
		"a refusal":          {func(w http.ResponseWriter) { w.WriteHeader(401) }, Lost, "401 Unauthorized"},
		"no page":            {func(w http.ResponseWriter) { w.WriteHeader(503) }, NoPage, "503 Service Unavailable"},
		"another page":       {func(w http.ResponseWriter) { w.WriteHeader(404) }, NoPage, "404 Not Found"},
		"a cut":              {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, NoPage, "ended in the middle"},
		"one that says both": {func(w http.ResponseWriter) { w.WriteHeader(500); fmt.Fprint(w, "signed in") }, NoPage, "500 Internal"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began = time.Now()
				s := &sessionShop{sessions: map[string]bool{}}
				s.account = func(w http.ResponseWriter, in bool) {
					switch {
					case lost():
						clear(s.sessions)
						tt.out(w)
					case in:
						fmt.Fprint(w, "signed in as somebody")
					case tt.want == Lost:
						tt.out(w)
					default:
						fmt.Fprint(w, "signed out")
					}
				}
				samples, visits := probeFor(t, answering(t, s.serve), probed(t, withVisitors(5)), time.Minute)
				for _, sample := range samples {
					if sample.Outcome != OK {
						t.Fatalf("got %+v: visitors are nothing to the probe's requests", sample)
					}
				}
				got := map[VisitResult]int{}
				for _, v := range visits {
					got[v.Result]++
					if (v.At.Sub(began)-time.Duration(v.Visitor)*time.Second)%(5*time.Second) != 0 {
						t.Errorf("visitor %d came at %s", v.Visitor, v.At.Sub(began))
					}
					if v.Result == tt.want && !strings.Contains(v.Err, tt.why) || v.Result == Kept && v.Err != "" {
						t.Errorf("got %q, want words with %q", v.Err, tt.why)
					}
				}
				// Five visitors, one of whom comes each second, and each one's first visit is its login,
				// and so is that after it was logged out. One of them meets the second in which
				// sessions are lost; where that tells it nothing, it finds out the next time.
				want := map[VisitResult]int{Kept: 60 - 5 - 5 - 5, Lost: 5}
				if tt.want == NoPage {
					want = map[VisitResult]int{Kept: 60 - 5 - 1 - 5 - 5, NoPage: 1, Lost: 5}
				}
				for _, r := range []VisitResult{Kept, Lost, NoPage, Unbegun} {
					if got[r] != want[r] {
						t.Errorf("%s: got %d, want %d", r, got[r], want[r])
					}
				}
				if s.logins != 10 {
					t.Errorf("got %d logins, want 5 and 5 again", s.logins)
				}
			})
		})
	}
}

// Who cannot log in is neither kept nor lost.
func TestVisitorsWhoCannotLogIn(t *testing.T) {
	tests := map[string]struct {
		account func(w http.ResponseWriter, in bool)
		why     string
	}{
		"the text is never there": {func(w http.ResponseWriter, _ bool) { fmt.Fprint(w, "hello") }, "not there after the login"},
		"no page":                 {func(w http.ResponseWriter, _ bool) { w.WriteHeader(503) }, "503"},
		"no answer":               {func(http.ResponseWriter, bool) { panic(http.ErrAbortHandler) }, "ended in the middle"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sessionShop{sessions: map[string]bool{}, account: tt.account}
				_, visits := probeFor(t, answering(t, s.serve), probed(t, withVisitors(1)), 20*time.Second)
				for _, v := range visits {
					if v.Result != Unbegun || !strings.Contains(v.Err, tt.why) {
						t.Errorf("got %+v, want one who could not begin: %q", v, tt.why)
					}
				}
				if len(visits) != 4 {
					t.Errorf("got %d visits, want one each 5 s", len(visits))
				}
			})
		})
	}
}

// A visitor who waits for a page is one visitor still, and comes at the next of its times.
func TestVisitorsComeOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &sessionShop{sessions: map[string]bool{}}
		s.account = func(w http.ResponseWriter, _ bool) {
			time.Sleep(6 * time.Second)
			fmt.Fprint(w, "signed in")
		}
		change := func(p *policy.Probe) {
			withVisitors(1)(p)
			p.VisitorStart, p.Timeout = "", 20*time.Second // visiting /account is what logs in
		}
		_, visits := probeFor(t, answering(t, s.serve), probed(t, change), 41*time.Second)
		var at []time.Duration
		for _, v := range visits {
			at = append(at, v.At.Sub(began))
			if v.Result != Kept {
				t.Errorf("got %+v, want kept", v)
			}
		}
		if want := "[15s 25s 35s]"; fmt.Sprint(at) != want { // the login is two pages long
			t.Errorf("came at %v, want %s", at, want)
		}
	})
}

// What visitors were asking for when the probe was closed tells nothing of the app.
func TestVisitorsWhoAreSentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		g, err := answering(t, hang).Begin(probed(t, withVisitors(20)))
		if err != nil {
			t.Fatal(err)
		}
		var visits []Visit
		var work sync.WaitGroup
		work.Go(func() { err = g.Run(t.Context(), func(Sample) {}, func(v Visit) { visits = append(visits, v) }) })
		time.Sleep(4900 * time.Millisecond) // all of them have come, and none has waited for its 5 s
		g.Close()
		work.Wait()
		if err != nil || len(visits) != 0 {
			t.Errorf("got %v and %+v, want nothing of a visit that was given up", err, visits)
		}
	})
}
