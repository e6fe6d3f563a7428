package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

// waived is a waiver of preboot until the end of January, asked for on 23 November 2026.
func waived(change func(w *policy.Waiver)) policy.Waiver {
	asked := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	w := policy.Waiver{
		ID: "W-3", State: policy.WaiverActive, App: fleettest.App("standard-1x").ID, Name: "shop", Check: "preboot", Reason: policy.VendorLimit,
		Text: "one `connection` <!channel>", By: "U0REQUESTER", Origin: "o", AskedAt: asked, From: asked, Until: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC),
	}
	if change != nil {
		change(&w)
	}
	return w
}

// waiverBook is a desk that keeps what it is given, and refuses what the test says.
type waiverBook struct {
	all  []policy.Waiver
	no   error
	told []string
}

func (b *waiverBook) Rules(_ context.Context, app fleet.App) (policy.Rules, error) {
	rules := policy.Default().For(app)
	rules.Waivers = b.all
	return rules, b.no
}

func (b *waiverBook) Of(_ context.Context, app fleet.ID) (of []policy.Waiver, err error) {
	for _, w := range b.all {
		if w.App == app {
			of = append(of, w)
		}
	}
	return of, b.no
}

func (b *waiverBook) Open(context.Context) ([]policy.Waiver, error) { return b.all, b.no }

func (b *waiverBook) Waiver(_ context.Context, id string) (policy.Waiver, error) {
	for _, w := range b.all {
		if w.ID == id {
			return w, nil
		}
	}
	return policy.Waiver{}, &approval.No{Text: "There is no waiver `" + id + "`."}
}

func (b *waiverBook) Ask(_ context.Context, a approval.WaiveFor) (policy.Waiver, bool, error) {
	b.told = append(b.told, "ask "+string(a.Check)+" "+a.Until.UTC().Format(time.RFC3339)+" "+string(a.Reason)+" "+a.Text)
	w := waived(func(w *policy.Waiver) { w.Check, w.Until, w.Reason, w.Text = a.Check, a.Until, a.Reason, a.Text })
	return w, b.no == nil, b.no
}

func (b *waiverBook) decide(did, id, reason string) (policy.Waiver, error) {
	b.told = append(b.told, strings.TrimSpace(did+" "+id+" "+reason))
	w, err := b.Waiver(context.Background(), id)
	return w, errors.Join(err, b.no)
}

func (b *waiverBook) Approve(_ context.Context, id string, _ approval.Person) (policy.Waiver, error) {
	return b.decide("approve", id, "")
}

func (b *waiverBook) Deny(_ context.Context, id string, _ approval.Person, reason string) (policy.Waiver, error) {
	return b.decide("deny", id, reason)
}

func (b *waiverBook) End(_ context.Context, id string, _ approval.Person, reason string) (policy.Waiver, error) {
	return b.decide("end", id, reason)
}

// aloneApp answers for one app, under whatever name it has.
type aloneApp struct{ app fleet.App }

func (o aloneApp) ReadApp(_ context.Context, ref fleet.Ref) (fleet.App, error) {
	if ref.String() == o.app.Name || ref.String() == string(o.app.ID) {
		return o.app, nil
	}
	return fleet.App{}, &fleet.Problem{Kind: fleet.NotFound, App: ref.String()}
}

func (o aloneApp) ReadNames(context.Context) ([]string, error) { return []string{o.app.Name}, nil }

type defaults struct{ p policy.Policy }

func (d defaults) Policy() policy.Policy { return d.p }

// waiving runs a line at a desk, on Monday 23 November 2026 at ten in UTC.
func waiving(t *testing.T, book *waiverBook, req Request, line string) (Reply, error) {
	t.Helper()
	app := fleettest.App("standard-1x web=2 affinity")
	app.Name = "shop"
	table := New(Deps{Apps: aloneApp{app}, Policies: defaults{policy.Default()}, Desk: ticketless{}, Waivers: book, Waiving: book})
	req.By, req.Now, req.Origin = Person{ID: "U0REQUESTER", Kind: Member}, time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), "o"
	if req.Via == "" {
		req.Via = Slash
	}
	reply, err := table.Run(t.Context(), line, req)
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		return refusal.Reply, err
	}
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return reply, nil
}

