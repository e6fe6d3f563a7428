// Package arch has no code, only tests: they hold the whole module to the rules of
// the house that a program can check. Who may import whom is the table in
// imports_test.go, the rest is here.
//
// They read the files themselves, rather than ask go list or git: the test cache
// notices when a file that a test opened has changed, and nothing else.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "example.com/zdd"

// A source is one Go file of the module.
type source struct {
	*ast.File
	name string         // path from the module's root, with slashes
	dir  string         // the package's folder, "." for the root
	fset *token.FileSet // where positions are looked up
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// at is a position as an editor can follow it.
func (s source) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", s.name, s.fset.Position(n.Pos()).Line)
}

// imports yields each import's path, and the name given to it there, if any.
func (s source) imports(yield func(path, name string) bool) {
	for _, spec := range s.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		name := ""
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if !yield(p, name) {
			return
		}
	}
}

// skipped says which folders are not ours to judge: .git and its like, other
// modules' packages, and data.
func skipped(root fs.FS, dir string) bool {
	base := path.Base(dir)
	if dir != "." && (base[0] == '.' && base != ".ci" && base != ".github" || base == "testdata" || base == "node_modules") {
		return true
	}
	if dir == "." {
		return false
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}

// parse reads every Go file below root.
func parse(root fs.FS) ([]source, error) {
	var all []source
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(root, name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s := source{name: name, dir: path.Dir(name), fset: token.NewFileSet()}
		s.File, err = parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, s)
		return err
	})
	return all, err
}

// A rule returns a line for each place that breaks it.
type rule func([]source) []string

func rules() map[string]rule {
	return map[string]rule{
		"imports":         importTable,
		"init":            noInit,
		"outside world":   outsideWorld,
		"platforms":       platforms,
		"names":           names,
		"package comment": onePackageComment,
	}
}

// TestHouse holds the module to every rule.
func TestHouse(t *testing.T) {
	files, err := parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d Go files: looked in the wrong place", len(files))
	}
	for name, rule := range rules() {
		t.Run(name, func(t *testing.T) {
			for _, broken := range rule(files) {
				t.Error(broken)
			}
		})
	}
}

// noInit refuses init functions: what a package needs is made by whoever uses it.
func noInit(files []source) (broken []string) {
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				broken = append(broken, f.at(fn)+": init function")
			}
		}
	}
	return broken
}

// onlyMain lists what only cmd/bot may do, so that everything else can be run
// twice in one process: read the environment and the flags, catch signals, write
// to the global log, and exit. An empty list of names means the whole package.
var onlyMain = map[string][]string{
	"os":   {"Getenv", "LookupEnv", "Environ", "ExpandEnv", "Setenv", "Unsetenv", "Exit", "Args"},
	"flag": nil,
	"log": {"Print", "Printf", "Println", "Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln",
		"Default", "SetOutput", "SetFlags", "SetPrefix", "Writer", "Output"},
	"os/signal": nil,
}

// outsideWorld enforces onlyMain. Tests, and helpers of tests below internal, live
// in the machine that runs them and may look at it.
func outsideWorld(files []source) (broken []string) {
	for _, f := range files {
		if f.test() || f.dir == "cmd/bot" || strings.HasPrefix(f.dir, "internal/") {
			continue
		}
		local := map[string][]string{} // the name here of a package, to what is refused of it
		for p, name := range f.imports {
			refused, listed := onlyMain[p]
			switch {
			case listed && refused == nil:
				broken = append(broken, f.name+": only cmd/bot may import "+p)
			case listed && name == "":
				local[path.Base(p)] = refused
			case listed:
				local[name] = refused
			}
		}
		ast.Inspect(f.File, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(local[x.Name], sel.Sel.Name) {
					broken = append(broken, fmt.Sprintf("%s: only cmd/bot may use %s.%s", f.at(sel), x.Name, sel.Sel.Name))
				}
			}
			return true
		})
	}
	return broken
}

// platforms keeps each platform's client behind its door: heroku-go in heroku, where
// it is called platform, slack-go in chat and, for the doctor, in cmd/bot. Tests may
// hold a simulator against them.
func platforms(files []source) (broken []string) {
	for _, f := range files {
		for p, name := range f.imports {
			switch {
			case strings.HasPrefix(p, "github.com/heroku/heroku-go/"):
				if !f.test() && f.dir != "heroku" {
					broken = append(broken, f.name+": only heroku may import heroku-go")
				}
				if name != "platform" {
					broken = append(broken, f.name+": heroku-go is imported as platform")
				}
			case p == "github.com/slack-go/slack" || strings.HasPrefix(p, "github.com/slack-go/slack/"):
				if !f.test() && f.dir != "chat" && f.dir != "cmd/bot" {
					broken = append(broken, f.name+": only chat and cmd/bot may import slack-go")
				}
			}
		}
	}
	return broken
}

