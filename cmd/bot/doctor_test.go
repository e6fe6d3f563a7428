package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/slack-go/slack"

	"example.com/zdd/ledger"
	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/store"
)

// patient is an installation that the doctor visits: the simulators, and what the bot is
// told. As made, all of it is well.
type patient struct {
	sim    *simulation
	slack  *simslack.Server
	heroku *simheroku.Server
	env    map[string]string

	skewed map[string]time.Duration // by "slack" or "heroku": how far its clock is ahead of ours
	asleep map[string]bool          // which of them has a proxy before it that knows no WebSockets
	open   []*websocket.Conn        // links of others
	names  map[string]string        // addresses by host, for who looks them up; "away": its server does not answer
}

// healthyRules give the doctor nothing to say, and healthyPolicy nothing but that all is well.
const healthyRules = `people: { operators: [U0REQUESTER, S0PLATFORM], approvers: [U0APPROVER, S0FINOPS] }
approval: { channel: C0OPS }
digest: { channel: C0OPS }
`

const healthyPolicy = healthyRules + "apps: { shop: { probe: { domain: shop.acme.example } } }\n"

func newPatient(t *testing.T, m mistake) *patient {
	t.Helper()
	p := &patient{env: map[string]string{"ZDD_LEDGER_KEY": strings.Repeat("0123456789abcdef", 4)}, skewed: map[string]time.Duration{}, asleep: map[string]bool{}}
	p.leads("2606:4700::1")
	slackOptions, herokuOptions := simslack.Options{}, simheroku.Options{}
	if m.slackOptions != nil {
		slackOptions = m.slackOptions()
	}
	if m.fleet != "" {
		fleet, err := simheroku.LoadFleet(strings.NewReader(m.fleet))
		if err != nil {
			t.Fatal(err)
		}
		herokuOptions.Fleet = fleet
	}
	if m.herokuTokens != nil {
		herokuOptions.Tokens = m.herokuTokens
	}
	p.slack, p.heroku = simslack.New(slackOptions), simheroku.New(herokuOptions)
	serve := func(name string, sim http.Handler) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ahead, ok := p.skewed[name]; ok {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			}
			if p.asleep[name] && strings.HasPrefix(r.URL.Path, "/link/") {
				http.Error(w, "WebSockets are not for this network", http.StatusForbidden)
				return
			}
			sim.ServeHTTP(w, r)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	p.sim = &simulation{slackURL: serve("slack", p.slack), herokuURL: serve("heroku", p.heroku), client: http.DefaultClient, dir: t.TempDir(), policy: healthyPolicy}
	t.Cleanup(func() { p.slack.Close(); p.heroku.Close() })
	return p
}

func (p *patient) getenv(name string) string {
	if v, ok := p.env[name]; ok {
		return v
	}
	return p.sim.environment(name)
}

// leads has the domain that the policy has probed lead there.
func (p *patient) leads(address string) { p.names = map[string]string{"shop.acme.example": address} }

// lookup is the patient's DNS.
func (p *patient) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	switch text := p.names[host]; text {
	case "":
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case "away":
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}
	default:
		return []netip.Addr{netip.MustParseAddr("93.184.215.14"), netip.MustParseAddr(text)}, nil
	}
}

// do tells a simulator each of the lines.
func (p *patient) do(t *testing.T, url string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if _, err := p.sim.control(t.Context(), http.MethodPost, url+"/_control/do", line); err != nil {
			t.Fatal(err)
		}
	}
}

// apply does what a change says.
func (p *patient) apply(t *testing.T, c change) {
	t.Helper()
	p.do(t, p.sim.slackURL, c.slack...)
	p.do(t, p.sim.herokuURL, c.heroku...)
	maps.Copy(p.env, c.env)
	for _, name := range c.unset {
		delete(p.env, name)
	}
	if c.do != nil {
		c.do(t, p)
	}
}

// visit is what bot doctor --json says.
type visit struct {
	code     int
	Counts   map[condition]int
	Findings []found
	printed  string // by bot doctor, without --json
}

type found struct {
	Check string
	State condition
	Text  string
	Cure  []string
}

func (p *patient) visit(t *testing.T) (v visit) {
	t.Helper()
	var out, errs bytes.Buffer
	v.code = run(t.Context(), []string{"doctor", "--json"}, outside{Getenv: p.getenv, Stdout: &out, Stderr: &errs, Lookup: p.lookup})
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatalf("%v\n%s%s", err, &out, &errs)
	}
	var printed bytes.Buffer
	o := outside{Getenv: p.getenv, Stdout: &printed, Stderr: &printed, Lookup: p.lookup}
	if code := run(t.Context(), []string{"doctor"}, o); code != v.code {
		t.Errorf("got exit code %d, and %d with --json", code, v.code)
	}
	v.printed = printed.String()
	for _, secret := range []string{"hunter2", "HRKU-", "xoxb-simulated", "xoxb-wrong", "xapp-simulated", p.getenv("ZDD_LEDGER_KEY")} {
		for _, said := range []string{out.String(), errs.String(), strings.ReplaceAll(v.printed, "HRKU-…", "")} {
			if secret != "" && strings.Contains(strings.ReplaceAll(said, "HRKU-…", ""), secret) {
				t.Errorf("shows the secret %s", secret)
			}
		}
	}
	return v
}

