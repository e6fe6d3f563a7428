package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxSize is far above any policy of a real company (1,000 apps with facts of
	// their own take some 100 KiB), and bounds what a hostile file can cost.
	maxSize = 256 << 10
	// maxLines bounds the YAML parser's time, which grows with the square of the number
	// of keys (30,000 take three seconds).
	maxLines = 10_000
	// maxDepth is how many brackets, or dashes on one line, may be open: the deepest
	// setting takes four. The parser recurses, and Go can't recover a full stack.
	maxDepth = 16
	// maxIndent is the deepest indentation in columns, for the same reason.
	maxIndent = 200
)

// Parse reads a policy from text. name is the file to name in errors. An empty text
// is [Default]. The error is a [Mistakes] with everything that is wrong, not just the
// first thing; the Policy is then [Default] and must not be used.
//
// The text is one YAML 1.2 document without anchors, aliases, tags and merge keys:
// each setting is where it is read. Nothing is expanded.
func Parse(name string, text []byte) (Policy, error) {
	r := &reader{file: name, lines: map[string]int{}}
	p := Default()
	p.file, p.lines = name, r.lines
	if root := r.tree(text); root != nil {
		r.policy(root, &p)
		r.agree(p)
	}
	p.literals = r.literals
	if len(r.mistakes) > 0 {
		slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return cmp.Compare(a.Line, b.Line) })
		return Default(), r.mistakes[:min(len(r.mistakes), maxMistakes)]
	}
	return p, nil
}

// reader collects what is wrong while it reads. Key names are full: limits.web_dynos.
type reader struct {
	file     string
	mistakes Mistakes
	lines    map[string]int
	literals []string
}

func (r *reader) wrong(line int, key, format string, args ...any) {
	text := onOneLine(fmt.Sprintf(format, args...))
	if strings.Contains(text, "${") {
		text += " (environment variables are not expanded in this file)"
	}
	r.mistakes = append(r.mistakes, Mistake{File: r.file, Line: max(line, 1), Key: key, Text: text})
}

// tree makes the text a tree of nodes; nil when there is nothing in it, or nothing
// that can be read.
func (r *reader) tree(text []byte) (root ast.Node) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // Windows editors put a byte order mark first
	if len(text) > maxSize {
		r.wrong(1, "", "the policy has %d KiB, and at most %d KiB are read", len(text)>>10, maxSize>>10)
		return nil
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) > maxLines {
		r.wrong(maxLines, "", "the policy has %d lines, and at most %d are read", len(lines), maxLines)
		return nil
	}
	for i, line := range lines {
		line = bytes.TrimSuffix(line, []byte("\r"))
		switch bad := bytes.IndexFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f || c == '\ufeff' }); {
		case !utf8.Valid(line):
			r.wrong(i+1, "", "this line is not UTF-8 text")
			return nil
		case bad >= 0:
			r.wrong(i+1, "", "this line holds a control character")
			return nil
		case indent(line) > maxIndent:
			r.wrong(i+1, "", "this line is indented by more than %d columns", maxIndent)
			return nil
		}
	}
	defer func() { // the parser has panicked on hostile text before; a policy must never end the bot
		if v := recover(); v != nil {
			r.wrong(1, "", "this is not readable as YAML")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(text))
	if !r.plain(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // section reports duplicates, with all else
	if err != nil {
		line, message := 1, err.Error()
		if e, ok := errors.AsType[yaml.Error](err); ok {
			message = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
		}
		r.wrong(line, "", "this is not readable as YAML: %s", message)
		return nil
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.CommentType {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0 || len(bodies) == 1 && bodies[0].Type() == ast.NullType:
		return nil
	case len(bodies) > 1:
		r.wrong(lineOf(bodies[1]), "", "a second YAML document begins here; a policy is one")
		return nil
	}
	return bodies[0]
}

// plain refuses what makes YAML long, deep or hard to read, before anything recurses.
func (r *reader) plain(tokens token.Tokens) bool {
	depth, dashes, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, dashes = t.Position.Line, 0
		}
		what := ""
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			what = "anchors, aliases and merge keys are not read here; write the value out (a value that begins with * or & needs quotes)"
		case token.TagType:
			what = "tags are not read here (a value that begins with ! needs quotes)"
		case token.DirectiveType:
			what = "directives are not read here (a value that begins with % needs quotes)"
		case token.MappingKeyType:
			what = "a key begins with its name, not with ?"
		case token.LiteralType, token.FoldedType:
			what = "every value is on one line; | and > are not read here"
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			dashes++
		}
		if depth > maxDepth || dashes > maxDepth {
			what = "this is nested deeper than any setting is"
		}
		if what != "" {
			r.wrong(t.Position.Line, "", "%s", what)
			return false
		}
	}
	return true
}

