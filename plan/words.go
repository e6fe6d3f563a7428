package plan

import (
	"fmt"
	"strings"
	"unicode"
)

// code marks text that came from Heroku as code. Backticks and control characters
// would end the mark, and are dropped.
func code(s string) string {
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
		out[i] = code(s)
	}
	return out
}

// join makes "a", "a and b", "a, b and c".
func join(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// upper begins a sentence.
func upper(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// plural is a number of web dynos in words.
func plural(web int) string {
	if web == 1 {
		return "1 web dyno"
	}
	return fmt.Sprintf("%d web dynos", web)
}
