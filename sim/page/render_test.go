package page_test

import (
	"context"
	"html"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.com/zdd/internal/golden"
	"example.com/zdd/sim/heroku"
	"example.com/zdd/sim/page"
	"example.com/zdd/sim/slack"
)

// browseWithin bounds one run of the browser: a cold start on a busy machine takes seconds.
const browseWithin = 90 * time.Second

// TestTheRenderer has a browser render each kind of block, and do to controls what people
// do; testdata/render.js is what runs there, under the page's own Content-Security-Policy.
func TestTheRenderer(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no chromium is installed")
	}
	s, h := slack.New(slack.Options{}), heroku.New(heroku.Options{})
	defer s.Close()
	defer h.Close()
	whole := page.New(page.Config{Slack: s, Heroku: h})
	files := http.StripPrefix("/test/", http.FileServer(http.Dir("testdata")))
	mux := http.NewServeMux()
	mux.Handle("/", whole)
	mux.HandleFunc("/test/", func(w http.ResponseWriter, r *http.Request) {
		first := httptest.NewRecorder()
		whole.ServeHTTP(first, r) // for its headers
		w.Header().Set("Content-Security-Policy", first.Header().Get("Content-Security-Policy"))
		files.ServeHTTP(w, r)
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	ctx, cancel := context.WithTimeout(t.Context(), browseWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=20000", "--dump-dom", server.URL+"/test/render.html")
	cmd.WaitDelay = 5 * time.Second
	dom, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	_, after, found := strings.Cut(string(dom), `<pre id="out">`)
	text, _, closed := strings.Cut(after, "</pre>")
	if !found || !closed || !strings.Contains(string(dom), "<title>done</title>") {
		t.Fatalf("the script did not come to its end:\n%s", dom)
	}
	shown, tried, _ := strings.Cut(html.UnescapeString(text), "# what people do\n")
	if tried != "all as it should be" {
		t.Error(tried)
	}
	golden.Check(t, "testdata/render.golden", shown)
}
