package commands

import (
	"context"
	"errors"
	"strings"
	"testing"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// oneApp is a Heroku that knows shop and nothing else.
type oneApp struct{ asked []string }

func (o *oneApp) ReadApp(_ context.Context, ref fleet.Ref) (fleet.App, error) {
	o.asked = append(o.asked, ref.String())
	switch ref.String() {
	case "shop":
		return fleet.App{ID: "01234567-89ab-cdef-0123-456789abcdef", Name: "shop"}, nil
	case "vault":
		return fleet.App{}, &fleet.Problem{Kind: fleet.TwoFactor, App: "vault"}
	case "broken":
		return fleet.App{}, errors.New("boom")
	}
	return fleet.App{}, &fleet.Problem{Kind: fleet.NotFound, Op: "read app"}
}

func (o *oneApp) ReadNames(context.Context) ([]string, error) {
	return []string{"shop", "shop-worker", "billing", "vault"}, nil
}

type inForce struct{ p policy.Policy }

func (f inForce) Policy() policy.Policy { return f.p }

func testTable(t *testing.T, yaml string) (Table, *oneApp) {
	t.Helper()
	p := policy.Default()
	if yaml != "" {
		var err error
		if p, err = policy.Parse("zdd.yml", []byte(yaml)); err != nil {
			t.Fatal(err)
		}
	}
	apps := &oneApp{}
	return New(Deps{Apps: apps, Policies: inForce{p}}), apps
}

var member = Person{ID: "U0REQUESTER", Team: "T1", Kind: Member}

// Real lines, and the app that each one reads or the beginning of what is answered.
func TestLines(t *testing.T) {
	tests := []struct{ line, app, says string }{
		{line: "status shop", app: "shop"},
		{line: "STATUS Shop", app: "shop"},
		{line: "/zdd status shop", app: "shop"},
		{line: "status “shop”", app: "shop"},
		{line: "status 'shop'", app: "shop"},
		{line: "status\u00a0 shop \u200b", app: "shop"},
		{line: "status --app shop", app: "shop"},
		{line: "status -a shop", app: "shop"},
		{line: "status —app shop", app: "shop"},
		{line: "status –app=shop", app: "shop"},
		{line: "status <https://dashboard.heroku.com/apps/shop|dashboard.heroku.com/apps/shop>", app: "shop"},
		{line: "status https://dashboard.heroku.com/apps/shop/resources", app: "shop"},
		{line: "status https://shop-0123456789ab.herokuapp.com/login", app: "shop-0123456789ab.herokuapp.com"},
		{line: "status", says: "Which app?"},
		{line: "status ''", says: "Which app?"},
		{line: "status shop billing", says: "status takes one word, and I read 2: shop, billing"},
		{line: "status shop team=x", says: "status takes no options"},
		{line: "status shop --verbose", says: "status takes no options"},
		{line: "status sohp", app: "sohp", says: "sohp is not among the apps"},
		{line: "status shop/config-vars#", says: "I can't read shop/config-vars# as an app"},
		{line: "status x/../../account", says: "I can't read x/../../account as an app"},
		{line: "status x?y=1", says: "I can't read x?y=1 as an app"},
		{line: "status ѕhop", says: "I can't read ѕhop as an app"}, // Cyrillic ѕ
		{line: "status https://evil.example/apps/shop", says: "I can't read"},
		{line: "status vault", app: "vault", says: "vault is protected by two-factor"},
		{line: "", says: "I make every deploy"},
		{line: "help", says: "I make every deploy"},
		{line: "help status", says: "status [app]: say whether"},
		{line: "help stauts", says: "There is no command stauts; did you mean help status?"},
		{line: "stauts shop", says: "I don't know stauts. Did you mean status?"},
		{line: "shop", says: "I don't know shop. Did you mean show? If it is an app, say status shop."},
		{line: "<!channel>", says: "I don't know <!channel>."},
		{line: strings.Repeat("x", 3000), says: "That line is too long"},
	}
	for _, tt := range tests {
		t.Run(tt.line[:min(len(tt.line), 60)], func(t *testing.T) {
			table, apps := testTable(t, "")
			reply, err := table.Run(t.Context(), tt.line, Request{By: member, Via: Slash})
			if refusal, ok := errors.AsType[*Refusal](err); ok {
				reply = refusal.Reply
			} else if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(apps.asked, " "); got != tt.app {
				t.Errorf("asked for %q, want %q", got, tt.app)
			}
			if !strings.HasPrefix(reply.Summary, tt.says) {
				t.Errorf("got %q, want it to begin with %q", reply.Summary, tt.says)
			}
			if reply.Summary == "" || len(reply.Parts) == 0 {
				t.Errorf("got an empty reply %+v", reply)
			}
		})
	}
}

func TestWhoMayRead(t *testing.T) {
	const narrow = "people: { readers: [U0READER] }"
	tests := map[string]struct {
		by     Person
		policy string
		says   string // empty: answered
	}{
		"member":                 {by: member},
		"operator at a terminal": {by: Person{Kind: Operator}, policy: narrow},
		"guest":                  {by: Person{ID: "U1", Kind: Guest}, says: "You are a guest"},
		"foreign":                {by: Person{ID: "U1", Kind: Foreign}, says: "You are of another workspace"},
		"deactivated":            {by: Person{ID: "U1", Kind: Deactivated}, says: "This account is deactivated"},
		"bot":                    {by: Person{ID: "U1", Kind: Machine}, says: "I answer people"},
		"unknown":                {by: Person{ID: "U1"}, says: "I could not find out who you are"},
		"a reader":               {by: Person{ID: "U0READER", Kind: Member}, policy: narrow},
		"an approver":            {by: Person{ID: "U0APPROVER", Kind: Member}, policy: "people: { readers: [U0READER], approvers: [U0APPROVER] }"},
		"an operator":            {by: Person{ID: "U0OPERATOR", Kind: Member}, policy: "people: { readers: [U0READER], operators: [U0OPERATOR] }"},
		"no reader":              {by: member, policy: narrow, says: "The policy's people.readers does not name you"},
		"group unreadable":       {by: member, policy: "people: { readers: [S0READERS] }", says: "The policy names user groups"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table, apps := testTable(t, tt.policy)
			_, err := table.Run(t.Context(), "status shop", Request{By: tt.by, Via: Slash})
			switch refusal, ok := errors.AsType[*Refusal](err); {
			case tt.says == "" && err != nil:
				t.Errorf("got %v, want an answer", err)
			case tt.says != "" && !ok:
				t.Errorf("got %v, want a refusal", err)
			case tt.says != "" && !strings.HasPrefix(refusal.Error(), tt.says):
				t.Errorf("got %q, want it to begin with %q", refusal, tt.says)
			case tt.says != "" && len(apps.asked) > 0:
				t.Errorf("read %q for someone who may not", apps.asked)
			}
		})
	}
}

