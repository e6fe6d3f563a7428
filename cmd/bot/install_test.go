//go:build unix

package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/zdd/internal/pgtest"
	"example.com/zdd/policy"
	simheroku "example.com/zdd/sim/heroku"
	simslack "example.com/zdd/sim/slack"
)

// root is the module's folder.
const root = "../.."

func readRepository(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fences are the fenced blocks of a document that begin with opening.
func fences(text, opening string) (all []string) {
	for _, rest := range strings.Split(text, opening)[1:] {
		body, _, _ := strings.Cut(rest, "\n```")
		all = append(all, strings.TrimLeft(body, "\n"))
	}
	return all
}

// TestInstall walks through docs/install.md as a stranger would, from the build to the
// answer to /zdd status, with simulators for the two services: on a machine with the
// unit's environment file, and as a Heroku dyno runs it with what app.json asks for.
func TestInstall(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the program as a release is built")
	}
	t.Parallel()
	w := newInstallation(t)
	tested := fences(readRepository(t, "docs/install.md"), "<!-- tested -->\n```")
	run := func(containing string) string {
		t.Helper()
		i := slices.IndexFunc(tested, func(s string) bool { return strings.Contains(s, containing) })
		if i < 0 {
			t.Fatalf("docs/install.md has no tested block with %q", containing)
		}
		block := tested[i]
		tested = slices.Delete(tested, i, i+1)
		return w.shell(t, block)
	}
	key := strings.TrimSpace(run("openssl"))
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(key) {
		t.Errorf("got key %q, want 64 hex digits", key)
	}
	if said := run("go build"); !strings.HasPrefix(said, "zdd ") {
		t.Errorf("got %q, want the version", said)
	}
	staticProgram(t, filepath.Join(w.dir, "bot"))

	env := w.fillIn(t, readRepository(t, "deploy/zdd.env.example"), map[string]string{
		"SLACK_BOT_TOKEN": simslack.DefaultBotToken, "SLACK_APP_TOKEN": simslack.DefaultAppToken, "HEROKU_API_KEY": simheroku.DefaultToken, "ZDD_LEDGER_KEY": key,
	})
	yaml := fences(readRepository(t, "docs/install.md"), "```yaml")[0]
	if err := os.WriteFile(filepath.Join(w.dir, "zdd.yml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "zdd.env"), []byte(strings.Join(env, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("machine", func(t *testing.T) {
		if said := run("bot doctor"); !strings.Contains(said, "\n0 wrong, 0 unknown, 0 to think about") {
			t.Errorf("got %s", said)
		}
		w.askStatus(t, []string{filepath.Join(w.dir, "bot"), "serve"}, append(env, "ZDD_POLICY=zdd.yml"))
	})
	t.Run("dyno", func(t *testing.T) {
		env := w.appJSON(t, key, yaml)
		env = append(env, "DATABASE_URL="+pgtest.URL(t), "DYNO=worker.1")
		worker, found := strings.CutPrefix(readRepository(t, "Procfile"), "worker: ")
		command := strings.Fields(worker)
		if !found || len(command) != 2 || command[0] != "bot" {
			t.Fatalf("got Procfile %q, want the worker to run a program of cmd", worker)
		}
		command[0] = filepath.Join(w.dir, command[0]) // the buildpack's folder, which is on PATH there
		said, code := w.execute(t, append(command[:1:1], "doctor"), env)
		if code != exitGood || !strings.Contains(said, "by ZDD_SELF_APP and will never change it") {
			t.Errorf("got exit code %d\n%s", code, said)
		}
		w.askStatus(t, command, env)
	})
	if len(tested) > 0 {
		t.Errorf("docs/install.md says of this that it is tested, and it is not: %q", tested)
	}
}

// installation is a machine with nothing on it but a checkout, and both services.
type installation struct {
	dir    string
	slack  *simslack.Server
	heroku *simheroku.Server
	places []string // the variables that name the simulators
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	fleet, err := simheroku.LoadFleet(strings.NewReader("team acme\napp shop team=acme web=1 size=standard-1x\napp my-zdd owner=ops@acme.example worker=1 size=basic\n"))
	if err != nil {
		t.Fatal(err)
	}
	w := &installation{dir: t.TempDir(), slack: simslack.New(simslack.Options{Strict: true}), heroku: simheroku.New(simheroku.Options{Fleet: fleet})}
	slack, heroku := httptest.NewServer(w.slack), httptest.NewServer(w.heroku)
	t.Cleanup(func() { w.slack.Close(); w.heroku.Close(); slack.Close(); heroku.Close() })
	w.places = []string{"SLACK_API_URL=" + slack.URL + "/api/", "HEROKU_API_URL=" + heroku.URL, "HEROKU_METRICS_URL=" + heroku.URL}
	return w
}

