package main

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"example.com/zdd/chat"
	"example.com/zdd/commands"
	simheroku "example.com/zdd/sim/heroku"
)

// The README's picture is drawn from what bot status prints, so that it can't tell of a
// product that does not exist.
func TestPictureIsCurrent(t *testing.T) {
	sim := simheroku.New(simheroku.Options{})
	defer sim.Close()
	server := httptest.NewServer(sim)
	defer server.Close()
	env := map[string]string{"HEROKU_API_KEY": simheroku.DefaultToken, "HEROKU_API_URL": server.URL, "HEROKU_METRICS_URL": server.URL, "ZDD_POLICY_YAML": demoPolicy}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"status", "shop"}, outside{Getenv: func(k string) string { return env[k] }, Stdout: &out, Stderr: &errs, Width: 104}); code != exitFindings {
		t.Fatalf("bot status shop: got exit code %d, want %d\n%s", code, exitFindings, &errs)
	}
	text, _, found := strings.Cut(out.String(), "\nRead ") // the moments below differ with every run
	if !found {
		t.Fatalf("got no line that says when it was read:\n%s", &out)
	}
	current(t, "status.svg", drawSVG("/zdd status shop", text))
}

// The second picture is what the approval channel shows, drawn as a terminal would show it.
func TestTicketPictureIsCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := &prompter{simulation: s, out: io.Discard, person: "requester"}
		if err := p.say(t.Context(), "type requester #general /zdd enable shop"); err != nil {
			t.Fatal(err)
		}
		opened, err := openExisting(t.Context(), readConfig(s.environment))
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		ticket, err := opened.Ticket(t.Context(), "T-1")
		if err != nil {
			t.Fatal(err)
		}
		reply := commands.TicketReply(ticket, commands.ForApprovers)
		var out bytes.Buffer
		if err := chat.Terminal(&out, withoutButtons(reply), chat.Style{Width: 104, Zone: time.UTC}); err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		text.WriteString(strings.TrimRight(out.String(), "\n") + "\n\n")
		for _, part := range reply.Parts {
			if row, ok := part.(commands.Buttons); ok {
				for _, b := range row.Row {
					text.WriteString("[" + b.Label + "] ")
				}
			}
		}
		current(t, "enable.svg", drawSVG("/zdd enable shop", text.String()))
	})
}

// The third picture is the digest of a second night, after people have mended some apps
// and spoiled one.
func TestDigestPictureIsCurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t)
		defer s.close()
		if err := s.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Hour) // the first night and its digest
		for _, line := range []string{"set billing preboot=on", "set maintained preboot=on", "set checkout preboot=off"} {
			if _, err := s.heroku.Do(line); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Hour)
		opened, err := openExisting(t.Context(), readConfig(s.environment))
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		nights, err := opened.Nights(t.Context(), time.Time{}, 1)
		if err != nil || len(nights) == 0 {
			t.Fatalf("got %d nights: %v", len(nights), err)
		}
		night, err := opened.Night(t.Context(), nights[0].ID)
		if err != nil || night.Digest == nil {
			t.Fatalf("the digest of %s: %v", nights[0].ID, err)
		}
		parent, _ := commands.DigestView(*night.Digest, commands.View{Home: "C0OPS", Head: night.Digest.Head})
		var out bytes.Buffer
		if err := chat.Terminal(&out, withoutButtons(parent), chat.Style{Width: 104, Zone: time.UTC}); err != nil {
			t.Fatal(err)
		}
		// The watch looks at the very second of the scan, and whichever of the two is first asks
		// for the dyno sizes, for both: one call more or less.
		text := regexp.MustCompile(`\b5[78] calls\b`).ReplaceAllString(out.String(), "58 calls")
		current(t, "digest.svg", drawSVG("#ops at 09:00", text))
	})
}

// current holds a generated document against the committed one.
func current(t *testing.T, name, want string) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/%s is not current: run go test ./cmd/bot -run PictureIsCurrent -update", name)
	}
}

// drawSVG draws a text as it looks in a terminal window.
func drawSVG(typed, text string) string {
	const lineHeight, charWidth, margin = 20, 8.45, 28
	lines := append([]string{"> " + typed, ""}, strings.Split(strings.TrimRight(text, "\n"), "\n")...)
	wide := 0
	for _, l := range lines {
		wide = max(wide, utf8.RuneCountInString(l))
	}
	width, height := int(float64(wide)*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="The answer to %s">`+"\n", width, height, width, height, html.EscapeString(typed))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" rx="10" fill="#1a1d21"/>`+"\n"+`<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" fill="#d1d2d3" xml:space="preserve">`+"\n", width, height)
	for i, l := range lines {
		if l == "" {
			continue
		}
		style := ""
		switch trimmed := strings.TrimSpace(l); {
		case i == 0:
			style = ` fill="#8fd3ff" font-weight="bold"`
		case i == 2:
			style = ` fill="#ffffff" font-weight="bold"`
		case strings.HasPrefix(trimmed, "✓"):
			style = ` fill="#7bd88f"`
		case strings.HasPrefix(trimmed, "✗"):
			style = ` fill="#ff8a80"`
		case strings.HasPrefix(trimmed, "["):
			style = ` fill="#8fd3ff"`
		case strings.HasPrefix(trimmed, "⚠") || strings.HasPrefix(trimmed, "!"):
			style = ` fill="#ffd479"`
		case strings.HasPrefix(l, "  "):
			style = ` fill="#9aa0a6"`
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d"%s>%s</text>`+"\n", margin, margin+(i+1)*lineHeight-6, style, html.EscapeString(l))
	}
	b.WriteString("</g></svg>\n")
	return b.String()
}
