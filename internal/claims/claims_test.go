// Package claims has no code, only tests: they hold docs/security.md and docs/operations.md
// to the code, both ways. What the documents name has to exist, and what they promise to
// name whole (tables, scopes, secrets, metrics, errors in the log) has to be named. They
// can't tell whether a test that a claim names holds that claim: a reviewer can.
package claims

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/goccy/go-yaml"
)

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A source is one Go file of the module.
type source struct {
	*ast.File
	name string // path from the module's root, with slashes
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// sources parses the module's Go files, those of other modules within it left out.
func sources(t *testing.T) (all []source) {
	t.Helper()
	tree := os.DirFS(root)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case d.IsDir() && name != ".":
			if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil || base[0] == '.' || base == "testdata" || base == "node_modules" {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		all = append(all, source{f, name})
		return err
	})
	if err != nil || len(all) < 100 {
		t.Fatalf("read %d Go files, %v: looked in the wrong place", len(all), err)
	}
	return all
}

// A table of a document.
type table struct {
	section string // the heading above it
	head    []string
	rows    [][]string
}

// tables finds a document's tables. A cell holds no pipe.
func tables(doc string) (all []table) {
	section, inside := "", false
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			section = title
		}
		if !strings.HasPrefix(line, "|") {
			inside = false
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		switch {
		case !inside:
			all, inside = append(all, table{section: section, head: cells}), true
		case strings.Trim(cells[0], "-: ") == "" && len(all[len(all)-1].rows) == 0:
		default:
			last := &all[len(all)-1]
			last.rows = append(last.rows, cells)
		}
	}
	return all
}

