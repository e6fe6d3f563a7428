// Package manifest has no code, only tests: they hold the files that set the bot up
// elsewhere (manifest.yml at Slack, app.json and Procfile at Heroku) against what the
// bot does. They can't tell whether Slack or Heroku takes the files: manifest.yml was
// held against Slack's JSON Schemas (github.com/slackapi/manifest-schema) by hand.
package manifest

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/slack-go/slack"
)

const root = "../.."

// methods are the Web API methods that the bot may call, by the name of slack-go's
// method without its "Context", and by Slack's own name: the bot scopes that each
// needs for what the bot does with it. From Slack's page of each method. A method
// that is not here fails the test when it is called, so that somebody looks it up.
func methods() map[string][]string {
	needs := map[string][]string{
		"auth.test":                    {},
		"chat.getPermalink":            {},
		"chat.delete":                  {"chat:write"},
		"chat.postEphemeral":           {"chat:write"},
		"chat.postMessage":             {"chat:write", "chat:write.public"},
		"bots.info":                    {"users:read"},
		"chat.update":                  {"chat:write"},
		"conversations.history":        {"channels:history", "groups:history", "im:history"},
		"conversations.info":           {"channels:read", "groups:read"},
		"conversations.open":           {"im:write"},
		"conversations.replies":        {"channels:history", "groups:history", "im:history"},
		"files.completeUploadExternal": {"files:write"},
		"files.getUploadURLExternal":   {"files:write"},
		"usergroups.list":              {"usergroups:read"},
		"usergroups.users.list":        {"usergroups:read"},
		"users.info":                   {"users:read"},
		"views.open":                   {},
		"views.publish":                {},
		"views.push":                   {},
		"views.update":                 {},
		"apps.connections.open":        {}, // connections:write, of the app-level token
	}
	for slackGo, name := range map[string]string{
		"AuthTest":               "auth.test",
		"GetBotInfo":             "bots.info",
		"GetPermalink":           "chat.getPermalink",
		"DeleteMessage":          "chat.delete",
		"PostEphemeral":          "chat.postEphemeral",
		"PostMessage":            "chat.postMessage",
		"SendMessage":            "chat.postMessage",
		"UpdateMessage":          "chat.update",
		"GetConversationHistory": "conversations.history",
		"GetConversationInfo":    "conversations.info",
		"OpenConversation":       "conversations.open",
		"GetConversationReplies": "conversations.replies",
		"CompleteUploadExternal": "files.completeUploadExternal",
		"GetUploadURLExternal":   "files.getUploadURLExternal",
		"UploadFile":             "files.completeUploadExternal",
		"GetUserGroups":          "usergroups.list",
		"GetUserGroupMembers":    "usergroups.users.list",
		"GetUserInfo":            "users.info",
		"OpenView":               "views.open",
		"PublishView":            "views.publish",
		"PushView":               "views.push",
		"UpdateView":             "views.update",
		"StartSocketMode":        "apps.connections.open",
	} {
		needs[slackGo] = needs[name]
	}
	return needs
}

// listeners are what the bot hears, and the scope that each needs.
func listeners() map[string]string {
	return map[string]string{
		"app_home_opened": "",
		"app_mention":     "app_mentions:read",
		"message.im":      "im:history",
	}
}