func TestUnexpectedErrorIsNoRefusal(t *testing.T) {
	table, _ := testTable(t, "")
	_, err := table.Run(t.Context(), "status broken", Request{By: member})
	if _, refused := errors.AsType[*Refusal](err); err == nil || refused {
		t.Errorf("got %v, want an error for the log", err)
	}
}

// Every kind of problem has a sentence of its own that says what to do.
func TestExplain(t *testing.T) {
	seen := map[string]fleet.Kind{}
	for _, kind := range []fleet.Kind{fleet.NotFound, fleet.Forbidden, fleet.TwoFactor, fleet.Suspended, fleet.Delinquent, fleet.Unauthorized, fleet.RateLimited, fleet.Unavailable, fleet.Refused} {
		got := Explain(&fleet.Problem{Kind: kind, App: "shop", Message: "a `message`"}).Error()
		if other, twice := seen[got]; twice {
			t.Errorf("%s and %s are told the same: %q", kind, other, got)
		}
		seen[got] = kind
	}
}

func TestNearest(t *testing.T) {
	names := []string{"shop", "shop-worker", "billing", "blog"}
	for word, want := range map[string]string{
		"shpo": "shop", "shop-workr": "shop-worker", "bil": "billing", "worker": "shop-worker", "sho": "shop shop-worker", "zzzzzz": "", "": "",
	} {
		if got := strings.Join(nearest(word, names, 3), " "); got != want {
			t.Errorf("nearest(%q): got %q, want %q", word, got, want)
		}
	}
}

// No text makes the parser panic, ask Heroku for anything but a clean name, or answer with nothing.
func FuzzRun(f *testing.F) {
	for _, seed := range []string{"status shop", "status “shop” a=b", "help --x", "<!channel> `x`", "status x/../../account", "—app=", "=", "-", "' ' \""} {
		f.Add(seed)
	}
	p := policy.Default()
	f.Fuzz(func(t *testing.T, line string) {
		apps := &oneApp{}
		reply, err := New(Deps{Apps: apps, Policies: inForce{p}}).Run(t.Context(), line, Request{By: member, Via: Slash})
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			reply = refusal.Reply
		} else if err != nil && !strings.Contains(err.Error(), "boom") {
			t.Fatal(err)
		} else if err != nil {
			return
		}
		if reply.Summary == "" {
			t.Errorf("%q got an empty answer", line)
		}
		for _, name := range apps.asked {
			if _, err := fleet.ParseRef(name); err != nil || strings.ContainsAny(name, "/#?%\\ ") {
				t.Errorf("%q asked Heroku for %q", line, name)
			}
		}
	})
}
