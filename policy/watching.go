package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// The ranges of what can be set of watches and probes, each with its reason.
const (
	leastWatched   = 2 * time.Minute  // a hand-over without preboot takes nearly as long
	mostWatched    = time.Hour        // an app is asked thousands of times by then
	mostAtOnce     = 50               // as many as were measured on one machine (docs/benchmarks.md)
	mostPerSecond  = 200              // those, at four requests a second each
	mostRate       = 20               // a probe must not become load: an outage of 100 ms shows at that
	leastTimeout   = time.Second      // a page that takes a second is slow, and not down
	mostTimeout    = 30 * time.Second // Heroku's router gives up after that by itself (H12)
	mostVisitors   = 20               // with a visit in five seconds each they come to four requests a second
	mostPath       = 500              // characters
	mostText       = 200              // characters, of a text that is looked for in each answer
	mostHeaderName = 100              // characters
)

// watch reads the section of that name.
func (r *reader) watch(n ast.Node, key string, w *Watching) {
	r.section(n, key, []field{
		{"releases", func(n ast.Node, key string) {
			oneOf(r, n, key, &w.Releases, WatchNone, WatchProduction, WatchScope)
		}},
		{"lasts", func(n ast.Node, key string) { r.duration(n, key, &w.Lasts, leastWatched, mostWatched) }},
		{"at_once", func(n ast.Node, key string) { r.number(n, key, &w.AtOnce, 1, mostAtOnce) }},
		{"per_second", func(n ast.Node, key string) { r.number(n, key, &w.PerSecond, DefaultProbe().Rate, mostPerSecond) }},
	})
}

// probe reads the key of that name in an entry of apps.
func (r *reader) probe(n ast.Node, key, match string, p *Probe) {
	before := len(r.mistakes)
	r.section(n, key, []field{
		{"path", func(n ast.Node, key string) { r.path(n, key, &p.Path) }},
		{"domain", func(n ast.Node, key string) { r.domain(n, key, match, &p.Domain) }},
		{"rate", func(n ast.Node, key string) { r.number(n, key, &p.Rate, 1, mostRate) }},
		{"timeout", func(n ast.Node, key string) { r.duration(n, key, &p.Timeout, leastTimeout, mostTimeout) }},
		{"expect", func(n ast.Node, key string) { r.expect(n, key, &p.Expect) }},
		{"contains", func(n ast.Node, key string) { r.words(n, key, &p.Contains) }},
		{"version_header", func(n ast.Node, key string) { r.header(n, key, &p.VersionHeader) }},
		{"version_path", func(n ast.Node, key string) { r.path(n, key, &p.VersionPath) }},
		{"visitors", func(n ast.Node, key string) { r.number(n, key, &p.Visitors, 1, mostVisitors) }},
		{"visitor_start", func(n ast.Node, key string) { r.path(n, key, &p.VisitorStart) }},
		{"visitor_path", func(n ast.Node, key string) { r.path(n, key, &p.VisitorPath) }},
		{"visitor_marker", func(n ast.Node, key string) { r.words(n, key, &p.VisitorMarker) }},
	})
	if len(r.mistakes) > before {
		return
	}
	if p.VersionHeader != "" && p.VersionPath != "" {
		r.wrong(r.lines[key+".version_path"], key+".version_path", "the version comes from a header or from a path; take one of the two out")
	}
	switch {
	case p.Visitors > 0 && p.VisitorPath == "":
		r.wrong(r.lines[key+".visitors"], key+".visitors", "visitors need visitor_path: the page that shows whether they are logged in")
		return
	case p.Visitors > 0 && p.VisitorMarker == "":
		r.wrong(r.lines[key+".visitors"], key+".visitors", "visitors need visitor_marker: a text that visitor_path shows only to who is logged in")
		return
	case p.Visitors > 0:
		return
	}
	for _, name := range []string{"visitor_start", "visitor_path", "visitor_marker"} {
		if line, set := r.lines[key+"."+name]; set {
			r.wrong(line, key+"."+name, "there are no visitors; say in visitors how many, 1 to %d, in the same entry", mostVisitors)
			return
		}
	}
}