// names refuses packages that are named for nothing, and that therefore collect
// everything.
func names(files []source) (broken []string) {
	nothing := []string{"util", "utils", "common", "types", "helpers", "misc", "manager", "base"}
	for _, f := range files {
		if slices.Contains(nothing, f.Name.Name) || slices.Contains(nothing, path.Base(f.dir)) {
			broken = append(broken, fmt.Sprintf("%s: package %s is named for nothing", f.name, f.Name.Name))
		}
	}
	return broken
}

// onePackageComment wants each package to say once what it is. A package that has
// only tests says it in one of those.
func onePackageComment(files []source) (broken []string) {
	type pkg struct {
		code            int      // files that are not tests
		inCode, inTests []string // the files with a comment
	}
	all := map[string]*pkg{}
	for _, f := range files {
		p := all[f.dir]
		if p == nil {
			p = &pkg{}
			all[f.dir] = p
		}
		switch doc := strings.TrimSpace(f.Doc.Text()); {
		case f.test():
			if doc != "" {
				p.inTests = append(p.inTests, f.name)
			}
		default:
			p.code++
			if doc != "" {
				p.inCode = append(p.inCode, f.name)
			}
		}
	}
	for dir, p := range all {
		said := p.inCode
		if p.code == 0 {
			said = p.inTests
		} else if len(p.inTests) > 0 {
			broken = append(broken, fmt.Sprintf("%s: the package comment does not belong in a test: %s", dir, p.inTests))
		}
		if len(said) != 1 {
			broken = append(broken, fmt.Sprintf("%s: has %d package comments, want 1: %s", dir, len(said), said))
		}
	}
	return broken
}

// elsewhere finds a place of the machine that this was written on. It is put
// together here so as not to find itself.
var elsewhere = regexp.MustCompile(`(^|[^[:alnum:]])(/wor` + `k/|\.\./share` + `d)`)

// foreignPlaces looks through every text file for the names of places that only
// one machine has.
func foreignPlaces(root fs.FS) (broken []string, err error) {
	const maxText = 1 << 20 // bytes; what is longer was not written by a person
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if base := path.Base(name); base == ".git" || base == "node_modules" {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil || info.Size() > maxText {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if slices.Contains(text, 0) { // no text
			return nil
		}
		for i, line := range strings.Split(string(text), "\n") {
			if elsewhere.MatchString(line) {
				broken = append(broken, fmt.Sprintf("%s:%d: names a place of one machine: %s", name, i+1, strings.TrimSpace(line)))
			}
		}
		return nil
	})
	return broken, err
}