// column is the first column of every table whose first heading is that: what is in
// backticks there, or else the words, with a comma between several.
func column(doc, head string) (names []string) {
	for _, tb := range tables(doc) {
		if tb.head[0] != head {
			continue
		}
		for _, row := range tb.rows {
			if !strings.HasPrefix(row[0], "`") {
				names = append(names, strings.Split(row[0], ", ")...)
				continue
			}
			for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[0], -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// differ says what one list has and the other has not.
func differ(t *testing.T, what string, documented, real []string) {
	t.Helper()
	for _, name := range real {
		if !slices.Contains(documented, name) {
			t.Errorf("%s %s is not described", what, name)
		}
	}
	for i, name := range documented {
		switch {
		case !slices.Contains(real, name):
			t.Errorf("%s %s is described and does not exist", what, name)
		case slices.Contains(documented[:i], name):
			t.Errorf("%s %s is described twice", what, name)
		}
	}
	if len(real) == 0 {
		t.Errorf("found no %s at all: the search is blind", what)
	}
}

var (
	testRef  = regexp.MustCompile("`([a-z][a-z/]*)\\.((?:Test|Fuzz|test)[A-Z]\\w*)`")
	storyRef = regexp.MustCompile("`([a-z0-9-]+\\.txt)`")
)

// references are the tests and stories that a text names, as package.Test or name.txt.
func references(text string) (refs []string) {
	for _, m := range testRef.FindAllStringSubmatch(text, -1) {
		refs = append(refs, m[1]+"."+m[2])
	}
	for _, m := range storyRef.FindAllStringSubmatch(text, -1) {
		if m[1] != "name.txt" { // how they are written
			refs = append(refs, m[1])
		}
	}
	return refs
}

// unheld are a line for each reference to what does not exist, and for each claim in a
// table "claim | held by" that refers to nothing and does not say why.
func unheld(doc string, exists map[string]bool) (wrong []string) {
	for _, ref := range references(doc) {
		if !exists[ref] {
			wrong = append(wrong, ref+" does not exist")
		}
	}
	for _, tb := range tables(doc) {
		if !slices.Equal(tb.head, []string{"claim", "held by"}) {
			continue
		}
		for _, row := range tb.rows {
			if len(row) != 2 || len(references(row[1])) == 0 && !strings.HasPrefix(row[1], "not tested: ") {
				wrong = append(wrong, fmt.Sprintf("nothing holds the claim %q", row[0]))
			}
		}
	}
	return wrong
}

// holders are all tests, the parts of suites that stand in a package of their own, and
// the stories.
func holders(t *testing.T) map[string]bool {
	t.Helper()
	exists := map[string]bool{}
	for _, s := range sources(t) {
		dir := path.Dir(s.name)
		for _, d := range s.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !regexp.MustCompile(`^(Test|Fuzz|test)[A-Z]`).MatchString(f.Name.Name) {
				continue
			}
			if s.test() && f.Name.IsExported() || strings.HasSuffix(dir, "test") && len(f.Type.Params.List) > 0 {
				exists[dir+"."+f.Name.Name] = true
			}
		}
	}
	stories, err := filepath.Glob(filepath.Join(root, "cmd/bot/testdata/scenarios/*.txt"))
	if err != nil || len(stories) == 0 {
		t.Fatalf("found no stories: %v", err)
	}
	for _, name := range stories {
		exists[filepath.Base(name)] = true
	}
	return exists
}

func TestClaimsAreHeld(t *testing.T) {
	exists := holders(t)
	claims := 0
	for _, name := range []string{"docs/security.md", "docs/operations.md"} {
		doc := read(t, name)
		for _, wrong := range unheld(doc, exists) {
			t.Errorf("%s: %s", name, wrong)
		}
		claims += strings.Count(doc, "| claim | held by |")
	}
	if claims < 10 {
		t.Errorf("found %d tables of claims: the search is blind", claims)
	}
}

func TestUnheldBites(t *testing.T) {
	exists := map[string]bool{"approval.TestA": true, "a.txt": true, "store/storetest.testB": true}
	for doc, want := range map[string]string{
		"| claim | held by |\n|---|---|\n| good | `approval.TestA`, `a.txt` |":        "",
		"| claim | held by |\n|---|---|\n| good | `store/storetest.testB` |":          "",
		"| claim | held by |\n|---|---|\n| said | not tested: it is Slack's |":        "",
		"| claim | held by |\n|---|---|\n| bad | of course |":                         `nothing holds the claim "bad"`,
		"| claim | held by |\n|---|---|\n| bad |":                                     `nothing holds the claim "bad"`,
		"| claim | held by |\n|---|---|\n| gone | `approval.TestZ` |":                 "approval.TestZ does not exist",
		"Also in prose (`b.txt`).\n\n| claim | held by |\n|---|---|\n| x | `a.txt` |": "b.txt does not exist",
	} {
		if got := strings.Join(unheld(doc, exists), "; "); got != want {
			t.Errorf("%q: got %q, want %q", doc, got, want)
		}
	}
}

// TestTablesAreDescribed: whoever reads what is stored reads of every table.
func TestTablesAreDescribed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "store/migrations/*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	real := []string{"goose_db_version"} // the migrator's own
	dropped := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		for _, m := range regexp.MustCompile(`(?i)\b(CREATE|DROP)\s+TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(\w+)`).FindAllStringSubmatch(up, -1) {
			if strings.EqualFold(m[1], "drop") {
				dropped[m[2]] = true
				continue
			}
			real = append(real, m[2])
		}
	}
	real = slices.DeleteFunc(real, func(name string) bool { return dropped[name] })
	if len(real) < 5 {
		t.Errorf("found %d tables: the search is blind", len(real))
	}
	differ(t, "table", column(read(t, "docs/security.md"), "table"), real)
	for _, tb := range tables(read(t, "docs/security.md")) {
		for _, row := range tb.rows {
			if tb.head[0] == "table" && (len(row) != 3 || row[1] == "" || row[2] == "") {
				t.Errorf("%s: what is in it, and for how long, is not said", row[0])
			}
		}
	}
}