func readManifest(t *testing.T) (slack.Manifest, string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "manifest.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var m slack.Manifest
	if err := yaml.UnmarshalWithOptions(text, &m, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return m, string(text)
}

func TestDecodeIsStrict(t *testing.T) {
	_, text := readManifest(t)
	var m slack.Manifest
	for _, more := range []string{"surprise: 1\n", "display_information: {name: twice}\n"} {
		if err := yaml.UnmarshalWithOptions([]byte(text+more), &m, yaml.Strict()); err == nil {
			t.Errorf("took %q without a word", more)
		}
	}
}

// TestSettings looks at what the bot can't work without.
func TestSettings(t *testing.T) {
	m, _ := readManifest(t)
	if !m.Settings.SocketModeEnabled {
		t.Error("Socket Mode is off")
	}
	if m.Settings.Interactivity == nil || !m.Settings.Interactivity.IsEnabled {
		t.Error("interactivity is off: no button would do anything")
	}
	if home := m.Features.AppHome; !home.HomeTabEnabled || !home.MessagesTabEnabled || home.MessagesTabReadOnlyEnabled {
		t.Errorf("got %+v, want a Home tab, which the bot draws, and a Messages tab that people can write in", home)
	}
	if m.Features.BotUser.DisplayName == "" {
		t.Error("there is no bot user, so no bot token")
	}
	if m.Settings.TokenRotationEnabled {
		t.Error("tokens would expire after twelve hours")
	}
	if len(m.Features.SlashCommands) != 1 {
		t.Fatalf("got %d slash commands, want /zdd only", len(m.Features.SlashCommands))
	}
	command := m.Features.SlashCommands[0]
	if command.Command != "/zdd" || !command.ShouldEscape || command.Url != "" {
		t.Errorf("got %+v, want /zdd, escaped, without a URL", command)
	}
	shortcuts := m.Features.Shortcuts
	if len(shortcuts) != 1 || shortcuts[0].CallbackID != "zdd_check" || shortcuts[0].Type != slack.MessageShortcut {
		t.Fatalf("got shortcuts %+v, want zdd_check on messages", shortcuts)
	}
	source, err := os.ReadFile(filepath.Join(root, "chat", "form.go"))
	if err != nil || !bytes.Contains(source, []byte(strconv.Quote(shortcuts[0].CallbackID))) {
		t.Errorf("nothing in chat hears of %s (%v)", shortcuts[0].CallbackID, err)
	}
	// Slack's limits of what people see, from its schema.
	for _, c := range []struct {
		what     string
		text     string
		min, max int
	}{
		{"name", m.Display.Name, 1, 35},
		{"description", m.Display.Description, 1, 140},
		{"long description", m.Display.LongDescription, 175, 4000},
		{"command's description", command.Description, 1, 2000},
		{"shortcut's name", shortcuts[0].Name, 1, 24},
		{"shortcut's description", shortcuts[0].Description, 1, 150},
		{"shortcut's callback", shortcuts[0].CallbackID, 1, 255},
	} {
		if n := len([]rune(c.text)); n < c.min || n > c.max {
			t.Errorf("%s has %d characters, want %d to %d", c.what, n, c.min, c.max)
		}
	}
}

// TestScopes wants each scope once, in order, with a reason behind it in the file,
// and needed by something that the bot calls or hears. A scope for what a later
// version calls has to be in methods.
func TestScopes(t *testing.T) {
	m, text := readManifest(t)
	scopes := m.OAuthConfig.Scopes
	if !slices.IsSorted(scopes.Bot) || len(slices.Compact(slices.Clone(scopes.Bot))) != len(scopes.Bot) {
		t.Errorf("the scopes are not in order, or not each once: %v", scopes.Bot)
	}
	if len(scopes.User) > 0 || len(scopes.UserOptional) > 0 {
		t.Errorf("the bot acts as itself, never as a person: %v", scopes.User)
	}
	needed := map[string]bool{"commands": len(m.Features.SlashCommands)+len(m.Features.Shortcuts) > 0}
	for _, list := range methods() {
		for _, scope := range list {
			needed[scope] = true
		}
	}
	for _, event := range m.Settings.EventSubscriptions.BotEvents {
		scope, known := listeners()[event]
		if !known {
			t.Errorf("event %s is not in the table of listeners", event)
		}
		if scope != "" && !slices.Contains(scopes.Bot, scope) {
			t.Errorf("event %s needs the scope %s", event, scope)
		}
		needed[scope] = true
	}
	for event := range listeners() {
		if !slices.Contains(m.Settings.EventSubscriptions.BotEvents, event) {
			t.Errorf("event %s is not subscribed to", event)
		}
	}
	for _, scope := range scopes.Bot {
		if !needed[scope] {
			t.Errorf("nothing needs the scope %s", scope)
		}
		reason := regexp.MustCompile(`(?m)^ +- ` + regexp.QuoteMeta(scope) + ` # (.{5,})$`)
		if !reason.MatchString(text) {
			t.Errorf("the scope %s has no reason behind it", scope)
		}
	}
	for _, scope := range scopes.BotOptional {
		if !slices.Contains(scopes.Bot, scope) {
			t.Errorf("the optional scope %s is missing among all of them", scope)
		}
	}
}

// A call is one to the Web API, found in the source.
type call struct{ at, name string }

var webMethod = regexp.MustCompile(`^(api|apps|auth|bots|chat|conversations|files|oauth|pins|reactions|reminders|team|usergroups|users|views)(\.[a-zA-Z]+)+$`)

// calls finds the calls in one Go file: of a method of slack-go's client that takes a
// context, under its own name, whatever it is called on (an interface of ours may
// stand in between), and, for requests that are made by hand, every string that is a
// method's name as Slack writes it.
func calls(t *testing.T, name string, text []byte) (found []call) {
	t.Helper()
	client := reflect.TypeFor[*slack.Client]()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		at := func() string { return fset.Position(n.Pos()).String() }
		switch n := n.(type) {
		case *ast.SelectorExpr:
			method, cut := strings.CutSuffix(n.Sel.Name, "Context")
			if _, ok := client.MethodByName(n.Sel.Name); ok && cut {
				found = append(found, call{at(), method})
			}
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && webMethod.MatchString(s) {
				found = append(found, call{at(), s})
			}
		}
		return true
	})
	return found
}

