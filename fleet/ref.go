package fleet

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Ref names an app in a request: by name, by UUID or by the host of its web_url.
// Only ParseRef builds one, because heroku-go pastes identifiers unescaped into the
// request's path: a name that came from chat must never be able to hold a slash.
// The zero Ref names nothing.
type Ref struct {
	name string
	id   ID
	host string
}

var (
	appName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,28}[a-z0-9]$`)
	appID   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	appHost = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]\.herokuapp\.com$`)
)

// ErrNoApp is what ParseRef answers to empty text.
var ErrNoApp = errors.New("no app was named")

// ParseRef reads an app as people write and paste it: its name in any case, in any
// kind of quotes, with the mark that ends their sentence, its UUID, its page in the
// dashboard, its address on herokuapp.com, with or without Slack's <…|…> around it.
// The error is written for the person who typed the text, and does not repeat it.
func ParseRef(text string) (Ref, error) {
	s := bare(text)
	if inner, ok := strings.CutPrefix(s, "<"); ok { // Slack's form of a link: <url|label>
		s, _, _ = strings.Cut(strings.TrimSuffix(inner, ">"), "|")
	}
	s = lowerASCII(bare(s))
	if s == "" {
		return Ref{}, ErrNoApp
	}
	if host, rest, isURL := splitURL(s); isURL {
		segments := strings.Split(strings.Trim(rest, "/"), "/")
		switch {
		case host == "dashboard.heroku.com" && len(segments) >= 2 && segments[0] == "apps":
			s = segments[1]
		case appHost.MatchString(host):
			return Ref{host: host}, nil
		default:
			return Ref{}, errors.New("that address is not one of Heroku's dashboard or herokuapp.com; say the app's name")
		}
	}
	switch {
	case appID.MatchString(s):
		return Ref{id: ID(s)}, nil
	case appHost.MatchString(s):
		return Ref{host: s}, nil
	case appName.MatchString(s):
		return Ref{name: s}, nil
	}
	return Ref{}, errors.New("that is no app name: 3 to 30 letters a–z, digits and dashes, beginning with a letter")
}

// bare takes off what people put around a word: space, quotes, and after it the marks
// that end a clause or a sentence ("status shop?").
func bare(s string) string {
	const around, after = " \t\r\n\"'`“”„‘’‚«»‹›,;", "?.!:…"
	return strings.TrimLeft(strings.TrimRight(s, around+after), around)
}

// lowerASCII lowers A–Z and nothing else: strings.ToLower would turn letters that
// only look alike, such as the Kelvin sign, into ASCII, and so name another app.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// splitURL takes an http(s) URL, or a bare host with a path, apart. The query and
// the fragment are dropped: people paste them along.
func splitURL(s string) (host, path string, ok bool) {
	if !strings.Contains(s, "://") {
		if !strings.HasPrefix(s, "dashboard.heroku.com/") && !strings.Contains(s, ".herokuapp.com/") {
			return "", "", false
		}
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return "", "", true // a URL, but none of ours
	}
	return u.Hostname(), u.EscapedPath(), true
}

// MustRef is ParseRef for names that are written in a program or come back from
// Heroku; it panics on others.
func MustRef(text string) Ref {
	r, err := ParseRef(text)
	if err != nil {
		panic(fmt.Sprintf("fleet.MustRef(%q): %v", text, err))
	}
	return r
}

// Ref names this app by its UUID.
func (a App) Ref() Ref { return MustRef(string(a.ID)) }

// Identity is what goes into a request's path: the name or the UUID. ok is false for
// the zero Ref and for a host, which has to be looked up first.
func (r Ref) Identity() (s string, ok bool) {
	if r.id != "" {
		return string(r.id), true
	}
	return r.name, r.name != ""
}

// Host is the host on herokuapp.com by which the app was named, or empty.
func (r Ref) Host() string { return r.host }

// String is the app as it was named, cleaned: safe to show, and to put in a path
// unless it is a host.
func (r Ref) String() string {
	if r.host != "" {
		return r.host
	}
	s, _ := r.Identity()
	return s
}
