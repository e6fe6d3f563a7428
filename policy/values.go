package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"example.com/zdd/fleet"
)

var (
	wholeNumber = regexp.MustCompile(`^[0-9]{1,9}$`)
	dollars     = regexp.MustCompile(`^([0-9]{1,9})(?:\.([0-9]{1,2}))?$`)
	days        = regexp.MustCompile(`^([0-9]{1,4})d$`)

	personID  = regexp.MustCompile(`^[UW][A-Z0-9]{2,30}$`)
	groupID   = regexp.MustCompile(`^S[A-Z0-9]{2,30}$`)
	channelID = regexp.MustCompile(`^[CG][A-Z0-9]{2,30}$`)
)

// scalar is the text of a value as it was written, and whether it was written as
// text (a quoted number is text). Empty values, lists and sections are wrong.
func (r *reader) scalar(n ast.Node, key, want string) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.NullNode:
		r.wrong(lineOf(n), key, "has no value; it has to be %s (leave the key out for the default)", want)
		return "", false
	case *ast.StringNode:
		if strings.Contains(n.Value, "${") {
			r.literals = append(r.literals, key)
		}
		return n.Value, true
	case *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	r.wrong(lineOf(n), key, "has to be %s, and is %s", want, kindOf(n))
	return "", false
}

// text reads a value that has to be text; a number without quotes is none.
func (r *reader) text(n ast.Node, key, want string) (string, bool) {
	s, ok := r.scalar(n, key, want)
	if _, isText := n.(*ast.StringNode); ok && !isText {
		r.wrong(lineOf(n), key, "has to be %s, and is %s (put it in quotes if it is meant as text)", want, kindOf(n))
		return "", false
	}
	return s, ok
}

func (r *reader) number(n ast.Node, key string, to *int, least, most int) {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	_, isInteger := n.(*ast.IntegerNode)
	v, err := strconv.Atoi(s)
	if !isInteger || !wholeNumber.MatchString(s) || err != nil || v < least || v > most {
		r.wrong(lineOf(n), key, "has to be %s, and is %s", want, quote(s))
		return
	}
	*to = v
}

// mostMoney keeps sums of prices and quantities far from overflow.
const mostMoney fleet.Money = 10_000_000_00

func (r *reader) money(n ast.Node, key string, to *fleet.Money) {
	const want = "US dollars a month, such as 25 or 21.50"
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	m := dollars.FindStringSubmatch(s)
	if _, isText := n.(*ast.StringNode); m == nil || isText {
		r.wrong(lineOf(n), key, "has to be %s, without quotes or a sign, and is %s", want, quote(s))
		return
	}
	whole, err := strconv.ParseInt(m[1], 10, 64)
	cents, err2 := strconv.ParseInt((m[2] + "00")[:2], 10, 64)
	v := fleet.Money(whole*100 + cents)
	if err != nil || err2 != nil || v > mostMoney {
		r.wrong(lineOf(n), key, "has to be %s, at most %s", want, mostMoney)
		return
	}
	*to = v
}

func (r *reader) truth(n ast.Node, key string, to *bool) {
	s, ok := r.scalar(n, key, "true or false")
	if !ok {
		return
	}
	b, isBool := n.(*ast.BoolNode)
	if !isBool {
		r.wrong(lineOf(n), key, "has to be true or false, and is %s", quote(s))
		return
	}
	*to = b.Value
}

func (r *reader) duration(n ast.Node, key string, to *time.Duration, least, most time.Duration) {
	want := fmt.Sprintf("a time span from %s to %s, such as 90s, 10m, 24h or 2d", Span(least), Span(most))
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	d, err := time.ParseDuration(s)
	if m := days.FindStringSubmatch(s); m != nil {
		count, _ := strconv.Atoi(m[1])
		d, err = time.Duration(count)*24*time.Hour, nil
	}
	if _, isText := n.(*ast.StringNode); !isText || err != nil || d < least || d > most {
		r.wrong(lineOf(n), key, "has to be %s, and is %s", want, quote(s))
		return
	}
	*to = d
}

