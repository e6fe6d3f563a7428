package commands

import (
	"html"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/agnivade/levenshtein"
)

// maxLine bounds a command line, in bytes. Slack passes on far longer texts; nobody
// types them.
const maxLine = 2000

// Args are the words of a command line after the command's name.
type Args struct {
	Words   []string          // positional, in order
	Options map[string]string // key=value and --key value, keys in lower case
}

// Word is the i-th positional word, or empty.
func (a Args) Word(i int) string {
	if i < len(a.Words) {
		return a.Words[i]
	}
	return ""
}

// words takes a line apart as people type it: any white space, quotes of any kind
// around a word, Slack's <…> around a link. A quote that is never closed is a letter.
func words(line string) []string {
	var out []string
	rest := []rune(html.UnescapeString(line))
	for len(rest) > 0 {
		if blank(rest[0]) {
			rest = rest[1:]
			continue
		}
		if closers := closing[rest[0]]; closers != "" {
			if end := slices.IndexFunc(rest[1:], func(r rune) bool { return strings.ContainsRune(closers, r) }); end >= 0 {
				after := rest[end+2:]
				if rest[0] == '<' {
					out = append(out, string(rest[:end+2]))
				} else if word := strings.TrimFunc(string(rest[1:end+1]), blank); word != "" {
					out = append(out, word)
				}
				rest = after
				continue
			}
		}
		end := slices.IndexFunc(rest, blank)
		if end < 0 {
			end = len(rest)
		}
		out = append(out, quoted(string(rest[:end])))
		rest = rest[end:]
	}
	return out
}

// quoted takes the quotes off the value in key="value".
func quoted(word string) string {
	key, value, ok := strings.Cut(word, "=")
	if !ok {
		return word
	}
	r := []rune(value)
	if len(r) >= 2 && r[0] != '<' && strings.ContainsRune(closing[r[0]], r[len(r)-1]) {
		return key + "=" + string(r[1:len(r)-1])
	}
	return word
}

// closing gives, for each opening quote, the runes that close it. Phones and word
// processors turn straight quotes into any of these.
var closing = map[rune]string{
	'"': `"”`, '\'': `'’`, '`': "`", '“': `”“"`, '”': `”"`, '„': `“”"`, '‘': `’'`, '’': `’'`, '‚': `‘’'`, '«': "»", '»': "«", '‹': "›", '<': ">",
}

// blank is white space and the invisible runes that pasting brings along.
func blank(r rune) bool {
	return unicode.IsSpace(r) || r == '\u200b' || r == '\u200c' || r == '\u200d' || r == '\u2060' || r == '\ufeff'
}

// dashes are what keyboards make of "--" and "-".
const dashes = "-–—−"

// option reads a word as an option's name, of the form --key, -k, —key.
func option(word string) (name string, ok bool) {
	name = strings.TrimLeft(word, dashes)
	return strings.ToLower(name), name != word && name != "" && unicode.IsLetter([]rune(name)[0])
}

// parseArgs sorts words into positional ones and the options that c takes. --app and
// -a, which fingers know from the Heroku CLI, are a positional word.
func parseArgs(c Command, in []string, via Via) (Args, error) {
	usage := spoken(via, c.Usage)
	args := Args{Options: map[string]string{}}
	known := map[string]bool{}
	for _, o := range c.Options {
		known[o.Name] = true
	}
	free := false // see Command.Free
	for i := 0; i < len(in); i++ {
		if free = free || c.Free != "" && strings.EqualFold(in[i], c.Free); free {
			args.Words = append(args.Words, in[i])
			continue
		}
		name, dashed := option(in[i])
		name, value, assigned := strings.Cut(name, "=")
		if !dashed {
			name, value, assigned = strings.Cut(in[i], "=")
			name = strings.ToLower(name)
			if !assigned || !letters(name) {
				args.Words = append(args.Words, in[i])
				continue
			}
		}
		isApp := name == "app" || dashed && name == "a"
		if !known[name] && !isApp {
			return Args{}, unknownOption(c, name, usage)
		}
		if !assigned {
			if i++; i == len(in) {
				return Args{}, refuse("`--%s` needs a value. Usage: `%s`", name, usage)
			}
			value = in[i]
		}
		switch _, twice := args.Options[name]; {
		case isApp:
			args.Words = append(args.Words, value)
		case twice:
			return Args{}, refuse("`%s` was given twice. Usage: `%s`", name, usage)
		default:
			args.Options[name] = value
		}
	}
	if len(args.Words) > c.Args {
		return Args{}, refuse("`%s` takes %s, and I read %d: %s. Usage: `%s`", c.Name, count(c.Args, "word"), len(args.Words), listed(args.Words), usage)
	}
	return args, nil
}

func letters(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r == '_' || r == '-') }) < 0
}

func unknownOption(c Command, name, usage string) error {
	names := make([]string, 0, len(c.Options))
	for _, o := range c.Options {
		names = append(names, o.Name)
	}
	if len(names) == 0 {
		return refuse("`%s` takes no options, and I read `%s`. Usage: `%s`", c.Name, plain(name), usage)
	}
	if near := nearest(name, names, 1); len(near) > 0 {
		return refuse("`%s` has no option `%s`; did you mean `%s`? Usage: `%s`", c.Name, plain(name), near[0], usage)
	}
	return refuse("`%s` has no option `%s`; it has %s. Usage: `%s`", c.Name, plain(name), listed(names), usage)
}

// plain shortens what a person typed so that it can be repeated inside `backticks`.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '`' || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 40 {
		s = string(r[:40]) + "…"
	}
	return s
}

func listed(names []string) string {
	var quoted []string
	for i, n := range names {
		if i == 5 {
			quoted = append(quoted, "…")
			break
		}
		quoted = append(quoted, "`"+plain(n)+"`")
	}
	return strings.Join(quoted, ", ")
}

// nearest finds up to most names that a slip of the fingers could have turned into
// word: those it begins or ends, or within a few edits (swapped neighbours count two),
// nearest first.
func nearest(word string, names []string, most int) []string {
	if word == "" || len(word) > 60 {
		return nil
	}
	word = strings.ToLower(word)
	score := map[string]int{}
	for _, n := range names {
		d := levenshtein.ComputeDistance(word, n)
		switch {
		case len(word) >= 3 && (strings.HasPrefix(n, word) || strings.HasSuffix(n, word)):
			score[n] = min(d, 1)
		case d <= slips(len([]rune(word))):
			score[n] = d
		}
	}
	found := slices.SortedFunc(maps.Keys(score), func(a, b string) int {
		if score[a] != score[b] {
			return score[a] - score[b]
		}
		return strings.Compare(a, b)
	})
	return found[:min(most, len(found))]
}

// slips is how many edits a word of that many letters may be away from the one meant.
func slips(letters int) int {
	switch {
	case letters < 4:
		return 1
	case letters < 9:
		return 2
	}
	return letters / 3
}
