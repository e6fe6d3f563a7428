package commands

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/plan"
)

// town is a Heroku of several apps, each a line of fleettest or a problem.
type town struct {
	mu    sync.Mutex
	lines map[string]string
	read  []string
}

func townID(name string) fleet.ID {
	sum := sha256.Sum256([]byte(name))
	return fleet.ID(fmt.Sprintf("01234567-89ab-cdef-0123-%x", sum[:6]))
}

func (o *town) ReadApp(_ context.Context, ref fleet.Ref) (fleet.App, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.read = append(o.read, ref.String())
	for name, line := range o.lines {
		if ref.String() != name && ref.String() != string(townID(name)) {
			continue
		}
		if kind, is := strings.CutPrefix(line, "problem="); is {
			return fleet.App{}, &fleet.Problem{Kind: fleet.Kind(kind), App: name}
		}
		if line == "boom" {
			return fleet.App{}, errors.New("boom")
		}
		app := fleettest.App(line)
		app.Name, app.ID = name, townID(name)
		return app, nil
	}
	return fleet.App{}, &fleet.Problem{Kind: fleet.NotFound, Op: "read app"}
}

func (o *town) ReadNames(context.Context) ([]string, error) {
	var names []string
	for name := range o.lines {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// asking is a desk that makes a ticket of whatever it is asked.
type asking struct {
	desk
	readOnly bool
	asked    []string // the wish of each app of each request, as it would be typed
}

func (d *asking) Ask(_ context.Context, a approval.AskFor) (approval.Ticket, bool, error) {
	d.asked = append(d.asked, a.Wish.Line(a.App.Name))
	return approval.Ticket{ID: "T-1", State: approval.Pending, Approvals: 1, Requester: a.By.ID, Wish: a.Wish, Plan: a.Plan}, true, nil
}

func (d *asking) AskMany(_ context.Context, a approval.AskMany) (approval.Ticket, bool, error) {
	t := approval.Ticket{ID: "T-1", State: approval.Pending, Approvals: 1, Requester: a.By.ID, Wish: plan.Wish{Verb: plan.ToEnable}}
	var wishes []string
	var plans []plan.Plan
	for _, one := range a.Apps {
		wishes = append(wishes, one.Wish.Line(one.App.Name))
		plans = append(plans, one.Plan)
		t.Parts = append(t.Parts, approval.Part{Wish: one.Wish, Plan: one.Plan})
	}
	d.asked = append(d.asked, strings.Join(wishes, " + "))
	t.Plan = plan.Together(plans)
	return t, true, nil
}

func (d *asking) Changeable(_ context.Context, app fleet.App) error {
	if d.readOnly {
		return &approval.No{Text: "I can look but not change anything."}
	}
	if app.Name == "own" {
		return &approval.No{Text: "`own` is the app that I run on myself. Nothing was changed."}
	}
	return nil
}

// What `enable` of several apps asks for, and what it answers.
func TestEnableSeveral(t *testing.T) {
	lines := map[string]string{
		"shop":     "standard-1x web=1",
		"billing":  "standard-1x web=2 affinity",
		"accounts": "standard-2x web=2 affinity",
		"ready":    "standard-1x web=2 affinity preboot",
		"fine":     "standard-2x web=3 affinity preboot",
		"landing":  "basic web=1",
		"cms":      "basic web=1 worker=1",
		"rules":    "performance-m web=1 affinity preboot scaler=1-4",
		"off":      "standard-1x web=0",
		"vault":    "problem=two-factor",
		"away":     "problem=unavailable",
		"limited":  "problem=rate-limited",
		"revoked":  "problem=unauthorized",
		"broken":   "boom",
		"own":      "standard-1x web=1",
	}
	for _, n := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		lines["app-"+n] = "standard-1x web=1"
	}
	id := func(name string) string { return string(townID(name)) }
	tests := map[string]struct {
		line  string
		asked string // empty: nothing is
		says  []string
		not   []string
		runs  []string // what the buttons run, of an answer that is no ticket
		idle  bool     // nothing may be changed
		err   bool     // it is no answer but an error of the program's
	}{
		"one":                    {line: "shop", asked: "enable shop", says: []string{"enable shop: awaits approval"}},
		"two":                    {line: "shop billing", asked: "enable shop + enable billing", says: []string{"T-1 · enable shop and 1 more: awaits approval", "You asked for enable shop billing.", "shop is the canary"}},
		"the order is kept":      {line: "billing shop accounts", asked: "enable billing + enable shop + enable accounts", says: []string{"billing is the canary"}},
		"commas":                 {line: "shop, billing,accounts", asked: "enable shop + enable billing + enable accounts"},
		"and":                    {line: "shop, billing and accounts", asked: "enable shop + enable billing + enable accounts"},
		"and, with commas":       {line: "shop, billing, AND accounts", asked: "enable shop + enable billing + enable accounts"},
		"and, as a sign":         {line: "shop &amp; billing", asked: "enable shop + enable billing"},
		"and alone":              {line: "and", says: []string{"and is not among the apps"}},
		"twice the same":         {line: "shop shop SHOP " + id("shop") + " billing", asked: "enable shop + enable billing"},
		"one, named twice":       {line: "shop " + id("shop"), asked: "enable shop", says: []string{"enable shop: awaits approval"}},
		"one is ready":           {line: "shop ready billing fine", asked: "enable shop + enable billing", says: []string{"Left out, because they are so already: ready, fine."}},
		"one remains":            {line: "ready shop", asked: "enable shop", says: []string{"enable shop: awaits approval", "Left out, because it is so already: ready."}},
		"all are ready":          {line: "ready fine", says: []string{"Nothing to do for enable ready fine: they are all so already."}},
		"by hand":                {line: "shop rules billing", asked: "enable shop + enable billing", says: []string{"Left out, because it is yours to do: rules: Raise the minimum"}},
		"nothing but by hand":    {line: "rules ready", says: []string{"There is nothing for me to do", "yours to do: rules", "so already: ready"}},
		"one can't be read":      {line: "shop vault billing", says: []string{"I asked for nothing and changed nothing", "fail: vault: vault is protected by two-factor", "[Enable the other 2…]"}, runs: []string{"enable " + id("shop") + " " + id("billing")}},
		"one is not there":       {line: "shop bilings", says: []string{"fail: bilings: bilings is not among the apps", "Did you mean billing?", "[Enable shop alone…]"}, runs: []string{"enable " + id("shop")}},
		"one is no name":         {line: "shop x/../../account", says: []string{"fail: x/../../account: I can't read x/../../account as an app"}, runs: []string{"enable " + id("shop")}},
		"one is switched off":    {line: "shop off", says: []string{"fail: off: "}, runs: []string{"enable " + id("shop")}},
		"one is the bot's own":   {line: "shop own billing", says: []string{"fail: own: own is the app that I run on myself", "[Enable the other 2…]"}, runs: []string{"enable " + id("shop") + " " + id("billing")}},
		"nothing may be changed": {line: "shop billing", idle: true, says: []string{"I can look but not change anything."}, not: []string{"fail:"}},
		"none can be done":       {line: "vault off", says: []string{"none of these apps can be done", "fail: vault", "fail: off"}, runs: nil},
		"a refused and a done":   {line: "vault ready", says: []string{"fail: vault", "so already: ready"}, runs: nil},
		"one needs a size": {line: "shop landing", says: []string{"fail: landing: ", "[Enable shop alone…] [Enable all 2 with size=standard-1x…]"},
			runs: []string{"enable " + id("shop"), "enable " + id("shop") + " " + id("landing") + " size=standard-1x"}},
		"one needs a size, and one is off": {line: "shop landing off", says: []string{"fail: landing: ", "fail: off: "}, runs: []string{"enable " + id("shop")}},
		"a size for those that need one":   {line: "shop landing size=standard-2x", asked: "enable shop + enable landing size=standard-2x", says: []string{"You asked for enable shop landing size=standard-2x."}},
		"a size for two":                   {line: "landing cms size=standard-1x", asked: "enable landing size=standard-1x + enable cms size=standard-1x"},
		"a size that nobody needs":         {line: "shop billing size=standard-2x", says: []string{"size= is for Eco and Basic apps only"}},
		"a size that none can have":        {line: "shop landing size=huge", says: []string{"huge is no dyno size that can preboot"}, runs: []string{"enable " + id("shop"), "enable " + id("shop") + " " + id("landing") + " size=standard-1x"}},
		"heroku is away for one":           {line: "shop away", says: []string{"fail: away: Heroku's API did not answer"}, runs: []string{"enable " + id("shop")}},
		"the account's limit":              {line: "shop limited", says: []string{"fail: limited: The Heroku account that I use has used up its API calls"}, runs: []string{"enable " + id("shop")}},
		"the token is revoked":             {line: "shop revoked billing", says: []string{"Heroku does not accept my token any more"}, not: []string{"fail:"}},
		"an error of the program":          {line: "shop broken", err: true},
		"ten":                              {line: "app-a app-b app-c app-d app-e app-f app-g app-h app-i app-j", asked: "enable app-a + enable app-b + enable app-c + enable app-d + enable app-e + enable app-f + enable app-g + enable app-h + enable app-i + enable app-j", says: []string{"enable app-a and 9 more", "$250.00 → $500.00 a month"}},
		"too many": {line: "app-a app-b app-c app-d app-e app-f app-g app-h app-i app-j app-k app-l", says: []string{"You named 12 apps, and I take 10 at once at the most", "[Enable 1 to 10…] [Enable 11 to 12…]"},
			runs: []string{"enable app-a app-b app-c app-d app-e app-f app-g app-h app-i app-j", "enable app-k app-l"}},
		"eleven": {line: "app-a app-b app-c app-d app-e app-f app-g app-h app-i app-j app-k size=standard-1x", says: []string{"[Enable 1 to 10…] [Enable app-k…]"},
			runs: []string{"enable app-a app-b app-c app-d app-e app-f app-g app-h app-i app-j size=standard-1x", "enable app-k size=standard-1x"}},
		"no app":                {line: "", says: []string{"Which app? Usage: /zdd enable <app> [<app> …] [size=<dyno size>]"}},
		"an option of another":  {line: "shop billing web=2", says: []string{"enable has no option web"}},
		"the option in between": {line: "landing size=standard-1x shop", asked: "enable landing size=standard-1x + enable shop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := &asking{readOnly: tt.idle}
			table := New(Deps{Apps: &town{lines: lines}, Policies: anyPolicy{}, Desk: d})
			reply, err := table.Run(t.Context(), "enable "+tt.line, Request{By: member, Via: Slash, Now: fleettest.ReadAt(), Origin: "E1"})
			refusal, refused := errors.AsType[*Refusal](err)
			switch {
			case refused:
				reply = refusal.Reply
			case (err != nil) != tt.err:
				t.Fatalf("got error %v, want one: %t", err, tt.err)
			case tt.err:
				return
			}
			if got := strings.Join(d.asked, "; "); got != tt.asked {
				t.Errorf("asked for %q, want %q", got, tt.asked)
			}
			if refused && len(d.asked) > 0 {
				t.Errorf("it was refused and asked for")
			}
			got := rendered(reply)
			for _, want := range tt.says {
				if !strings.Contains(got, want) {
					t.Errorf("got:\n%s\nwant %q in it", got, want)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("got:\n%s\nwant no %q in it", got, not)
				}
			}
			if reply.Summary == "" {
				t.Error("the answer has no summary")
			}
			if !refused {
				return
			}
			var runs []string
			for _, part := range reply.Parts {
				if row, ok := part.(Buttons); ok {
					for _, b := range row.Row {
						if strings.HasPrefix(b.Run, "enable") {
							runs = append(runs, b.Run)
						}
					}
				}
			}
			if tt.asked == "" && !slices.Equal(runs, tt.runs) {
				t.Errorf("its buttons run %q, want %q", runs, tt.runs)
			}
		})
	}
}