// dayCount reads a time span of whole days.
func (r *reader) dayCount(n ast.Node, key string, to *time.Duration, least, most int) {
	want := fmt.Sprintf("a number of days from %dd to %dd, such as 30d", least, most)
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	count := 0
	if m := days.FindStringSubmatch(s); m != nil {
		count, _ = strconv.Atoi(m[1])
	}
	if count < least || count > most {
		r.wrong(lineOf(n), key, "has to be %s, and is %s", want, quote(s))
		return
	}
	*to = time.Duration(count) * 24 * time.Hour
}

// durationOrOff reads a time span, or that something is not to be done at all: off, or 0.
func (r *reader) durationOrOff(n ast.Node, key string, to *time.Duration, least, most time.Duration) {
	switch n := n.(type) {
	case *ast.IntegerNode:
		if n.GetToken().Value == "0" {
			*to = 0
			return
		}
	case *ast.BoolNode: // YAML of old reads off so
		if !n.Value {
			*to = 0
			return
		}
	case *ast.StringNode:
		if slices.Contains([]string{"off", "0"}, n.Value) {
			*to = 0
			return
		}
	}
	before := len(r.mistakes)
	r.duration(n, key, to, least, most)
	if len(r.mistakes) > before {
		r.mistakes[before].Text += "; off switches it off"
	}
}

// oneOf reads one of a few words.
func oneOf[T ~string](r *reader, n ast.Node, key string, to *T, allowed ...T) {
	var words []string
	for _, a := range allowed {
		words = append(words, string(a))
	}
	want := "one of " + strings.Join(words, ", ")
	s, ok := r.scalar(n, key, want)
	if !ok {
		return
	}
	if !slices.Contains(words, s) {
		hint := ""
		if near := nearest(s, words); near != "" {
			hint = fmt.Sprintf("; did you mean %s?", near)
		}
		r.wrong(lineOf(n), key, "has to be %s, and is %s%s", want, quote(s), hint)
		return
	}
	*to = T(s)
}

// texts reads a list of texts, each checked by ok. A list of one may be written
// without brackets by mistake: that is wrong, and said.
func (r *reader) texts(n ast.Node, key, want string, ok func(n ast.Node, text string) bool) []string {
	seq, isList := n.(*ast.SequenceNode)
	if !isList {
		if _, empty := n.(*ast.NullNode); empty {
			r.wrong(lineOf(n), key, "has no value; it has to be a list of %s in [brackets] (leave the key out for the default)", want)
		} else {
			r.wrong(lineOf(n), key, "has to be a list of %s in [brackets], and is %s", want, kindOf(n))
		}
		return nil
	}
	var out []string
	for _, item := range seq.Values {
		s, isText := r.text(item, key, want)
		if !isText || !ok(item, s) {
			continue
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

const (
	findPerson  = "in Slack: the person's profile, ⋮, Copy member ID"
	findGroup   = "in Slack: Directories, User groups, the group, ⋮, Copy group ID"
	findChannel = "in Slack: the channel's name, About, at the bottom"
)

// people reads ids of people and user groups. Names and e-mail addresses are refused:
// both can be changed by the people who wear them.
func (r *reader) people(n ast.Node, key string) []string {
	return r.texts(n, key, "Slack ids", func(item ast.Node, s string) bool {
		return r.isPerson(item, key, s)
	})
}

func (r *reader) isPerson(n ast.Node, key, s string) bool {
	if personID.MatchString(s) || groupID.MatchString(s) {
		return true
	}
	r.wrong(lineOf(n), key, "%s is no Slack id: names and e-mail addresses can change hands, so people are named by ids like U0123ABCD (%s) and groups by ids like S0123ABCD (%s)",
		quote(s), findPerson, findGroup)
	return false
}

func (r *reader) owner(n ast.Node, key string, to *string) {
	if s, ok := r.text(n, key, "a Slack user or group id"); ok && r.isPerson(n, key, s) {
		*to = s
	}
}

func (r *reader) channel(n ast.Node, key string, to *string) {
	s, ok := r.text(n, key, "a Slack channel id")
	if !ok {
		return
	}
	if !channelID.MatchString(s) {
		r.wrong(lineOf(n), key, "%s is no Slack channel id: channels can be renamed, so they are named by ids like C0123ABCD (%s)", quote(s), findChannel)
		return
	}
	*to = s
}