// ticketless is a desk without tickets.
type ticketless struct{ desk }

func (ticketless) Pending(context.Context) ([]approval.Ticket, error) { return nil, nil }

func TestWaiveReadsALine(t *testing.T) {
	const end = " 2027-02-01T00:00:00Z "
	for line, want := range map[string]string{
		"waive shop preboot until 31 Jan because accepted-risk":                                         "ask preboot" + end + "accepted-risk ",
		"waive shop preboot until 31 Jan because accepted-risk we know":                                 "ask preboot" + end + "accepted-risk we know",
		"waive shop PREBOOT UNTIL 31 Jan BECAUSE Accepted-Risk we know":                                 "ask preboot" + end + "accepted-risk we know",
		"waive shop preboot until '31 Jan' because accepted risk":                                       "ask preboot" + end + "accepted-risk ",
		"waive shop preboot because accepted-risk until 31 Jan":                                         "ask preboot" + end + "accepted-risk ",
		"waive shop preboot till 2027-01-31 because vendor-limit x until we move because y":             "ask preboot" + end + "vendor-limit x until we move because y",
		"waive shop session affinity until 31 Jan because not-needed":                                   "ask session-affinity" + end + "not-needed ",
		"waive shop preboot until 31 Jan because vendor-limit size=small --force -x and a=b":            "ask preboot" + end + "vendor-limit size=small --force -x and a=b",
		"waive --app shop preboot until 31 Jan because being-retired":                                   "ask preboot" + end + "being-retired ",
		"waive shop preboot for 4 hours because migration-window":                                       "ask preboot 2026-11-23T14:00:00Z migration-window ",
		"waive shop preboot until tomorrow 18:00 because migration-window":                              "ask preboot 2026-11-24T18:00:00Z migration-window ",
		"waive " + string(fleettest.App("standard-1x").ID) + " preboot until friday because not-needed": "ask preboot 2026-11-28T00:00:00Z not-needed ",
	} {
		book := &waiverBook{}
		reply, err := waiving(t, book, Request{}, line)
		if err != nil || !slices.Equal(book.told, []string{want}) {
			t.Errorf("%s: got %q, %v, want %q", line, book.told, err, want)
		}
		if text := rendered(reply); !strings.Contains(text, "Just now: Preboot is off") && !strings.Contains(line, "session") {
			t.Errorf("%s: got no word on how it is now:\n%s", line, text)
		}
	}
	// From a button's dialog comes the date alone.
	book := &waiverBook{}
	if _, err := waiving(t, book, Request{Note: "31 Jan"}, "waive shop preboot because vendor-limit one connection"); err != nil || !slices.Equal(book.told, []string{"ask preboot" + end + "vendor-limit one connection"}) {
		t.Errorf("got %q, %v", book.told, err)
	}
}

