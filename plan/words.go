package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"example.com/zdd/fleet"
)

// Code marks text that came from Heroku as code, for the sentences of plans and of what
// became of them. Backticks and control characters would end the mark, and are dropped.
func Code(s string) string {
	return "`" + strings.Map(func(r rune) rune {
		if r == '`' || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s) + "`"
}

func codes(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Code(s)
	}
	return out
}

// plain is a word that means only itself in a shell: app names, process types and
// add-on services, unless somebody gave them a name to do harm with.
var plain = regexp.MustCompile(`\A[A-Za-z0-9_][A-Za-z0-9_-]*\z`)

// Command is a command of Heroku's CLI for the app, to copy into a shell, marked as
// code. First is ours, such as "ps:scale"; the words after it, such as web=2, and the
// app's name come from Heroku. Where one of them could mean more than itself to a shell
// there is no command, and the answer is instead, which says what to do in words.
func Command(app fleet.App, instead, first string, words ...string) string {
	names := []string{app.Name}
	for _, word := range words {
		name, value, has := strings.Cut(word, "=")
		names = append(names, name)
		if has {
			names = append(names, value)
		}
	}
	if slices.ContainsFunc(names, func(s string) bool { return !plain.MatchString(s) }) {
		return instead
	}
	return Code(strings.Join(append([]string{"heroku", first}, words...), " ") + " --app " + app.Name)
}

// Join makes "a", "a and b", "a, b and c".
func Join(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// Capital begins a sentence: a small ASCII letter becomes a capital one, and anything
// else, such as a name marked as code, stays as it is.
func Capital(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

// plural is a number of web dynos in words.
func plural(web int) string {
	if web == 1 {
		return "1 web dyno"
	}
	return fmt.Sprintf("%d web dynos", web)
}