// shell runs a block of commands in the checkout, where what it makes goes elsewhere.
func (w *installation) shell(t *testing.T, block string) (said string) {
	t.Helper()
	block = strings.NewReplacer("-o bot", "-o "+w.dir+"/bot", "./bot", w.dir+"/bot", "./zdd.env", w.dir+"/zdd.env").Replace(block)
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", block)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), w.places...)
	cmd.Env = append(cmd.Env, "ZDD_POLICY="+w.dir+"/zdd.yml", "DATABASE_URL=sqlite:"+w.dir+"/zdd.db")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", block, err, out)
	}
	return string(out)
}

// fillIn gives an environment file its values, as its reader does.
func (w *installation) fillIn(t *testing.T, text string, values map[string]string) (env []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(strings.TrimPrefix(line, "#"), "=")
		switch {
		case strings.HasPrefix(line, "#") && (!found || strings.Contains(name, " ")): // words
		case !strings.HasPrefix(line, "#") && found:
			if values[name] == "" {
				t.Errorf("%s has to be filled in, and docs/install.md does not say with what", name)
			}
			if prefix := strings.TrimSuffix(value, "…"); !strings.HasPrefix(values[name], prefix) {
				t.Errorf("%s looks like %s in the example, and the right one does not", name, value)
			}
			env = append(env, name+"="+values[name])
		case line != "" && !found:
			t.Errorf("%q is no line of an environment file", line)
		}
	}
	if len(env) != len(values) {
		t.Errorf("got %d variables to fill in, want %d", len(env), len(values))
	}
	return env
}

// appJSON is what a person fills in on the page of the Heroku button, and what that makes.
func (w *installation) appJSON(t *testing.T, key, yaml string) (env []string) {
	t.Helper()
	var app struct {
		Env map[string]struct {
			Description string
			Required    *bool
			Generator   string
		}
		Formation map[string]struct {
			Quantity int
			Size     string
		}
		Addons     []struct{ Plan string }
		Buildpacks []struct{ URL string }
	}
	if err := json.Unmarshal([]byte(readRepository(t, "app.json")), &app); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{
		"SLACK_BOT_TOKEN": simslack.DefaultBotToken, "SLACK_APP_TOKEN": simslack.DefaultAppToken, "HEROKU_API_KEY": simheroku.DefaultToken,
		"ZDD_POLICY_YAML": yaml, "ZDD_SELF_APP": "my-zdd",
	}
	for name, asked := range app.Env {
		switch {
		case asked.Description == "":
			t.Errorf("app.json does not say what %s is", name)
		case asked.Generator == "secret":
			env = append(env, name+"="+key)
		case values[name] == "":
			t.Errorf("app.json asks for %s, and nobody knows it", name)
		default:
			env = append(env, name+"="+values[name])
			delete(values, name)
		}
	}
	if len(values) > 0 {
		t.Errorf("app.json does not ask for %v", values)
	}
	if f := app.Formation["worker"]; len(app.Formation) != 1 || f.Quantity != 1 || f.Size != "basic" {
		t.Errorf("got formation %v, want one worker that does not sleep", app.Formation)
	}
	if len(app.Addons) != 1 || !strings.HasPrefix(app.Addons[0].Plan, "heroku-postgresql:") || len(app.Buildpacks) != 1 || app.Buildpacks[0].URL != "heroku/go" {
		t.Errorf("got add-ons %v and buildpacks %v", app.Addons, app.Buildpacks)
	}
	return env
}

