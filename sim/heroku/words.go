package heroku

import (
	"fmt"
	"strings"
	"unicode"
)

// splitWords cuts a line into words at spaces; double quotes keep spaces
// within a word (web-command="rake db:migrate && puma"). A # at the start of a
// word begins a comment.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quoted := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, inWord = !quoted, true
		case quoted:
			word.WriteRune(r)
		case unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case r == '#' && !inWord:
			return words, nil
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a double quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// setting is one key=value word.
type setting struct{ key, value string }

func parseSettings(words []string) ([]setting, error) {
	var out []setting
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		switch {
		case ok && key != "" && value != "":
			out = append(out, setting{key, value})
		case !ok && word != "":
			out = append(out, setting{word, "on"}) // a bare word switches on: shield
		default:
			return nil, fmt.Errorf("%q is not key=value", word)
		}
	}
	return out, nil
}

// onOff reads on and off, and refuses anything else.
func onOff(value string) (bool, error) {
	switch value {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither on nor off", value)
}