func TestWaiveRefuses(t *testing.T) {
	for line, want := range map[string][]string{
		"waive":      {"Which app?"},
		"waive shop": {"Which check of shop?", "dyno-tier"},
		"waive shop prebot until 31 Jan because accepted-risk": {"no check prebot", "Did you mean preboot?", "[Waive preboot]"},
		"waive shop preboot":                                                   {"Until when, and why? Nothing was waived.", "/zdd waive shop preboot until 7 Dec because <reason>", "[Because not-needed…]"},
		"waive shop preboot because lazy":                                      {"lazy is no reason that I know", "/zdd waive shop preboot until 7 Dec because <reason> lazy"},
		"waive shop preboot until 31 Jan":                                      {"Why?", "[Because not-needed]", "/zdd waive shop preboot until 31 Jan because <reason>"},
		"waive shop preboot until 31 Jan because":                              {"Why?"},
		"waive shop preboot until 31 Jan because lazy":                         {"lazy is no reason that I know"},
		"waive shop preboot because accepted-risk":                             {"Until when?", "[Another date…]"},
		"waive shop preboot until 31 Feb because accepted-risk":                {"There is no 31 February. Nothing was waived.", "`"},
		"waive shop preboot until `1/2` because accepted-risk":                 {"1 February to some"},
		"waive nowhere preboot until 31 Jan because accepted-risk":             {"nowhere is not among the apps"},
		"waive shop preboot until 31 Jan because accepted-risk <!channel> `x`": nil,
		"unwaive":           {"Which waiver?"},
		"unwaive shop":      {"Which waiver?"},
		"unwaive W-9":       {"There is no waiver W-9."},
		"unwaive shop web":  {"No waiver of web for shop"},
		"show W-9":          {"There is no waiver W-9."},
		"waivers elsewhere": {"elsewhere is not among the apps"},
	} {
		book := &waiverBook{}
		reply, err := waiving(t, book, Request{}, line)
		text := rendered(reply)
		for _, w := range want {
			if w == "`" { // nothing that was typed breaks out of its code
				if strings.Contains(text, "`") {
					t.Errorf("%s: got a stray backtick in\n%s", line, text)
				}
			} else if err == nil || !strings.Contains(text, w) {
				t.Errorf("%s: got %v and\n%s\nwant %q", line, err, text, w)
			}
		}
		if want != nil && slices.ContainsFunc(book.told, func(s string) bool { return strings.HasPrefix(s, "ask") }) {
			t.Errorf("%s: it was asked for: %q", line, book.told)
		}
	}
	reply, err := waiving(t, &waiverBook{no: &approval.No{Text: "Not you.", Paste: "people:\n  operators: [U0REQUESTER]"}}, Request{}, "waive shop preboot until friday because not-needed")
	if text := rendered(reply); err == nil || !strings.Contains(text, "Not you.") {
		t.Errorf("got %v and\n%s", err, text)
	}
}

// TestDecisionsByLetter: the same commands decide on tickets and on waivers, by their ids.
func TestDecisionsByLetter(t *testing.T) {
	digest := planOption + "=" + waiverDigest(waived(nil))
	for line, want := range map[string]string{
		"approve W-3": "approve W-3", "approve w3": "approve W-3", "approve W-3 " + digest: "approve W-3",
		"deny W-3 not now": "deny W-3 not now", "cancel W-3": "end W-3", "cancel w-3 gone": "", "unwaive W-3 it is fixed": "end W-3 it is fixed",
		"unwaive shop preboot": "end W-3", "unwaive shop preboot it is fixed": "end W-3 it is fixed", "unwaive W-3 " + digest: "end W-3",
		"approve W-3 plan=00000000": "", "unwaive W-3 plan=00000000": "",
	} {
		book := &waiverBook{all: []policy.Waiver{waived(nil)}}
		reply, err := waiving(t, book, Request{}, line)
		if got := strings.Join(book.told, "; "); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
		if text := rendered(reply); want != "" && (err != nil || !strings.Contains(text, "W-3 · preboot of shop: waived")) {
			t.Errorf("%s: got %v and\n%s", line, err, text)
		}
	}
	// One holds, and another one waits to take its place.
	book := &waiverBook{all: []policy.Waiver{waived(nil), waived(func(w *policy.Waiver) { w.ID, w.State = "W-4", policy.WaiverPending })}}
	if reply, err := waiving(t, book, Request{}, "unwaive shop preboot"); err == nil || len(book.told) > 0 || !strings.Contains(rendered(reply), "[End W-3, which holds] [End W-4, which waits]") {
		t.Errorf("got %v, %q and\n%s", err, book.told, rendered(reply))
	}
	for n := range 30 { // of as many people
		book.all = append(book.all, waived(func(w *policy.Waiver) { w.ID, w.State = fmt.Sprint("W-1", n), policy.WaiverPending }))
	}
	reply, err := waiving(t, book, Request{}, "unwaive shop preboot")
	if text := rendered(reply); err == nil || !strings.Contains(text, "There are 32: 1 holds, 31 wait for a decision.") || strings.Count(text, "[End ") != waiversPressed {
		t.Errorf("got %v and\n%s", err, text)
	}
	book.all = book.all[:2]
	if reply, _ := waiving(t, book, Request{}, "pending"); !strings.Contains(rendered(reply), "W-4 Preboot of shop until the end of Sunday, 31 January 2027, UTC") || strings.Contains(rendered(reply), "W-3") {
		t.Errorf("got\n%s", rendered(reply))
	}
	// One whose app is deleted is found by its name.
	book = &waiverBook{all: []policy.Waiver{waived(func(w *policy.Waiver) { w.App, w.Name = "01234567-89ab-4cde-8f01-23456789abcd", "gone" })}}
	if _, err := waiving(t, book, Request{}, "unwaive gone preboot"); err != nil || !slices.Equal(book.told, []string{"end W-3"}) {
		t.Errorf("got %v, %q", err, book.told)
	}
}