// execute runs a program to its end.
func (w *installation) execute(t *testing.T, command, env []string) (said string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env = w.dir, slices.Concat(env, w.places)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// askStatus starts the bot, has a person ask it for an app's status, and stops it.
func (w *installation) askStatus(t *testing.T, command, env []string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, slices.Concat(env, w.places), &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }() // its state tells how it ended
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-gone
		if code := cmd.ProcessState.ExitCode(); code != exitGood {
			t.Errorf("got exit code %d after SIGTERM\n%s", code, &log)
		}
	}()
	until := time.Now().Add(seenWithin) // bounds a test that fails, and nothing else: others build and deploy meanwhile
	seen := len(w.slack.Events())
	s := &simulation{client: http.DefaultClient}
	for asked := false; ; time.Sleep(look) {
		select {
		case <-gone:
			t.Errorf("the bot ended by itself")
			return
		default:
		}
		if time.Now().After(until) {
			t.Errorf("nobody has answered; asked: %v", asked)
			return
		}
		if !asked && w.slack.Links() > 0 {
			asked = true
			address := strings.TrimSuffix(strings.TrimPrefix(w.places[0], "SLACK_API_URL="), "/api/")
			if _, err := s.control(t.Context(), "POST", address+"/_control/do", "type requester #general /zdd status shop"); err != nil {
				t.Error(err)
				return
			}
		}
		for _, e := range w.slack.Events()[seen:] {
			if e.To == "requester" && strings.Contains(e.Text, "shop: not ready") {
				return
			}
		}
	}
}

// staticProgram wants a program that needs nothing of its machine.
func staticProgram(t *testing.T, file string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	program, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program wants a dynamic linker: an image made from scratch has none")
		}
	}
}

// The Dockerfile builds what docs/install.md builds, and its result runs as nobody.
func TestDockerfile(t *testing.T) {
	dockerfile := readRepository(t, "Dockerfile")
	build := fences(readRepository(t, "docs/install.md"), "<!-- tested -->\n```")
	line := "RUN " + strings.Replace(strings.SplitN(build[1], "\n", 2)[0], "-o bot", "-o /out/bot", 1) + "\n"
	if !strings.Contains(dockerfile, line) {
		t.Errorf("the Dockerfile does not build as docs/install.md does: %s", line)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readRepository(t, "go.mod"))
	if version == nil || !strings.Contains(dockerfile, "FROM golang:"+version[1]+"-") {
		t.Errorf("the Dockerfile does not build with Go %v of go.mod", version)
	}
	_, last, _ := strings.Cut(dockerfile, "\nFROM scratch\n")
	for _, want := range []string{"/etc/ssl/certs/ca-certificates.crt", "USER 65532:65532", `ENTRYPOINT ["/bot"]`} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %s", want)
		}
	}
}

// The unit is one that systemd understands, and shuts the bot off from what it does not need.
func TestSystemdUnit(t *testing.T) {
	unit := readRepository(t, "deploy/zdd.service")
	install := readRepository(t, "docs/install.md")
	for _, path := range []string{"/opt/zdd/bot", "/etc/zdd/zdd.env", "/etc/zdd/zdd.yml"} {
		if !strings.Contains(unit, path) || !strings.Contains(install, path) {
			t.Errorf("%s is not in both the unit and docs/install.md", path)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	program, err := os.Executable() // verify wants what it starts to be there
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "zdd.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(unit, "/opt/zdd/bot", program)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	const most = 20 // tenths: "OK" begins at 4.1 and below; a unit without any of its settings has 9.6
	if out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", fmt.Sprintf("--threshold=%d", most), file).CombinedOutput(); err != nil && !strings.Contains(string(out), "unrecognized option") {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// What people are told to set are variables that the bot reads, and what they are told to
// look at is there.
func TestInstallationDocuments(t *testing.T) {
	known := []string{"HEROKU_APP_ID", "HEROKU_APP_NAME", "DYNO"} // Heroku sets them
	for _, s := range settings() {
		known = append(known, s.Name)
	}
	variable := regexp.MustCompile(`\b(?:SLACK|HEROKU|ZDD|DATABASE|LOG)_[A-Z_]+\b|\bPORT\b`)
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for _, name := range []string{"docs/install.md", "docs/upgrade.md", "docs/doctor.md", "deploy/zdd.env.example", "deploy/zdd.service", "Dockerfile", "app.json", "README.md"} {
		text := readRepository(t, name)
		for _, v := range variable.FindAllString(text, -1) {
			if !slices.Contains(known, v) {
				t.Errorf("%s names the variable %s, which the bot does not read", name, v)
			}
		}
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(l[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), l[1])); err != nil {
				t.Errorf("%s links to %s: %v", name, l[1], err)
			}
		}
		for i, yaml := range fences(text, "```yaml") {
			if _, err := policy.Parse(name, []byte(yaml)); err != nil {
				t.Errorf("%s, YAML %d: %v", name, i+1, err)
			}
		}
	}
}
