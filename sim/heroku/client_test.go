package heroku_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	platform "github.com/heroku/heroku-go/v5"

	simheroku "example.com/zdd/sim/heroku"
	"example.com/zdd/sim/play"
)

// client speaks to a server of its own, over memory.
type client struct {
	t    *testing.T
	sim  *simheroku.Server
	http *http.Client
}

func serve(t *testing.T, o simheroku.Options) *client {
	t.Helper()
	sim := simheroku.New(o)
	network := &play.Network{}
	stop := network.Serve("api.heroku.test", sim)
	c := &client{t: t, sim: sim, http: network.Client()}
	t.Cleanup(func() {
		sim.Close()
		c.http.CloseIdleConnections()
		stop()
	})
	return c
}

// heroku is heroku-go, unchanged, on the in-memory connection.
func (c *client) heroku(token string) *platform.Service {
	s := platform.NewService(&http.Client{Transport: &platform.Transport{BearerToken: token, Transport: c.http.Transport}})
	s.URL = "http://api.heroku.test"
	return s
}

type reply struct {
	status int
	header http.Header
	text   string
}

func (r reply) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.text), into); err != nil {
		t.Fatalf("decode %q: %v", r.text, err)
	}
}

// errorID is the id of an error body, "" for anything else.
func (r reply) errorID() string {
	var e struct{ ID string }
	if r.status < 400 || json.Unmarshal([]byte(r.text), &e) != nil {
		return ""
	}
	return e.ID
}

// send makes one request with the default token; headers come as "Key: value".
func (c *client) send(method, path, body string, headers ...string) (reply, error) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://api.heroku.test"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.heroku+json; version=3")
	req.Header.Set("Authorization", "Bearer "+simheroku.DefaultToken)
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(text)}, err
}

func (c *client) get(path string, headers ...string) reply {
	c.t.Helper()
	return c.must("GET", path, "", headers...)
}

func (c *client) must(method, path, body string, headers ...string) reply {
	c.t.Helper()
	r, err := c.send(method, path, body, headers...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// do gives a control command and returns what it answers.
func (c *client) do(line string) string {
	c.t.Helper()
	r := c.must("POST", "/_control/do", line)
	if r.status != http.StatusOK {
		c.t.Fatalf("control %q: %d %s", line, r.status, r.text)
	}
	return strings.TrimSpace(r.text)
}

// summary is the line of /_control/app/NAME.
func (c *client) summary(app string) string {
	c.t.Helper()
	return strings.TrimSpace(c.get("/_control/app/" + app).text)
}

func fleet(t *testing.T, text string) simheroku.Fleet {
	t.Helper()
	f, err := simheroku.LoadFleet(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func apiError(t *testing.T, err error) platform.Error {
	t.Helper()
	e, ok := errors.AsType[platform.Error](err)
	if !ok {
		t.Fatalf("got %v (%T), want a platform.Error", err, err)
	}
	return e
}
