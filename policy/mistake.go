package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/agnivade/levenshtein"
)

// Mistake is one thing that is wrong in a policy file.
type Mistake struct {
	File string
	Line int    // from 1
	Key  string // full name, such as limits.web_dynos; empty: it is not about a key
	Text string // what is wrong and what is allowed
}

func (m Mistake) Error() string {
	if m.Key == "" {
		return fmt.Sprintf("%s:%d: %s", m.File, m.Line, m.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", m.File, m.Line, m.Key, m.Text)
}

// Mistakes is everything that is wrong in a policy file, by line; at most maxMistakes
// of it. It is never empty.
type Mistakes []Mistake

// maxMistakes is where the list stops: nobody reads more, and a hostile file must not
// make a long message.
const maxMistakes = 50

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// nearest is the word of allowed that was probably meant, "" when none is near.
func nearest(word string, allowed []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	if len(word) > 40 { // no setting is that long, and the distance takes the product of both lengths
		return ""
	}
	for _, a := range allowed {
		if len(word) >= 3 && strings.HasPrefix(a, word) {
			return a
		}
	}
	best, distance := "", max(2, utf8.RuneCountInString(word)/3)+1
	for _, a := range allowed {
		if d := levenshtein.ComputeDistance(word, strings.ReplaceAll(strings.ToLower(a), "-", "_")); d < distance {
			best, distance = a, d
		}
	}
	return best
}

// instead says what would be right: the nearest word, or all that are allowed.
func instead(word string, allowed []string) string {
	if near := nearest(word, allowed); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	sorted := slices.Sorted(slices.Values(allowed))
	return "allowed: " + strings.Join(sorted, ", ")
}

// quote shows a value from the file, shortened: it may be hostile.
func quote(s string) string {
	const most = 60 // characters; enough to find the place
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

// onOneLine escapes what would break a line of a log or a message.
func onOneLine(s string) string {
	var out strings.Builder
	for _, r := range s {
		if !strconv.IsPrint(r) {
			quoted := strconv.QuoteRune(r)
			out.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		out.WriteRune(r)
	}
	return out.String()
}
