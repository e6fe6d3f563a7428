package chat

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"example.com/zdd/commands"
)

// dateFormat shows an Instant in the reader's own zone (Slack, "Formatting text for
// app surfaces", date formatting).
const dateFormat = "{date_short_pretty} at {time}"

// utcFormat is the fallback of an Instant, for clients that can't show their own zone.
const utcFormat = "2 Jan 2006 15:04 UTC"

// grave stands for a backtick inside code, where Slack knows no way to write one.
const grave = "ˋ"

// atom is a piece of mrkdwn that must not be cut: half a link would be text, and half
// an escape would be garbage.
type atom string

// clean takes out of a text what can make it look like another one: control
// characters, and the invisible ones that turn the writing direction or hide
// letters. Each shows as U+FFFD, so that a name with something hidden in it looks odd.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r):
			return '\uFFFD'
		case r == '\u3164' || r == '\u115f' || r == '\u1160' || r == '\uffa0': // letters by category, blank by look
			return '\uFFFD'
		}
		return r
	}, s)
}

// oneLine is clean without line breaks.
func oneLine(s string) string { return strings.ReplaceAll(clean(s), "\n", " ") }

// escape makes a text inert in mrkdwn: nothing in it is a mention, a link or a date.
// These three are all that Slack asks for ("Escaping text").
func escape(s string) string { return escaper.Replace(s) }

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// escapedUnits is the length of an escaped rune.
func escapedUnits(r rune) int {
	switch {
	case r == '&':
		return len("&amp;")
	case r == '<' || r == '>':
		return len("&lt;")
	case r > 0xFFFF:
		return 2
	}
	return 1
}

// literal keeps *, _, ~ and ` in a text from starting bold, italics, strikethrough
// or code: Slack has no escape for them, so look-alikes stand where one could open a
// run. Inside a word (my_app_name) they open nothing and stay.
func literal(s string) string {
	var b strings.Builder
	last := ' '
	for i, r := range s {
		next, _ := utf8.DecodeRuneInString(s[i+utf8.RuneLen(r):])
		opens := !unicode.IsLetter(last) && !unicode.IsDigit(last) && !unicode.IsSpace(next)
		switch {
		case r == '`':
			b.WriteString(grave)
		case r == '*' && opens:
			b.WriteRune('∗')
		case r == '_' && opens:
			b.WriteRune('＿')
		case r == '~' && opens:
			b.WriteRune('∼')
		default:
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}

// units is the length that a limit of Slack's is held against: UTF-16 code units,
// the largest of the ways in which the documentation's "characters" can be read.
func units(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// shorten cuts a text to at most limit units, the last of which is then an ellipsis.
func shorten(s string, limit int) string {
	if units(s) <= limit {
		return s
	}
	n := 1
	for i, r := range s {
		if n++; r > 0xFFFF {
			n++
		}
		if n > limit {
			return s[:i] + "…"
		}
	}
	return s
}

// shortenEscaped escapes a text and cuts it to at most limit units, never inside an escape.
func shortenEscaped(s string, limit int) string {
	if whole := escape(s); units(whole) <= limit {
		return whole
	}
	n := 1
	for i, r := range s {
		n += escapedUnits(r)
		if n > limit {
			return escape(s[:i]) + "…"
		}
	}
	return escape(s)
}

// longestAtom bounds one atom in units, so that every atom fits into every block.
const longestAtom = 1500

// atoms renders a Text. Everything that a person or an API wrote is escaped here, and
// nowhere else.
func atoms(text commands.Text) []atom {
	var out []atom
	for _, span := range text {
		out = append(out, spanAtoms(span)...)
	}
	return out
}

func spanAtoms(span commands.Span) []atom {
	switch span.Kind {
	case commands.Strong:
		s := strings.TrimSpace(literal(oneLine(span.S)))
		if s == "" {
			return nil
		}
		return []atom{atom("*" + shortenEscaped(strings.ReplaceAll(s, "*", "∗"), longestAtom) + "*")}
	case commands.Mono:
		return []atom{atom(code(span.S))}
	case commands.Anchor:
		return []atom{atom(anchor(span.URL, span.S))}
	case commands.User:
		return []atom{mention("<@%s>", userID, "@", span.S)}
	case commands.Group:
		return []atom{mention("<!subteam^%s>", groupID, "@", span.S)}
	case commands.Channel:
		return []atom{mention("<#%s>", channelID, "#", span.S)}
	case commands.Instant:
		return []atom{atom(instant(span.At))}
	default:
		return plainAtoms(span.S)
	}
}

// plainAtoms cuts plain text after white space, and inside words that are too long.
func plainAtoms(s string) []atom {
	var out []atom
	for _, word := range strings.SplitAfter(literal(clean(s)), " ") {
		for word != "" {
			cut, n := len(word), 0
			for i, r := range word {
				if n += escapedUnits(r); n > longestAtom {
					cut = i
					break
				}
			}
			out = append(out, atom(escape(word[:cut])))
			word = word[cut:]
		}
	}
	return out
}

// code is a text as it is to be typed. Blank text is no code for Slack.
func code(s string) string {
	s = strings.ReplaceAll(oneLine(s), "`", grave)
	if strings.TrimSpace(s) == "" {
		return s
	}
	return "`" + shortenEscaped(s, longestAtom) + "`"
}

// anchor is a link, or only its label where the address is none that a browser should
// open.
func anchor(address, label string) string {
	label = shortenEscaped(literal(oneLine(strings.ReplaceAll(label, "|", "¦"))), 500)
	target, ok := webAddress(address)
	switch {
	case !ok:
		return label
	case strings.TrimSpace(label) == "":
		return "<" + escape(target) + ">"
	}
	return "<" + escape(target) + "|" + label + ">"
}

// longestURL bounds a link in bytes; Slack takes 3000 characters in a button.
const longestURL = 900

// webAddress is an http or https address in a form that can stand in mrkdwn.
func webAddress(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return "", false
	}
	var b strings.Builder
	for _, c := range []byte(u.String()) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("<>|\"`\\^{}*~", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), b.Len() <= longestURL
}

var (
	userID    = regexp.MustCompile(`^[UW][A-Z0-9]{1,30}$`)
	groupID   = regexp.MustCompile(`^S[A-Z0-9]{1,30}$`)
	channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{1,30}$`)
)

// mention is markup only around what has the form of an id; anything else is text.
func mention(format string, id *regexp.Regexp, sign, s string) atom {
	if id.MatchString(s) {
		return atom(fmt.Sprintf(format, s))
	}
	return atom(sign + shortenEscaped(literal(oneLine(s)), 100))
}

func instant(at time.Time) string {
	if at.IsZero() {
		return "an unknown time"
	}
	fallback := at.UTC().Format(utcFormat)
	if at.Unix() <= 0 {
		return fallback
	}
	return fmt.Sprintf("<!date^%d^%s|%s>", at.Unix(), dateFormat, fallback)
}

// pack fills texts of at most limit units with atoms.
func pack(pieces []atom, limit int) []string {
	var out []string
	var b strings.Builder
	n := 0
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			out = append(out, s)
		}
		b.Reset()
		n = 0
	}
	for _, p := range pieces {
		size := units(string(p))
		if n+size > limit {
			flush()
		}
		b.WriteString(string(p))
		n += size
	}
	flush()
	return out
}
