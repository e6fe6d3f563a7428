package ledger

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// morning is when the tests' entries happened.
var morning = time.Date(2026, time.August, 3, 8, 0, 0, 0, time.UTC)

func entry(i int) Entry {
	return Entry{
		At: morning.Add(time.Duration(i) * time.Second), Actor: fmt.Sprint("U", i%3), Verb: Verbs()[i%len(Verbs())],
		App: "01234567-89ab-4cde-8f01-23456789abcd", Name: "shop", Ticket: fmt.Sprint("T-", i/4), Detail: json.RawMessage(fmt.Sprintf(`{"step":%d,"why":"a & <b>"}`, i)),
	}
}

// TestSealIsForEver holds the encoding to what the first release wrote: a ledger of
// then has to verify with the program of today. Another program, in another language,
// came to the same hashes.
func TestSealIsForEver(t *testing.T) {
	e := Entry{At: morning.Add(1234567), Actor: "U1", Verb: Asked, App: "a", Name: "shop", Ticket: "T-1", Detail: json.RawMessage(`{ "why": "ü & <b>" }`)}
	first := Key{}.Seal(Head{}, e)
	second := NewKey("secret").Seal(first.Head(), e)
	for _, c := range []struct {
		got  Entry
		want string
	}{
		{first, "5085cd7a8b219da17a2589668466fa055edba7174d9c0df24f78acc3d8fdcbd6"},
		{second, "dc538a03bc5848fd55e4b073ac620418d4853d637a0fbe52313606e0e7063772"},
	} {
		if c.got.Hash != c.want {
			t.Errorf("#%d: got hash %s, want %s", c.got.Seq, c.got.Hash, c.want)
		}
	}
	if second.Seq != 2 || second.Prev != first.Hash || second.KeyID != NewKey("secret").ID() {
		t.Errorf("got %+v, want it to follow %+v", second, first)
	}
	if got, want := string(first.Detail), `{"why":"ü & <b>"}`; got != want {
		t.Errorf("got detail %s, want %s", got, want)
	}
	if got, want := first.At, morning.Add(time.Millisecond); got != want {
		t.Errorf("got time %v, want %v", got, want)
	}
}

// TestNoTwoEncodings moves text from one field to the next: it is another entry.
func TestNoTwoEncodings(t *testing.T) {
	seen := map[string]Entry{}
	for _, e := range []Entry{
		{Actor: "ab"}, {Actor: "a", Verb: "b"}, {Verb: "ab"}, {Verb: "a", App: "b"}, {App: "ab"}, {Name: "ab"}, {Name: "a", Ticket: "b"},
		{Ticket: "ab"}, {Actor: "ab\x00"}, {Actor: "\x02ab"}, {Actor: "\x01a\x01b"},
	} {
		e.At = morning
		hash := Key{}.Seal(Head{}, e).Hash
		if other, twice := seen[hash]; twice {
			t.Errorf("%+v and %+v have one hash", other, e)
		}
		seen[hash] = e
	}
}

func TestKey(t *testing.T) {
	const canary = "c4n4ry-ledger-secret"
	k := NewKey(canary)
	if got := k.ID(); len(got) != 8 || got != NewKey(" "+canary+"\n").ID() || got == NewKey("x").ID() {
		t.Errorf("got id %q", got)
	}
	if NewKey("") != (Key{}) || NewKey(" \n") != (Key{}) || (Key{}).ID() != "" {
		t.Error("an empty secret is a key")
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", k, "in", struct{ Key Key }{k})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", k, "in", struct{ Key Key }{k})
	encoded, err := json.Marshal(struct{ Key Key }{k})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{
		fmt.Sprintf("%v %+v %#v %s %q %x", k, k, k, k, k, k), fmt.Sprintf("%v %+v %#v", []Key{k}, struct{ key Key }{k}, &struct{ key Key }{k}), log.String(), string(encoded),
	} {
		for _, leaked := range []string{canary, fmt.Sprintf("%x", canary), strings.Trim(fmt.Sprint([]byte(canary)), "[]")} {
			if strings.Contains(got, leaked) {
				t.Errorf("the secret is in %s", got)
			}
		}
	}
}

func TestCheck(t *testing.T) {
	change := func(f func(e *Entry)) Entry {
		e := entry(1)
		f(&e)
		return e
	}
	for name, c := range map[string]struct {
		entry Entry
		want  string // a part of the error; empty: none
	}{
		"as it should be":    {entry(1), ""},
		"no detail":          {change(func(e *Entry) { e.Detail = nil }), ""},
		"by the bot, no app": {change(func(e *Entry) { e.Actor, e.App, e.Name, e.Ticket = Bot, "", "", "" }), ""},
		"no time":            {change(func(e *Entry) { e.At = time.Time{} }), "no time"},
		"no actor":           {change(func(e *Entry) { e.Actor = "" }), "no actor"},
		"another verb":       {change(func(e *Entry) { e.Verb = "approve" }), `"approve" is not one of its verbs`},
		"two lines":          {change(func(e *Entry) { e.Name = "shop\n#2" }), "its name"},
		"NUL":                {change(func(e *Entry) { e.Ticket = "T\x00" }), "its ticket"},
		"invalid UTF-8":      {change(func(e *Entry) { e.Actor = "U\xff" }), "its actor"},
		"detail no JSON":     {change(func(e *Entry) { e.Detail = json.RawMessage(`{"a":`) }), "not a JSON object"},
		"detail a list":      {change(func(e *Entry) { e.Detail = json.RawMessage(` [1]`) }), "not a JSON object"},
		"detail not UTF-8":   {change(func(e *Entry) { e.Detail = json.RawMessage("{\"a\":\"\xff\"}") }), "not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.entry.Check()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if verbs := Verbs(); len(slices.Compact(slices.Sorted(slices.Values(verbs)))) != len(verbs) {
		t.Errorf("two verbs are the same: %v", verbs)
	}
}

func TestParseHead(t *testing.T) {
	const hash = "ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56ab12cd34ef56abcd"
	short := Head{1234, "ab12cd34ef56"}
	for text, want := range map[string]Head{
		Head{1234, hash}.String(): short,
		"#1234 " + hash:           {1234, hash},
		" `#1234  AB12cd34ef56…`": short,
		"1234 ab12cd34ef56":       short,
		"#1 ab12cd34ef56":         {1, "ab12cd34ef56"},
		// Not heads.
		"": {}, "#": {}, "#1234": {}, "ab12cd34ef56": {}, "#1234 ab12…": {}, "#1234 ab12cd34ef5": {}, "#1234 " + hash + "0": {}, "#1234 gb12cd34ef56": {},
		"#0 ab12cd34ef56": {}, "#-1 ab12cd34ef56": {}, "#+1 ab12cd34ef56": {}, "#9223372036854775808 ab12cd34ef56": {}, "#1 ab12cd34ef56 x": {},
	} {
		got, err := ParseHead(text)
		if got != want || (err == nil) != (want != Head{}) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if got := (Head{}).String(); got != "#0" {
		t.Errorf("the head of an empty ledger: got %q, want #0", got)
	}
}

func FuzzParseHead(f *testing.F) {
	f.Add("#1234 ab12cd34ef56")
	f.Add("`7 AB12CD34EF56…`")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHead(text)
		if err != nil {
			return
		}
		again, err := ParseHead(fmt.Sprintf("#%d %s", h.Seq, h.Hash))
		if err != nil || again != h || h.Seq < 1 {
			t.Errorf("%q: got %+v, and %+v, %v when read again", text, h, again, err)
		}
	})
}