func indent(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " \t")) }

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// policy reads the whole file. Every key of it is here.
func (r *reader) policy(root ast.Node, p *Policy) {
	r.section(root, "", []field{
		{"scope", func(n ast.Node, key string) { r.scope(n, key, &p.Scope) }},
		{"requirements", func(n ast.Node, key string) { r.requirements(n, key, &p.Requirements) }},
		{"apps", func(n ast.Node, key string) { r.apps(n, key, &p.Apps) }},
		{"people", func(n ast.Node, key string) {
			r.section(n, key, []field{
				{"readers", func(n ast.Node, key string) {
					p.People.Readers = r.people(n, key)
					r.notNobody(n, key)
				}},
				{"operators", func(n ast.Node, key string) { p.People.Operators = r.people(n, key) }},
				{"approvers", func(n ast.Node, key string) { p.People.Approvers = r.people(n, key) }},
			})
		}},
		{"approval", func(n ast.Node, key string) { r.approval(n, key, &p.Approval) }},
		{"limits", func(n ast.Node, key string) {
			r.section(n, key, []field{
				{"web_dynos", func(n ast.Node, key string) { r.number(n, key, &p.Limits.WebDynos, 1, mostDynos) }},
				{"monthly_increase", func(n ast.Node, key string) { r.money(n, key, &p.Limits.MonthlyIncrease) }},
			})
		}},
		{"prices", func(n ast.Node, key string) { r.prices(n, key, &p.Prices) }},
		{"rollout", func(n ast.Node, key string) {
			r.section(n, key, []field{
				{"affinity_soak", func(n ast.Node, key string) {
					r.duration(n, key, &p.Rollout.AffinitySoak, leastSoak, mostSoak)
				}},
				{"settle", func(n ast.Node, key string) { r.duration(n, key, &p.Rollout.Settle, leastSettle, mostSettle) }},
				{"pause", func(n ast.Node, key string) { r.duration(n, key, &p.Rollout.Pause, leastPause, mostPause) }},
			})
		}},
		{"waivers", func(n ast.Node, key string) {
			r.section(n, key, []field{
				{"longest", func(n ast.Node, key string) { r.dayCount(n, key, &p.Waivers.Longest, 1, mostWaived) }},
				{"approval", func(n ast.Node, key string) {
					oneOf(r, n, key, &p.Waivers.Approval, WaiverNeedsNone, WaiverNeedsApproval)
				}},
			})
		}},
		{"watch", func(n ast.Node, key string) { r.watch(n, key, &p.Watch) }},
		{"digest", func(n ast.Node, key string) { r.nightly(n, key, &p.Nightly) }},
		{"heroku", func(n ast.Node, key string) {
			r.section(n, key, []field{
				{"reserve", func(n ast.Node, key string) { r.number(n, key, &p.Heroku.Reserve, 0, mostReserve) }},
				{"parallel", func(n ast.Node, key string) { r.number(n, key, &p.Heroku.Parallel, 1, mostParallel) }},
			})
		}},
	})
}

// agree refuses settings that contradict each other.
func (r *reader) agree(p Policy) {
	tooMany := func(key string, want int) {
		if line := max(r.lines[key], 0); want > p.Limits.WebDynos {
			if line == 0 {
				line, key = r.lines["limits.web_dynos"], "limits.web_dynos"
			}
			r.wrong(line, key, "%d web dynos are required and limits.web_dynos allows %d", want, p.Limits.WebDynos)
		}
	}
	tooMany("requirements.web_dynos", p.Requirements.WebDynos)
	for _, o := range p.Apps {
		if o.WebDynos != nil {
			tooMany("apps."+o.Match+".web_dynos", *o.WebDynos)
		}
		if asks := DefaultProbe().with(o.Probe).PerSecond(); o.Probe != (Probe{}) && asks > p.Watch.PerSecond {
			key := "apps." + o.Match + ".probe"
			r.wrong(r.lines[key], key, "%d requests a second, visits with them, are more than watch.per_second lets all watches send together, %d", asks, p.Watch.PerSecond)
		}
	}
}

// field is one key that a section may hold.
type field struct {
	name string
	read func(n ast.Node, key string)
}

// section reads a mapping whose keys are known. A section with nothing in it, its
// keys perhaps commented out, is an empty one.
func (r *reader) section(n ast.Node, key string, fields []field) {
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
	}
	for name, entry := range r.entries(n, key) {
		full := join(key, name)
		i := slices.Index(names, name)
		if i < 0 {
			what := "unknown key"
			if key == "requirements" {
				what = "unknown check"
			}
			r.wrong(lineOf(entry.Key), full, "%s; %s", what, instead(name, names))
			continue
		}
		r.lines[full] = lineOf(entry.Key)
		fields[i].read(entry.Value, full)
	}
}

// entries yields a mapping's keys and values. What is no mapping, and a key that is
// there twice, is wrong.
func (r *reader) entries(n ast.Node, key string) iter.Seq2[string, *ast.MappingValueNode] {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		var values []*ast.MappingValueNode
		switch n := n.(type) {
		case *ast.MappingNode:
			values = n.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{n}
		case *ast.NullNode:
			return
		default:
			r.wrong(lineOf(n), key, "has to be keys and values (name: value), and is %s", kindOf(n))
			return
		}
		seen := map[string]int{}
		for _, v := range values {
			name := v.Key.GetToken().Value
			if s, ok := v.Key.(*ast.StringNode); ok {
				name = s.Value
			}
			line := lineOf(v.Key)
			if first, twice := seen[name]; twice {
				r.wrong(line, join(key, name), "is set twice, first in line %d", first)
				continue
			}
			seen[name] = line
			if !yield(name, v) {
				return
			}
		}
	}
}

// join makes a full key. Names from the file may be hostile, and so are shortened.
func join(key, name string) string {
	if len(name) > 60 || name == "" || strings.ContainsFunc(name, func(c rune) bool { return c == ' ' || c == '`' || !strconv.IsPrint(c) }) {
		name = quote(name)
	}
	if key == "" {
		return name
	}
	return key + "." + name
}

// kindOf names a node's type in words for a person.
func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "empty"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a set of keys"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.StringNode:
		return "text"
	}
	return "something else"
}
