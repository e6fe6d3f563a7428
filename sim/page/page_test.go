package page_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"example.com/zdd/sim/heroku"
	"example.com/zdd/sim/page"
	"example.com/zdd/sim/slack"
)

// start serves a page of two simulators on loopback.
func start(t *testing.T, cfg page.Config) *httptest.Server {
	t.Helper()
	s, h := slack.New(slack.Options{}), heroku.New(heroku.Options{})
	cfg.Slack, cfg.Heroku = s, h
	server := httptest.NewServer(page.New(cfg))
	t.Cleanup(func() {
		s.Close()
		h.Close()
		server.Close()
	})
	return server
}

// ask makes one request; change may alter it.
func ask(t *testing.T, method, url, body string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		first := make([]byte, 200) // a stream has no end
		n, _ := io.ReadFull(resp.Body, first)
		return resp, string(first[:n])
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestThePageIsServedWhole(t *testing.T) {
	server := start(t, page.Config{People: []page.Person{{Name: "requester", Does: "asks"}}, Try: "shop"})
	resp, html := ask(t, "GET", server.URL+"/", "", nil)
	if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("page: got %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	seen := map[string]bool{}
	var follow func(text string)
	follow = func(text string) {
		for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"|from '\./([^']+)'`).FindAllStringSubmatch(text, -1) {
			path := m[1]
			if m[2] != "" {
				path = "/assets/" + m[2]
			}
			if seen[path] {
				continue
			}
			seen[path] = true
			resp, text := ask(t, "GET", server.URL+path, "", nil)
			kind := map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[path[strings.LastIndexByte(path, '.')+1:]]
			if resp.StatusCode != 200 || kind == "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) {
				t.Errorf("%s: got %d %s, want 200 %s", path, resp.StatusCode, resp.Header.Get("Content-Type"), kind)
			}
			again, _ := ask(t, "GET", server.URL+path, "", func(r *http.Request) { r.Header.Set("If-None-Match", resp.Header.Get("ETag")) })
			if again.StatusCode != http.StatusNotModified {
				t.Errorf("%s again: got %d, want 304", path, again.StatusCode)
			}
			follow(text)
		}
	}
	follow(html)
	files, err := fs.ReadDir(os.DirFS("assets"), ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() != "index.html" && !seen["/assets/"+f.Name()] {
			t.Errorf("%s is served and nothing leads to it", f.Name())
		}
	}
	if _, text := ask(t, "GET", server.URL+"/setup.json", "", nil); text != `{"people":[{"name":"requester","does":"asks"}],"commands":null,"try":"shop"}` {
		t.Errorf("setup: got %s", text)
	}
}

// TestTheFilesAreSmallAndOurs holds the page to 300 kB as a server would send it compressed,
// to asking nobody else for anything, and to never turning text into markup.
func TestTheFilesAreSmallAndOurs(t *testing.T) {
	var all bytes.Buffer
	zip := gzip.NewWriter(&all)
	err := fs.WalkDir(os.DirFS("assets"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile("assets/" + name)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`https?://[^\s'"\\/)|]+`).FindAllString(string(text), -1) {
			if m != "http://www.w3.org" {
				t.Errorf("%s names %s", name, m)
			}
		}
		for _, word := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s uses %s", name, word)
			}
		}
		_, err = zip.Write(text)
		return err
	})
	if err := errors.Join(err, zip.Close()); err != nil {
		t.Fatal(err)
	}
	if got := all.Len(); got > 300_000 {
		t.Errorf("compressed: got %d bytes, want 300,000 at most", got)
	}
}

func TestThePageKeepsOthersOut(t *testing.T) {
	did := ""
	server := start(t, page.Config{Do: func(_ context.Context, verb string) error { did += verb; return nil }})
	port := server.URL[strings.LastIndexByte(server.URL, ':')+1:]
	for _, tt := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"by its address", "GET", "/", nil, 200},
		{"as localhost", "GET", "/", func(r *http.Request) { r.Host = "localhost:" + port }, 200},
		{"by a name that was rebound", "GET", "/", func(r *http.Request) { r.Host = "evil.example:" + port }, 421},
		{"by another port", "GET", "/slack/_control/page/requester", func(r *http.Request) { r.Host = "127.0.0.1:1" }, 421},
		{"a rebound name that acts", "POST", "/do", func(r *http.Request) { r.Host = "evil.example" }, 421},
		{"another site that acts", "POST", "/do", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"another page of this machine that acts", "POST", "/do", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		{"another site that acts, by what browsers say", "POST", "/heroku/_control/do", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"Slack's API", "POST", "/slack/api/auth.test", nil, 404},
		{"Slack's other controls", "POST", "/slack/_control/do", nil, 404},
		{"Heroku's API", "GET", "/heroku/apps", nil, 404},
		{"Heroku's other controls", "GET", "/heroku/_control/state", nil, 404},
		{"a person's page", "GET", "/slack/_control/page/requester", nil, 200},
		{"the wire", "GET", "/slack/_control/page/nobody", nil, 404},
		{"the fleet", "GET", "/heroku/_control/live", nil, 200},
		{"up the tree", "GET", "/assets/../page.go", nil, 404},
	} {
		resp, text := ask(t, tt.method, server.URL+tt.path, `{"verb":"night"}`, tt.change)
		if resp.StatusCode != tt.want {
			t.Errorf("%s: got %d %q, want %d", tt.name, resp.StatusCode, text, tt.want)
		}
		if tt.want != 421 && resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got no nosniff", tt.name)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); tt.want != 421 && (strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'")) {
			t.Errorf("%s: got policy %q", tt.name, csp)
		}
	}
	if did != "" {
		t.Errorf("somebody else had %q done", did)
	}
}

func TestTheDemosOwnVerbs(t *testing.T) {
	server := start(t, page.Config{Do: func(_ context.Context, verb string) error {
		if verb != "night" {
			return errors.New("no such verb")
		}
		return nil
	}})
	for body, want := range map[string]string{`{"verb":"night"}`: "200 ok", `{"verb":"dance"}`: "400 no such verb", `{`: "400 no verb could be read"} {
		resp, text := ask(t, "POST", server.URL+"/do", body, nil)
		if got := resp.Status[:4] + text; !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	bare := start(t, page.Config{})
	if resp, _ := ask(t, "POST", bare.URL+"/do", `{"verb":"night"}`, nil); resp.StatusCode != 400 {
		t.Errorf("with nobody to do it: got %d, want 400", resp.StatusCode)
	}
}

func TestActsReachTheSimulators(t *testing.T) {
	server := start(t, page.Config{})
	resp, text := ask(t, "POST", server.URL+"/slack/_control/page/requester/act", `{"act":"type","channel":"C0OPS","text":"hello"}`, nil)
	if resp.StatusCode != 200 || !strings.Contains(text, `"said":"ts `) {
		t.Errorf("type: got %d %s", resp.StatusCode, text)
	}
	if _, text := ask(t, "GET", server.URL+"/slack/_control/page/approver", "", nil); !strings.Contains(text, "event: snapshot") {
		t.Errorf("Ada's page: got %s", text)
	}
	if resp, text := ask(t, "POST", server.URL+"/heroku/_control/do", "set shop preboot=on", nil); resp.StatusCode != 200 || !strings.Contains(text, "preboot=on") {
		t.Errorf("preboot: got %d %s", resp.StatusCode, text)
	}
}