func TestWaiverReply(t *testing.T) {
	pol := policy.Default()
	pol.Nightly.Timezone = "Europe/Berlin"
	berlin := pol.Nightly.Location()
	at := func(day, hour int) time.Time { return time.Date(2027, 1, day, hour, 0, 0, 0, berlin) }
	for name, c := range map[string]struct {
		change func(w *policy.Waiver)
		view   WaiverView
		want   []string // "!": not
	}{
		"in force": {view: WaiverView{To: ForRequester, Now: at(30, 10)}, want: []string{
			"W-3 · preboot of shop: waived", "You asked to waive Preboot of shop until the end of Sunday, 31 January 2027, Europe/Berlin, 1 day.", "vendor-limit: “one `connection` <!channel>”", "[Renew…] [End it] [Status]", "On Heroku nothing was changed"}},
		"on its last day":  {view: WaiverView{To: ForAsker, Now: at(31, 10)}, want: []string{"@U0REQUESTER asked to waive", "today only"}},
		"without words":    {change: func(w *policy.Waiver) { w.Text = "" }, want: []string{"vendor-limit: Heroku, or what the app is made of"}},
		"to a time of day": {change: func(w *policy.Waiver) { w.Until = at(30, 18) }, view: WaiverView{Now: at(30, 14)}, want: []string{"until 18:00 on Saturday, 30 January 2027, Europe/Berlin, 4 hours."}},
		"for a migration":  {change: func(w *policy.Waiver) { w.Reason = policy.MigrationWindow }, want: []string{"remind @U0REQUESTER if it still fails"}},
		"waits, for approvers": {change: func(w *policy.Waiver) { w.State, w.Approvals = policy.WaiverPending, 1 }, view: WaiverView{To: ForApprovers}, want: []string{
			"a waiver awaits approval", "@U0REQUESTER asks to waive", "69 days", "Approvals: 0 of 1", "Nothing is waived yet.", "[Approve] [Deny] [Cancel] [Status]"}},
		"waits, for its owner": {change: func(w *policy.Waiver) { w.State, w.Approvals = policy.WaiverPending, 1 }, view: WaiverView{To: ForRequester}, want: []string{"[Cancel]", "![Approve]"}},
		"denied": {change: func(w *policy.Waiver) { w.State, w.DecidedBy, w.Why = policy.WaiverDenied, "U2", "no <!here>" }, want: []string{
			"the waiver was denied", "Denied by @U2: “no <!here>”. It waived nothing.", "[Ask again…] [Status]"}},
		"void":                {change: func(w *policy.Waiver) { w.State, w.Why = policy.WaiverCancelled, "Who asked is no operator any more" }, want: []string{"Called off: who asked is no operator any more."}},
		"ended":               {change: func(w *policy.Waiver) { w.State, w.DecidedBy = policy.WaiverEnded, "U2" }, want: []string{"Ended by @U2. The check counts again."}},
		"replaced":            {change: func(w *policy.Waiver) { w.State, w.Replaced = policy.WaiverReplaced, "W-4" }, want: []string{"renewed as W-4", "[W-4] [Status]"}},
		"over":                {change: func(w *policy.Waiver) { w.State = policy.WaiverExpired }, want: []string{"the waiver has run out", "and the check counts again.", "[Ask again…]", "![Fix…]"}},
		"not decided in time": {change: func(w *policy.Waiver) { w.State, w.From = policy.WaiverExpired, time.Time{} }, want: []string{"nobody decided on the waiver in time", "It waived nothing."}},
		"still off":           {change: func(w *policy.Waiver) { w.State, w.Still = policy.WaiverExpired, "Preboot is off." }, want: []string{"Preboot is off.", "[Fix…] [Another window…] [Status]"}},
		"unreadable": {change: func(w *policy.Waiver) {
			*w = policy.Waiver{ID: "W-3", State: policy.WaiverUnreadable, Check: "preboot"}
		}, want: []string{"can't be read, and waives nothing"}},
	} {
		c.view.Policy = pol
		w := waived(func(w *policy.Waiver) { w.Until = time.Date(2027, 2, 1, 0, 0, 0, 0, berlin) })
		if c.change != nil {
			c.change(&w)
		}
		reply := WaiverReply(w, c.view)
		text := rendered(reply)
		for _, want := range c.want {
			never, not := strings.CutPrefix(want, "!")
			if strings.Contains(text, never) == not {
				t.Errorf("%s: got\n%s\nwant %q", name, text, want)
			}
		}
		if reply.Summary == "" {
			t.Errorf("%s: it has no summary", name)
		}
	}
	for _, b := range waiverButtons(waived(nil), WaiverView{Policy: pol}) {
		if strings.HasPrefix(b.Run, "waive ") && (b.Ask == nil || !strings.HasSuffix(b.Run, "preboot because vendor-limit one `connection` <!channel>")) {
			t.Errorf("got %q, want a line that asks for the same with another end", b.Run)
		}
	}
}