func TestForeignPlaces(t *testing.T) {
	broken, err := foreignPlaces(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

// TestRulesBite shows each rule a file that breaks it, and one that does not.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct{ rule, file, text, want string }{
		{"imports", "fleet/a.go", "package fleet\nimport _ \"example.com/zdd/plan\"", "fleet/a.go: fleet may not import plan"},
		{"imports", "plan/a.go", "package plan\nimport _ \"example.com/zdd/fleet\"", ""},
		{"imports", "plan/a.go", "package plan\nimport _ \"example.com/zddother/fleet\"", ""},
		{"imports", "commands/a.go", "package commands\nimport _ \"example.com/zdd/heroku\"", "commands/a.go: commands may not import heroku"},
		{"imports", "commands/a_test.go", "package commands\nimport _ \"example.com/zdd/heroku\"", ""},
		{"imports", "surprise/a.go", "package surprise", "surprise/a.go: surprise is not in the table of imports_test.go"},
		{"imports", "sim/slack/a.go", "package slack\nimport _ \"example.com/zdd/chat\"", "sim/slack/a.go: sim/slack may not import chat"},
		{"imports", "sim/slack/a_test.go", "package slack\nimport _ \"example.com/zdd/chat\"", "sim/slack/a_test.go: sim/slack may not import chat"},
		{"imports", "sim/slack/a.go", "package slack\nimport _ \"example.com/zdd/sim/play\"", ""},
		{"imports", "cmd/bot/a.go", "package main\nimport _ \"example.com/zdd/sim/slack\"", ""},
		{"imports", "cmd/bot/a.go", "package main\nimport _ \"example.com/zdd/internal/pgtest\"", "cmd/bot/a.go: internal/pgtest is for tests only"},
		{"imports", "cmd/bot/a.go", "package main\nimport _ \"example.com/zdd/store/storetest\"", "cmd/bot/a.go: store/storetest is for tests only"},
		{"imports", "store/storetest/a.go", "package storetest\nimport _ \"example.com/zdd/store\"", ""},
		{"imports", "audit/audittest/a.go", "package audittest\nimport _ \"example.com/zdd/fleet\"", ""},
		{"imports", "fleet/fleettest/a.go", "package fleettest\nimport _ \"example.com/zdd/chat\"", "fleet/fleettest/a.go: fleet/fleettest may not import chat"},
		{"imports", "chat/fleettest/a.go", "package fleettest", "chat/fleettest/a.go: chat/fleettest is not in the table of imports_test.go"},
		{"imports", "store/a_test.go", "package store\nimport _ \"example.com/zdd/internal/pgtest\"", ""},
		{"init", "fleet/a.go", "package fleet\nfunc init() {}", "fleet/a.go:2: init function"},
		{"init", "fleet/a.go", "package fleet\ntype t int\nfunc (t) init() {}", ""},
		{"outside world", "chat/a.go", "package chat\nimport \"os\"\nvar _ = os.Getenv(\"X\")", "chat/a.go:3: only cmd/bot may use os.Getenv"},
		{"outside world", "chat/a.go", "package chat\nimport sys \"os\"\nfunc f() { sys.Exit(1) }", "chat/a.go:3: only cmd/bot may use sys.Exit"},
		{"outside world", "chat/a.go", "package chat\nimport \"flag\"\nvar _ = flag.Args", "chat/a.go: only cmd/bot may import flag"},
		{"outside world", "chat/a.go", "package chat\nimport \"os\"\nvar _ = os.ReadFile", ""},
		{"outside world", "cmd/bot/a.go", "package main\nimport \"os\"\nvar _ = os.Getenv(\"X\")", ""},
		{"outside world", "chat/a_test.go", "package chat\nimport \"os\"\nvar _ = os.Getenv(\"X\")", ""},
		{"platforms", "fleet/a.go", "package fleet\nimport platform \"github.com/heroku/heroku-go/v5\"\nvar _ platform.App", "fleet/a.go: only heroku may import heroku-go"},
		{"platforms", "heroku/a.go", "package heroku\nimport heroku \"github.com/heroku/heroku-go/v5\"\nvar _ heroku.App", "heroku/a.go: heroku-go is imported as platform"},
		{"platforms", "heroku/a.go", "package heroku\nimport platform \"github.com/heroku/heroku-go/v5\"\nvar _ platform.App", ""},
		{"platforms", "commands/a.go", "package commands\nimport _ \"github.com/slack-go/slack/socketmode\"", "commands/a.go: only chat and cmd/bot may import slack-go"},
		{"platforms", "chat/a.go", "package chat\nimport _ \"github.com/slack-go/slack\"", ""},
		{"names", "util/a.go", "package util", "util/a.go: package util is named for nothing"},
		{"names", "fleet/a.go", "package fleet", ""},
		{"package comment", "fleet/a.go", "package fleet", "fleet: has 0 package comments, want 1: []"},
		{"package comment", "fleet/a.go", "// Package fleet is.\npackage fleet", ""},
		{"package comment", "fleet/a.go", "//go:build linux\n\npackage fleet", "fleet: has 0 package comments, want 1: []"},
		{"package comment", "arch/a_test.go", "// Package arch is.\npackage arch", ""},
	} {
		files, err := parse(fstest.MapFS{
			c.file:         {Data: []byte(c.text)},
			"other/go.mod": {Data: []byte("module other")},
			"other/a.go":   {Data: []byte("package util\nfunc init() {}")},
		})
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got := strings.Join(rules()[c.rule](files), "; "); got != c.want {
			t.Errorf("%s: %s with %q:\n got %q\nwant %q", c.rule, c.file, c.text, got, c.want)
		}
	}

	two := fstest.MapFS{
		"fleet/a.go": {Data: []byte("// Package fleet is.\npackage fleet")},
		"fleet/b.go": {Data: []byte("// Package fleet is more.\npackage fleet")},
	}
	files, err := parse(two)
	if got := onePackageComment(files); err != nil || len(got) != 1 {
		t.Errorf("two package comments: got %q, %v, want one line", got, err)
	}
	broken, err := foreignPlaces(fstest.MapFS{
		"README.md": {Data: []byte("fine\nsee /wor" + "k/docs\nhttps://example.com/work/1\n(../share" + "d)")},
		"bin":       {Data: []byte("\x00/wor" + "k/")},
		".ci/run":   {Data: []byte("cd /wor" + "k/main")},
	})
	if err != nil || len(broken) != 3 {
		t.Errorf("foreign places: got %q, %v, want 3 lines", broken, err)
	}
}