// find is the finding of that check and text.
func (v visit) find(m mistake) (cure string, state condition, told bool) {
	for _, f := range v.Findings {
		if f.Check == m.check && f.Text == m.text {
			return strings.Join(f.Cure, "\n"), f.State, true
		}
	}
	return "", "", false
}

// Each planted mistake is found and told with its cure; once the cure is applied, it is
// told no more.
func TestDoctorFindsMistakes(t *testing.T) {
	for _, m := range mistakes() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, m)
			p.apply(t, m.given)
			before := p.visit(t)
			if _, _, told := before.find(m); told {
				t.Fatal("it is told before it is made")
			}
			p.apply(t, m.made)
			v := p.visit(t)
			cure, state, told := v.find(m)
			if !told {
				t.Fatalf("not found: %s: %s\n%s", m.check, m.text, v.printed)
			}
			if state != m.state || cure != m.cure {
				t.Errorf("got %s with the cure\n%s\nwant %s with\n%s", state, cure, m.state, m.cure)
			}
			wantCode := exitGood
			switch {
			case v.Counts[bad] > 0:
				wantCode = exitFindings
			case v.Counts[unclear] > 0:
				wantCode = exitUnknown
			}
			if v.code != wantCode {
				t.Errorf("got exit code %d, want %d\n%s", v.code, wantCode, v.printed)
			}
			line := fmt.Sprintf("  %-16s %s\n", m.check, m.text)
			for _, part := range append([]string{line}, strings.Split(m.cure, "\n")...) {
				if !strings.Contains(v.printed, part) {
					t.Errorf("lacks the line %q\n%s", part, v.printed)
				}
			}
			p.apply(t, m.cured)
			after := p.visit(t)
			if _, _, told := after.find(m); told {
				t.Errorf("it is still told after its cure\n%s", after.printed)
			}
			if n, was := after.Counts, before.Counts; n[bad] != was[bad] || n[warning] != was[warning] || n[unclear] != was[unclear] {
				t.Errorf("got %v after the cure, want %v as before the mistake\n%s", n, was, after.printed)
			}
		})
	}
}

// Where all is well the doctor says so of every examination.
func TestDoctorAllWell(t *testing.T) {
	p := newPatient(t, mistake{})
	v := p.visit(t)
	if v.code != exitGood || v.Counts[bad]+v.Counts[unclear]+v.Counts[warning] > 0 {
		t.Errorf("got exit code %d and %v, want all to be well\n%s", v.code, v.Counts, v.printed)
	}
	for _, e := range examinations() {
		if !slices.ContainsFunc(v.Findings, func(f found) bool { return f.Check == e.ID }) {
			t.Errorf("%s is not told", e.ID)
		}
	}
	if files, err := os.ReadDir(p.sim.dir); err != nil || len(files) > 0 {
		t.Errorf("got files %v, %v: the doctor made them", files, err)
	}
	for _, c := range p.heroku.Calls() {
		if c.Method != http.MethodGet && !strings.Contains(c.Path, string(nobodysApp)) {
			t.Errorf("the doctor sent %s %s", c.Method, c.Path)
		}
	}
	if got := p.slack.Links(); got != 0 {
		t.Errorf("got %d links left open", got)
	}
}

// Every examination has a mistake that it is tested to find, and every scope that is
// needed is one of the manifest's.
func TestDoctorIsWhole(t *testing.T) {
	for _, e := range examinations() {
		if !slices.ContainsFunc(mistakes(), func(m mistake) bool { return m.check == e.ID }) {
			t.Errorf("no mistake is planted for %s", e.ID)
		}
	}
	names := map[string]bool{}
	for _, m := range mistakes() {
		if names[m.name] {
			t.Errorf("two mistakes are called %q", m.name)
		}
		names[m.name] = true
		if !slices.ContainsFunc(examinations(), func(e looksAt) bool { return e.ID == m.check }) {
			t.Errorf("%s: there is no examination %s", m.name, m.check)
		}
	}
	manifest, err := os.ReadFile("../../manifest.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range scopesNeeded() {
		if !strings.Contains(string(manifest), "- "+scope+" #") {
			t.Errorf("manifest.yml does not ask for %s", scope)
		}
	}
}