// TestStatusOfTheWaived: what is waived is shown as what it is, and never promised.
func TestStatusOfTheWaived(t *testing.T) {
	app := fleettest.App("standard-1x web=2 affinity")
	app.Name = "shop"
	book := &waiverBook{all: []policy.Waiver{waived(nil)}}
	reply, _ := waiving(t, book, Request{}, "status shop")
	text := rendered(reply)
	for _, want := range []string{"shop: ready, with one check waived", "waived: Preboot is off", "deploys of this app may drop requests"} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%s\nwant %q", text, want)
		}
	}
	if strings.Contains(text, "Deploys of this app are zero-downtime") {
		t.Errorf("what is waived is promised:\n%s", text)
	}
	book.no = errors.New("the database is away")
	reply, _ = waiving(t, book, Request{}, "status shop")
	if text := rendered(reply); !strings.Contains(text, "shop: not ready") || !strings.Contains(text, "The waivers could not be read") {
		t.Errorf("got\n%s\nwant that it fails, and why its waiver does not count", text)
	}
	all := audit.Judge(fleettest.App("eco web=1"), policy.Rules{}, time.Now())
	if got := waivedSentence(audit.VerdictNotApplicable, "x"); !strings.Contains(got, "neither ready nor not") || len(waivedOf(all)) != 0 {
		t.Errorf("got %q", got)
	}
}

// The card of an app that fails what counts offers its reader a waiver, by dialog, where they
// may ask for one.
func TestStatusOffersAWaiver(t *testing.T) {
	for name, tt := range map[string]struct {
		operators []string
		line      string
		waived    bool
		want      bool
	}{
		"who may":             {operators: []string{"U0REQUESTER"}, line: "standard-1x web=2 affinity", want: true},
		"who may not":         {operators: []string{"U0OTHER"}, line: "standard-1x web=2 affinity"},
		"nobody may":          {line: "standard-1x web=2 affinity"},
		"not known":           {operators: []string{"S0PLATFORM"}, line: "standard-1x web=2 affinity"},
		"nothing fails":       {operators: []string{"U0REQUESTER"}, line: "standard-1x web=2 affinity preboot"},
		"all of it is waived": {operators: []string{"U0REQUESTER"}, line: "standard-1x web=2 affinity", waived: true},
	} {
		app := fleettest.App(tt.line)
		app.Name = "shop"
		book := &waiverBook{}
		if tt.waived {
			book.all = []policy.Waiver{waived(nil)}
		}
		pol := policy.Default()
		pol.People.Operators = tt.operators
		table := New(Deps{Apps: aloneApp{app}, Policies: defaults{pol}, Desk: ticketless{}, Waivers: book, Waiving: book})
		reply, err := table.Run(t.Context(), "status shop", Request{By: Person{ID: "U0REQUESTER", Kind: Member}, Via: Slash, Now: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)})
		if err != nil {
			t.Fatal(err)
		}
		var got *FormCall
		for _, b := range reply.Parts[len(reply.Parts)-1].(Buttons).Row {
			if b.Label == "Waive…" {
				got = b.Form
			}
		}
		if (got != nil) != tt.want || got != nil && (got.Name != FormWaive || got.Values["app"] != string(app.ID) || got.Shown["app"] != "shop") {
			t.Errorf("%s: got %+v, want the dialog %t", name, got, tt.want)
		}
	}
}