// TestScopesAreDescribed: every right that somebody is asked for has its reason.
func TestScopesAreDescribed(t *testing.T) {
	var manifest struct {
		OAuthConfig struct {
			Scopes struct{ Bot []string }
		} `yaml:"oauth_config"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "manifest.yml")), &manifest); err != nil {
		t.Fatal(err)
	}
	// Of the app-level token, which is made by hand; and of Heroku's.
	real := append(manifest.OAuthConfig.Scopes.Bot, "connections:write", "read", "write")
	differ(t, "scope", column(read(t, "docs/security.md"), "scope"), real)
}

// TestSecretsAreDescribed: each variable that cmd/bot keeps as a secret.
func TestSecretsAreDescribed(t *testing.T) {
	var real []string
	for _, m := range regexp.MustCompile(`secret\.New\(env\("(\w+)"\)\)|strings\.FieldsSeq\(getenv\("(\w+)"\)\)`).FindAllStringSubmatch(read(t, "cmd/bot/config.go"), -1) {
		real = append(real, m[1]+m[2])
	}
	differ(t, "secret", column(read(t, "docs/security.md"), "variable"), real)
}

// TestFigures: the numbers that the documents give are the code's.
func TestFigures(t *testing.T) {
	for _, c := range []struct{ file, code, doc, said string }{
		{"approval/desk.go", `mostAsked\s+= 20`, "docs/operations.md", "| 20 a person; 100 previews a person |"},
		{"approval/desk.go", `mostPreviews\s+= 100`, "docs/operations.md", "| 20 a person; 100 previews a person |"},
		{"approval/desk.go", `mostAsked\s+= 20`, "docs/security.md", "at most 20 of their tickets"},
		{"chat/request.go", `oldest\s+= 15 \* time.Minute`, "docs/operations.md", "| an accepted request's age | 15 minutes |"},
		{"chat/request.go", `oldest\s+= 15 \* time.Minute`, "docs/security.md", "older than 15 minutes is not carried out"},
		{"cmd/bot/serve.go", `readers = 256`, "docs/operations.md", "| 256 run, 32 wait,"},
		{"cmd/bot/serve.go", `Workers:\s+readers,`, "docs/security.md", "288 commands at a time"},
		{"chat/chat.go", `c\.Queue = 32`, "docs/operations.md", "| 256 run, 32 wait,"},
		{"chat/chat.go", `c\.Links = 2`, "docs/operations.md", "each bot keeps two"},
		{"store/postgres.go", `maxConns\s+= 8`, "docs/operations.md", "| database connections | 8 a bot"},
		{"cmd/bot/state.go", `deliveriesKept\s+= 24 \* time.Hour`, "docs/security.md", "ids of Slack's deliveries | a day |"},
		{"cmd/bot/engine.go", `doingWorkers\s+= 5`, "docs/operations.md", "5 jobs run at a time"},
		{"cmd/bot/gauges.go", `scrapeFor\s+= 5 \* time.Second`, "docs/operations.md", "at most once in 5 s"},
		{"cmd/bot/about.go", `aboutTimeout\s+= 3 \* time.Second`, "docs/operations.md", "for 3 s at most"},
		{"audit/nightly.go", `staleAfter\s+= 26 \* time.Hour`, "docs/operations.md", "> 26 * 3600"},
		{"commands/about.go", `workTooOld\s+= 5 \* time.Minute`, "docs/operations.md", "max(zdd_job_due_seconds) > 300"},
		{"approval/no.go", `maxReason\s+= 2000`, "docs/operations.md", "2,000 characters of a reason"},
		{"heroku/bucket.go", `defaultReserve\s+= 500`, "docs/operations.md", "`heroku.reserve` (500)"},
		{"policy/policy.go", `Keep:\s+365 \* 24 \* time.Hour`, "docs/security.md", "365 days unless set"},
	} {
		if !regexp.MustCompile(c.code).MatchString(read(t, c.file)) {
			t.Errorf("%s no longer says %s: %s says %q", c.file, c.code, c.doc, c.said)
		}
		if !strings.Contains(read(t, c.doc), c.said) {
			t.Errorf("%s does not say %q", c.doc, c.said)
		}
	}
}

// slug is a heading's anchor, as GitHub makes it.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// TestLinks: what the documents link to is there.
func TestLinks(t *testing.T) {
	heading := regexp.MustCompile(`(?m)^#+ (.+)$`)
	found := 0
	for _, name := range []string{"docs/security.md", "docs/operations.md"} {
		for _, m := range regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(read(t, name), -1) {
			found++
			target := name
			if m[1] != "" {
				target = path.Join(path.Dir(name), m[1])
			}
			info, err := os.Stat(filepath.Join(root, target))
			if err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
				continue
			}
			if m[2] == "" || info.IsDir() {
				continue
			}
			anchors := heading.FindAllStringSubmatch(read(t, target), -1)
			if !slices.ContainsFunc(anchors, func(h []string) bool { return slug(h[1]) == m[2] }) {
				t.Errorf("%s links to #%s of %s, which is no heading", name, m[2], target)
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d links: the search is blind", found)
	}
}

// literal is a string literal's text.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