// path reads a path with its query, as it goes behind the host.
func (r *reader) path(n ast.Node, key string, to *string) {
	const want = "a path such as /health"
	s, ok := r.text(n, key, want)
	if !ok {
		return
	}
	u, err := url.ParseRequestURI(s)
	switch {
	case !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//"):
		r.wrong(lineOf(n), key, "has to be %s, which begins with one /, and is %s: the host is the app's own, or domain", want, quote(s))
	case len(s) > mostPath || err != nil || u.Host != "" || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' || c == '#' || c == '\\' }):
		r.wrong(lineOf(n), key, "has to be %s, as it goes over the wire: at most %d of the signs of a URL, without spaces, # and \\ (others as %%20), and is %s", want, mostPath, quote(s))
	default:
		*to = s
	}
}

var hostName = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// domain reads a host of one app's own. What the name resolves to is looked at when it is
// dialled, and only then.
func (r *reader) domain(n ast.Node, key, match string, to *string) {
	const want = "a host such as shop.example.com"
	s, ok := r.text(n, key, want)
	if !ok {
		return
	}
	switch {
	case len(s) > 253 || !hostName.MatchString(s):
		r.wrong(lineOf(n), key, "has to be %s: lower case, without https://, port, path or address of numbers, and is %s", want, quote(s))
	case !appName.MatchString(match) && !uuid.MatchString(match):
		r.wrong(lineOf(n), key, "a host belongs to one app, and this entry may be about several; write it into the entry of the app's name or UUID")
	default:
		*to = s
	}
}

var statusClass = regexp.MustCompile(`^(?:[2-4]xx|[2-4][0-9][0-9])$`)

// expect reads statuses, as a text with commas or as one number. It is kept without spaces.
func (r *reader) expect(n ast.Node, key string, to *string) {
	const want = `statuses from 200 to 499 and classes of them, with commas, such as "200,3xx"`
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	var all []string
	for one := range strings.SplitSeq(s, ",") {
		one = strings.ToLower(strings.TrimSpace(one))
		if !statusClass.MatchString(one) {
			why := ""
			if strings.HasPrefix(one, "5") {
				why = " (an answer of 5xx is what a deploy that drops requests looks like)"
			}
			r.wrong(lineOf(n), key, "has to be %s, and is %s%s", want, quote(s), why)
			return
		}
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	*to = strings.Join(all, ",")
}

// words reads a text that is looked for in an answer.
func (r *reader) words(n ast.Node, key string, to *string) {
	want := fmt.Sprintf("a text of 1 to %d bytes that stands in the answer, on one line", mostText)
	s, ok := r.text(n, key, want)
	if !ok {
		return
	}
	if strings.TrimSpace(s) == "" || len(s) > mostText || strings.ContainsFunc(s, func(c rune) bool { return !strconv.IsPrint(c) }) {
		r.wrong(lineOf(n), key, "has to be %s, and is %s", want, quote(s))
		return
	}
	*to = s
}

// headerName is a token of RFC 9110, 5.6.2, without the signs that no header's name has.
var headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

func (r *reader) header(n ast.Node, key string, to *string) {
	const want = "a header's name such as X-Release"
	s, ok := r.text(n, key, want)
	if !ok {
		return
	}
	switch {
	case len(s) > mostHeaderName || !headerName.MatchString(s):
		r.wrong(lineOf(n), key, "has to be %s, without a colon, and is %s", want, quote(s))
	case slices.Contains([]string{"set-cookie", "authorization", "www-authenticate", "proxy-authenticate"}, strings.ToLower(s)):
		r.wrong(lineOf(n), key, "%s tells no version, and what it holds is shown in Slack", quote(s))
	default:
		*to = s
	}
}

// set lists what an override sets, as it is written in zdd.yml.
func (p Probe) set() (all [][2]string) {
	add := func(key, value string) {
		if value != "" {
			all = append(all, [2]string{key, value})
		}
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	add("path", p.Path)
	add("domain", p.Domain)
	add("rate", number(p.Rate))
	if p.Timeout > 0 {
		add("timeout", Span(p.Timeout))
	}
	add("expect", p.Expect)
	add("contains", p.Contains)
	add("version_header", p.VersionHeader)
	add("version_path", p.VersionPath)
	add("visitors", number(p.Visitors))
	add("visitor_start", p.VisitorStart)
	add("visitor_path", p.VisitorPath)
	add("visitor_marker", p.VisitorMarker)
	return all
}