// TestDigestOfWaivers: whose waiver ends is rung once, where the group is told; in the
// channel that only names the group nobody is.
func TestDigestOfWaivers(t *testing.T) {
	until := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	w := func(id string, left int) audit.Waiving {
		return audit.Waiving{ID: id, Check: "preboot", By: "U0WAIVER", Until: until, Left: left}
	}
	d := audit.Digest{
		Night: "2026-11-23", Zone: "UTC", Finished: until.AddDate(0, 0, -7),
		Counts: audit.Counts{Ready: 2, NotReady: 1, Waived: 2},
		Groups: []audit.Group{{
			Owner: "U0OWNER", Channel: "C0SHOP", Counts: audit.Counts{Ready: 2, NotReady: 1, Waived: 2},
			Waivers: []audit.WaiverLine{{App: "a", Name: "counted", Waiving: w("W-1", 7)}, {App: "b", Name: "today", Waiving: w("W-2", 0)}},
			Lines: []audit.Line{
				{App: "c", Name: "over", Kind: audit.LineNew, Checks: []string{"preboot"}, Evidence: []string{"Preboot is off"}, Why: "its waiver W-3 has run out", Waivers: []audit.Waiving{w("W-3", 0)}, Increase: fleet.Known(fleet.Money(0))},
				{App: "d", Name: "quiet", Kind: audit.LineWaived, Checks: []string{"preboot"}, Waivers: []audit.Waiving{w("W-4", 60)}},
			},
		}},
	}
	said := func(v View) string {
		parent, thread := DigestView(d, v)
		var text strings.Builder
		text.WriteString(rendered(parent))
		for _, r := range thread {
			text.WriteString(rendered(r))
		}
		return text.String()
	}
	there := said(View{Channel: "C0SHOP", Home: "C0OPS"})
	for _, want := range []string{
		"Waived: something of 2 apps, which does not count",
		"@U0WAIVER, Owner U0OWNER",
		"waived: Preboot of counted: 7 days left, until the end of Sunday, 29 November 2026, UTC · W-1 of @U0WAIVER",
		"Preboot of today: ends today",
		"fail: over waived no more: Preboot is off. Its waiver W-3 has run out.",
		"waived: Preboot (W-4) · quiet",
	} {
		if !strings.Contains(there, want) {
			t.Errorf("got\n%s\nwant %q", there, want)
		}
	}
	if n := strings.Count(there, "@U0WAIVER, "); n != 1 {
		t.Errorf("the owner of the waivers is rung %d times at the head of a section, want once:\n%s", n, there)
	}
	if home := said(View{Home: "C0OPS"}); strings.Contains(home, "@U0WAIVER") || !strings.Contains(home, "W-1 of U0WAIVER") {
		t.Errorf("told elsewhere it rings, or does not name who asked:\n%s", home)
	}
	d.Baseline = true
	if first := said(View{Channel: "C0SHOP", Home: "C0OPS"}); strings.Contains(first, "@U0WAIVER") {
		t.Errorf("the first night rings:\n%s", first)
	}
	// A night on which all is well is a line, which does not hide what is waived.
	well := audit.Digest{Night: "2026-11-23", Zone: "UTC", Counts: audit.Counts{Ready: 3, Waived: 1}}
	if parent, _ := DigestView(well, View{Home: "C0OPS"}); !strings.Contains(parent.Summary, "all 3 apps are ready") || !strings.Contains(parent.Summary, "something is waived of 1 app") {
		t.Errorf("got %q", parent.Summary)
	}
}