// docs/doctor.md is made of what the doctor looks at and of the mistakes above.
func TestDoctorDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The doctor\n\n<!-- Made by go test ./cmd/bot -run TestDoctorDocument -update; edit the Go tables instead. -->\n\n" +
		"`bot doctor` looks at all that the bot needs and says how to mend what is wrong. Run it where the bot runs, with the bot's own environment: `heroku run bot doctor --app …` on Heroku. " +
		"It changes nothing on Heroku, in Slack or in the database. To tell whether the Heroku key may change apps it asks to switch a feature of an app that does not exist. " +
		"It holds a Socket Mode link for a moment; a command that Slack hands to it just then times out for whoever typed it, and does nothing.\n\n" +
		"What is wrong comes first, then what could not be told, what to think about, and what is fine, each with the name of its examination. " +
		"`--json` is for programs. Exit codes: 0 nothing is wrong, 3 something is, 4 something could not be told.\n\n" +
		"What it can't tell: whether `/zdd` is registered in the app (Slack shows that to nobody but you: *Slash Commands* in the app's settings; `manifest.yml` registers it), and whether a machine that it does not run on has the same environment.\n\n" +
		"| examination | looks at |\n|---|---|\n")
	for _, e := range examinations() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.ID, e.What)
	}
	b.WriteString("\nBelow is what it is tested to find: what it says, and the cure that it prints.\n")
	for _, e := range examinations() {
		fmt.Fprintf(&b, "\n## `%s`\n", e.ID)
		for _, m := range mistakes() {
			if m.check == e.ID {
				fmt.Fprintf(&b, "\n**%s** (%s)\n\n```\n%s\n", m.name, m.state, m.text)
				for line := range strings.Lines(m.cure) {
					fmt.Fprintf(&b, "→ %s\n", strings.TrimRight(line, "\n"))
				}
				b.WriteString("```\n")
			}
		}
	}
	file := filepath.Join("..", "..", "docs", "doctor.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/doctor.md is not current: run go test ./cmd/bot -run TestDoctorDocument -update")
	}
}

// links opens so many Socket Mode links, as other bots would, and closes those of before.
func (p *patient) links(t *testing.T, n int) {
	t.Helper()
	for _, conn := range p.open {
		_ = conn.Close() // the simulator may have been quicker
	}
	p.open = nil
	for {
		conn, others := p.link(t)
		if others == len(p.open) { // those of before are gone
			p.open = append(p.open, conn)
		} else {
			_ = conn.Close()
		}
		if len(p.open) > n {
			_ = conn.Close()
			p.open = p.open[:n]
			break
		}
	}
	for p.slack.Links() != n {
		time.Sleep(time.Millisecond)
	}
}

// link opens one, and says how many others there are.
func (p *patient) link(t *testing.T) (conn *websocket.Conn, others int) {
	t.Helper()
	_, address, err := slack.New("", slack.OptionAppLevelToken(simslack.DefaultAppToken), slack.OptionAPIURL(p.sim.slackURL+"/api/")).StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err = websocket.DefaultDialer.DialContext(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	var hello struct {
		Connections int `json:"num_connections"`
	}
	if err := conn.ReadJSON(&hello); err != nil {
		t.Fatal(err)
	}
	return conn, hello.Connections - 1
}

// elsewhere has the links opened at another Slack app than the rest.
func (p *patient) elsewhere(t *testing.T, o simslack.Options) {
	t.Helper()
	other := simslack.New(o)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/apps.connections.open" || strings.HasPrefix(r.URL.Path, "/link/") {
			other.ServeHTTP(w, r)
			return
		}
		p.slack.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { other.Close(); server.Close() })
	p.env["SLACK_API_URL"] = server.URL + "/api/"
}

// database is where the simulated bot keeps its state.
func (p *patient) database() store.Options {
	return store.Options{Path: filepath.Join(p.sim.dir, "zdd.db"), LedgerKey: ledger.NewKey(p.getenv("ZDD_LEDGER_KEY"))}
}

// migrated is what a newer bot leaves behind: a schema, and what statement does to it.
func (p *patient) migrated(t *testing.T, statement string) {
	t.Helper()
	s, err := store.Open(t.Context(), p.database())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(t.Context(), statement)
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// sealed writes one entry into the ledger.
func (p *patient) sealed(t *testing.T) {
	t.Helper()
	o := p.database()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Tx(t.Context(), func(tx *sql.Tx) error {
		_, err := s.AppendLedger(t.Context(), tx, o.LedgerKey, ledger.Entry{At: time.UnixMilli(1785000000000), Actor: ledger.Bot, Verb: ledger.PolicyLoaded, Detail: []byte(`{}`)})
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// refusingPostgres speaks PostgreSQL just long enough to refuse with a code of its own.
func refusingPostgres(t *testing.T, code, message string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			refuse(conn, code, message)
		}
	}()
	return "postgres://zdd:hunter2@" + listener.Addr().String() + "/zdd"
}

func refuse(conn net.Conn, code, message string) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // a client that hangs is none of ours
	backend := pgproto3.NewBackend(conn, conn)
	for {
		first, err := backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		switch first.(type) {
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
		default:
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: message})
			_ = backend.Flush() // a client that has gone misses it
			return
		}
	}
}