// An app that is called `and` is one, also between two others.
func TestEnableAnAppCalledAnd(t *testing.T) {
	d := &asking{}
	table := New(Deps{Apps: &town{lines: map[string]string{"shop": "standard-1x web=1", "and": "standard-1x web=1", "billing": "standard-1x web=1"}}, Policies: anyPolicy{}, Desk: d})
	if _, err := table.Run(t.Context(), "enable shop and billing", Request{By: member, Via: Slash, Now: fleettest.ReadAt(), Origin: "E1"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"enable shop + enable and + enable billing"}; !slices.Equal(d.asked, want) {
		t.Errorf("asked for %q, want %q", d.asked, want)
	}
}

// What a button of a refusal runs is asked for without another refusal.
func TestEnableTheRest(t *testing.T) {
	lines := map[string]string{"shop": "standard-1x web=1", "landing": "basic web=1", "billing": "standard-1x web=2 affinity", "vault": "problem=two-factor"}
	for line, want := range map[string]string{
		"enable shop vault billing":          "enable shop + enable billing",
		"enable landing shop":                "enable shop",
		"enable landing shop vault":          "enable shop",
		"enable shop landing size=huge":      "enable shop",
		"enable vault landing size=eco shop": "enable shop",
	} {
		d := &asking{}
		table := New(Deps{Apps: &town{lines: lines}, Policies: anyPolicy{}, Desk: d})
		ask := func(line string) error {
			_, err := table.Run(t.Context(), line, Request{By: member, Via: Press, Now: fleettest.ReadAt(), Origin: "E1"})
			return err
		}
		refusal, ok := errors.AsType[*Refusal](ask(line))
		if !ok || len(d.asked) > 0 {
			t.Fatalf("%s: got no refusal, or asked for %v", line, d.asked)
		}
		row := refusal.Reply.Parts[len(refusal.Reply.Parts)-1].(Buttons).Row
		if err := ask(row[0].Run); err != nil || strings.Join(d.asked, "; ") != want {
			t.Errorf("%s, then %s: got %v, asked for %v, want %s", line, row[0].Run, err, d.asked, want)
		}
	}
}

// All apps are read at the same time, and each once.
func TestEnableReadsSideBySide(t *testing.T) {
	apps := &together{town: town{lines: map[string]string{"shop": "standard-1x web=1", "billing": "standard-1x web=1", "accounts": "standard-1x web=1"}}, all: make(chan struct{})}
	apps.missing.Add(3)
	go func() { apps.missing.Wait(); close(apps.all) }()
	d := &asking{}
	if _, err := New(Deps{Apps: apps, Policies: anyPolicy{}, Desk: d}).Run(t.Context(), "enable shop billing accounts", Request{By: member, Via: Slash, Now: fleettest.ReadAt(), Origin: "E1"}); err != nil || len(d.asked) != 1 {
		t.Errorf("got %v, asked for %v", err, d.asked)
	}
}

// together answers nobody before three have asked.
type together struct {
	town
	missing sync.WaitGroup
	all     chan struct{}
}

func (o *together) ReadApp(ctx context.Context, ref fleet.Ref) (fleet.App, error) {
	o.missing.Done()
	select {
	case <-o.all:
		return o.town.ReadApp(ctx, ref)
	case <-ctx.Done():
		return fleet.App{}, ctx.Err()
	}
}