// TestCalls wants a scope in the manifest for every call that the bot makes.
func TestCalls(t *testing.T) {
	m, _ := readManifest(t)
	known := methods()
	seen := map[string]bool{}
	for _, dir := range []string{"chat", "cmd/bot"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("found no source in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range calls(t, name, text) {
				seen[c.name] = true
				needs, ok := known[c.name]
				if !ok {
					t.Errorf("%s: %s is not in the table of methods: add it with the scopes it needs", c.at, c.name)
				}
				for _, scope := range needs {
					if !slices.Contains(m.OAuthConfig.Scopes.Bot, scope) {
						t.Errorf("%s: %s needs the scope %s, which manifest.yml does not ask for", c.at, c.name, scope)
					}
				}
			}
		}
	}
	if !seen["PostMessage"] && !seen["SendMessage"] && !seen["chat.postMessage"] {
		t.Errorf("found no call that posts a message: the scan is blind (%v)", slices.Sorted(maps.Keys(seen)))
	}
}

func TestCallsAreFound(t *testing.T) {
	got := calls(t, "a.go", []byte(`package a
func f() {
	_, _, _ = b.api.PostMessageContext(ctx, "C1")
	do := w.UpdateMessageContext
	_ = raw(ctx, "conversations.info")
	_ = exec.CommandContext(ctx, "chat.go is a file", "users")
	_ = b.PostMessage(ctx)
}`))
	var names []string
	for _, c := range got {
		names = append(names, c.name)
	}
	if want := []string{"PostMessage", "UpdateMessage", "conversations.info"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

// TestMethodsExist keeps the table to what slack-go has.
func TestMethodsExist(t *testing.T) {
	client := reflect.TypeFor[*slack.Client]()
	for name := range methods() {
		if strings.Contains(name, ".") {
			continue
		}
		if _, ok := client.MethodByName(name + "Context"); !ok {
			t.Errorf("slack-go has no %sContext", name)
		}
	}
}

// app is app.json as Heroku describes it (Dev Center, "app.json Schema").
type app struct {
	Name        string                  `json:"name"`
	Description string                  `json:"description"`
	Keywords    []string                `json:"keywords"`
	Buildpacks  []struct{ URL string }  `json:"buildpacks"`
	Addons      []struct{ Plan string } `json:"addons"`
	Formation   map[string]process      `json:"formation"`

	Env map[string]variable `json:"env"`
}

type process struct {
	Quantity int    `json:"quantity"`
	Size     string `json:"size"`
}

type variable struct {
	Description string `json:"description"`
	Value       string `json:"value"`
	Required    *bool  `json:"required"`
	Generator   string `json:"generator"`
}

// TestHeroku holds app.json against Procfile and against what the bot reads.
func TestHeroku(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "app.json"))
	if err != nil {
		t.Fatal(err)
	}
	var a app
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&a); err != nil {
		t.Fatal(err)
	}
	procfile, err := os.ReadFile(filepath.Join(root, "Procfile"))
	if err != nil {
		t.Fatal(err)
	}
	// The Go buildpack puts the program of cmd/bot into bin, which is on PATH.
	if got, want := string(procfile), "worker: bot serve\n"; got != want {
		t.Errorf("Procfile: got %q, want %q", got, want)
	}
	// More than one works too, but the button makes the smallest that does; an Eco
	// dyno would sleep through the night.
	if want := map[string]process{"worker": {1, "basic"}}; !maps.Equal(a.Formation, want) {
		t.Errorf("formation: got %v, want %v", a.Formation, want)
	}
	if len(a.Addons) != 1 || !strings.HasPrefix(a.Addons[0].Plan, "heroku-postgresql:") {
		t.Errorf("add-ons: got %v, want a database: a dyno's disk is lost at each restart", a.Addons)
	}
	if len(a.Buildpacks) != 1 || a.Buildpacks[0].URL != "heroku/go" {
		t.Errorf("buildpacks: got %v, want heroku/go", a.Buildpacks)
	}

	config, err := os.ReadFile(filepath.Join(root, "cmd", "bot", "config.go"))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range a.Env {
		if v.Description == "" {
			t.Errorf("%s has no description", name)
		}
		// The ledger's key is made on the first day, so that the first entry can be
		// sealed; the ledger comes later.
		if name != "ZDD_LEDGER_KEY" && !bytes.Contains(config, []byte(strconv.Quote(name))) {
			t.Errorf("the bot does not read %s", name)
		}
	}
	for _, name := range []string{"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "HEROKU_API_KEY"} {
		if v, ok := a.Env[name]; !ok || v.Required != nil && !*v.Required {
			t.Errorf("%s has to be asked for: the bot does not start without it", name)
		}
	}
	if got := a.Env["ZDD_LEDGER_KEY"].Generator; got != "secret" {
		t.Errorf("ZDD_LEDGER_KEY: got generator %q, want secret", got)
	}
}
