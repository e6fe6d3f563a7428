package commands_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/internal/golden"
	"example.com/zdd/ledger"
)

// office is a database with everything that a Home shows; it counts who asks.
type office struct {
	kept
	shelf
	mu    sync.Mutex
	gone  map[string]bool // what can't be read
	reads map[string]int
}

func (o *office) read(what string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reads == nil {
		o.reads = map[string]int{}
	}
	o.reads[what]++
	if o.gone[what] {
		return errors.New("the database is away")
	}
	return nil
}

func (o *office) Pending(context.Context) ([]approval.Ticket, error) {
	if err := o.read("tickets"); err != nil {
		return nil, err
	}
	return o.tickets, nil
}

func (o *office) Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error) {
	if err := o.read("nights"); err != nil {
		return nil, err
	}
	return o.kept.Nights(ctx, since, limit)
}

func (o *office) Standings(ctx context.Context) iter.Seq2[audit.Standing, error] {
	if err := o.read("apps"); err != nil {
		return func(yield func(audit.Standing, error) bool) { yield(audit.Standing{}, err) }
	}
	return o.kept.Standings(ctx)
}

func (o *office) LedgerOf(ctx context.Context, app string, before int64, limit int) ([]ledger.Entry, error) {
	if err := o.read("ledger"); err != nil {
		return nil, err
	}
	return o.kept.LedgerOf(ctx, app, before, limit)
}

// memberships are user groups by id; one that is not there can't be read.
type memberships map[string][]string

func (m memberships) Members(_ context.Context, group string) ([]string, error) {
	members, known := m[group]
	if !known {
		return nil, errors.New("slack does not answer")
	}
	return members, nil
}

func (m memberships) InGroup(ctx context.Context, group, user string) (bool, error) {
	members, err := m.Members(ctx, group)
	return slices.Contains(members, user), err
}

const officePolicy = berlinPolicy + `
people: { operators: [U0ROBIN, S0PLATFORM], approvers: [U0ADA, S0FINOPS] }
apps: { shop: { owner: U0ADA } }`

// busyOffice is an ordinary Sunday: two tickets and one of a group's wait, one runs, and the
// fleet is as the night's digest says.
func busyOffice(t *testing.T) *office {
	at := noon(t)
	asked := func(id, by string, n int, name, line string, minutes int) approval.Ticket {
		p := part(t, n, name, line, "")
		return approval.Ticket{
			ID: id, State: approval.Pending, Approvals: 1, Requester: by, Wish: p.Wish, Plan: p.Plan, Origin: id,
			CreatedAt: at.Add(-time.Duration(minutes) * time.Minute), ExpiresAt: at.Add(24 * time.Hour),
		}
	}
	running := asked("T-9", "U0ADA", 3, "billing", "standard-1x web=1", 90)
	running.State, running.Waiting = approval.Running, "Waits until 12:05 so that visitors get the affinity cookie."
	running.Progress = []approval.Progress{{Done: at}}
	preview := asked("T-13", "U0ADA", 4, "catalog", "standard-1x web=2 affinity", 1)
	preview.Approvals = 0
	together := threeApps(t)
	together.CreatedAt, together.ExpiresAt, together.Requester = at.Add(-10*time.Minute), at.Add(23*time.Hour), "U0ROBIN"
	part := asked("T-10", "U0ROBIN", 7, "rules", "standard-1x web=1", 5)
	part.Of = "T-12"

	stands := func(n int, name, owner string, verdict audit.Verdict, checks ...string) audit.Standing {
		s := audit.Standing{App: appID(n), Name: name, Owner: owner, Verdict: verdict, Increase: fleet.Known[fleet.Money](25_00), ReadAt: read(t, 0, 2), Night: "2026-11-22"}
		for _, c := range checks {
			s.Marks = append(s.Marks, audit.Mark{Check: c, Outcome: audit.Fail, Required: true, Evidence: prebootOff, Since: read(t, n, 1)})
		}
		return s
	}
	drifted := stands(21, "drifted", "U0ADA", audit.VerdictReady)
	drifted.Watch = audit.Watch{Night: "2026-11-22", ReadAt: at.Add(-time.Hour), Drifts: []audit.Drift{{Check: "preboot", After: at.Add(-2 * time.Hour), At: at.Add(-time.Hour)}}}
	mended := stands(22, "mended", "S0FINOPS", audit.VerdictNotReady, "preboot")
	mended.Watch = audit.Watch{Night: "2026-11-22", Left: at.Add(-time.Hour)}
	old := stands(23, "yesterday", "U0ADA", audit.VerdictNotReady, "preboot")
	old.Watch = audit.Watch{Night: "2026-11-21", ReadAt: read(t, 1, 9), Ready: true} // of the night before: the scan knows better
	unread := stands(24, "vaulted", "U0ADA", audit.VerdictUnknown)
	unread.Unread = fleet.Reason{Kind: fleet.TwoFactor, Text: "protected by two-factor authentication"}
	gone := stands(25, "gone", "U0ADA", audit.VerdictNotReady, "preboot")
	gone.Gone = at
	digest := ordinary(t)
	night := audit.Night{
		ID: "2026-11-22", State: audit.Told, Started: read(t, 0, 0), Finished: read(t, 0, 7), Counts: digest.Counts, Coverage: digest.Coverage,
		Slot: read(t, 0, 0), Next: read(t, -1, 0),
	}
	entry := func(seq int64, minutes int, actor, verb, ticket, detail string) ledger.Entry {
		return ledger.Entry{Seq: seq, At: at.Add(-time.Duration(minutes) * time.Minute), Actor: actor, Verb: verb, Ticket: ticket, Name: "shop", App: string(appID(1)), Detail: []byte(detail)}
	}
	return &office{
		shelf: shelf{tickets: []approval.Ticket{preview, asked("T-11", "U0ROBIN", 1, "shop", "standard-1x web=1 addon=heroku-postgresql:essential-0", 20), together, running, part}},
		kept: kept{
			nights: []audit.Night{{ID: "2026-11-22#2", State: audit.Scanning, Started: at.Add(-time.Minute)}, night}, digest: &digest,
			standings: []audit.Standing{
				stands(20, "landing", "U0ADA", audit.VerdictNotReady, "session-affinity", "preboot"), drifted, mended, old, unread, gone,
				stands(26, "checkout", "S0FINOPS", audit.VerdictReady), stands(27, "worker", "U0ADA", audit.VerdictNotApplicable),
				stands(28, "somebody-elses", "U0ROBIN", audit.VerdictNotReady, "preboot"), stands(29, "nobodys", "", audit.VerdictNotReady, "preboot"),
			},
			entries: []ledger.Entry{
				entry(9, 1, ledger.Bot, ledger.StepIntended, "T-9", `{"what":"web 1 → 2"}`), entry(8, 2, ledger.Bot, ledger.StepDone, "T-9", `{"what":"session affinity on"}`),
				entry(7, 3, "U0CHARLES", ledger.Approved, "T-9", `{}`), entry(6, 90, "U0ADA", ledger.Asked, "T-9", `{"wish":"enable billing"}`), entry(5, 100, ledger.Bot, ledger.Reported, "", `{"night":"2026-11-22"}`),
			},
		},
	}
}

func (o *office) deps(t *testing.T, policy string) commands.Deps {
	groups := memberships{"S0FINOPS": {"U0ADA"}, "S0PLATFORM": {"U0ROBIN"}}
	return commands.Deps{
		Apps: heroku{}, Policies: policyOf(t, policy), Groups: groups, Members: groups.Members, Desk: o, Ledger: o, Nights: o,
		NextNight: func(time.Time) time.Time { return read(t, -1, 0) },
	}
}

func member(id string) commands.Person { return commands.Person{ID: id, Kind: commands.Member} }

// homePrinted is a page as a terminal shows it, with whose each section is.
func homePrinted(t *testing.T, page commands.Home) string {
	t.Helper()
	var b strings.Builder
	for _, s := range page.Sections {
		whose := "everybody's"
		if s.Own {
			whose = "their own"
		}
		fmt.Fprintf(&b, "=== %s\n\n", whose)
		if err := chat.Terminal(&b, commands.Reply{Parts: s.Parts}, chat.Style{Width: 100, Zone: berlin(t)}); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// blocksPrinted is a page as it is sent to Slack.
func blocksPrinted(t *testing.T, page commands.Home) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(chat.HomeBlocks(page, noon(t))); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHome(t *testing.T) {
	for name, tt := range map[string]struct {
		by     commands.Person
		policy string
		tune   func(*office, *commands.Deps)
		errs   string // what the error says; empty: there is none
	}{
		"home-approver":  {by: member("U0ADA"), policy: officePolicy},
		"home-requester": {by: member("U0ROBIN"), policy: officePolicy},
		"home-newcomer": {by: member("U0NEW"), policy: "{}", tune: func(o *office, _ *commands.Deps) {
			*o = office{}
		}},
		"home-guest":      {by: commands.Person{ID: "U0GIL", Kind: commands.Guest}, policy: officePolicy},
		"home-not-reader": {by: member("U0NEW"), policy: officePolicy + "\n" + "digest: {}"},
		"home-read-only": {by: member("U0ADA"), policy: officePolicy, tune: func(_ *office, d *commands.Deps) {
			d.ReadOnly = "I can look but not change anything: `ZDD_LEDGER_KEY` is not set. Nothing was changed."
		}},
		"home-away": {by: member("U0ADA"), policy: officePolicy, errs: "away", tune: func(o *office, _ *commands.Deps) {
			o.gone = map[string]bool{"tickets": true, "nights": true, "apps": true, "ledger": true}
		}},
		"home-no-ledger": {by: member("U0ADA"), policy: officePolicy, errs: "read recent changes", tune: func(o *office, _ *commands.Deps) {
			o.gone = map[string]bool{"ledger": true, "apps": true}
		}},
		"home-groups-unread": {by: member("U0NEW"), policy: officePolicy, errs: "slack does not answer", tune: func(_ *office, d *commands.Deps) {
			d.Groups, d.Members = memberships{}, memberships{}.Members
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := busyOffice(t)
			yaml := tt.policy
			if name == "home-not-reader" {
				yaml = berlinPolicy + "\npeople: { readers: [U0ADA] }"
			}
			deps := o.deps(t, yaml)
			if tt.tune != nil {
				tt.tune(o, &deps)
			}
			page, err := commands.New(deps).Home(t.Context(), commands.HomeRequest{By: tt.by, Now: noon(t), After: noon(t)})
			if (err == nil) != (tt.errs == "") || err != nil && !strings.Contains(err.Error(), tt.errs) {
				t.Errorf("got the error %v, want %q", err, tt.errs)
			}
			golden.Check(t, "testdata/"+name+".golden", homePrinted(t, page))
			if name == "home-approver" {
				golden.Check(t, "testdata/home-approver-blocks.golden", blocksPrinted(t, page))
			}
		})
	}
}

// However much there is, a page is one that Slack takes, and says what it leaves out itself.
func TestHomeHoldsItAll(t *testing.T) {
	o := busyOffice(t)
	for i := range 40 {
		all := tenApps(t)
		all.ID, all.CreatedAt = approval.ID(int64(100+i)), noon(t)
		all.Requester = "U0ROBIN"
		mine := all
		mine.ID, mine.Requester = approval.ID(int64(200+i)), "U0ADA"
		one := part(t, i, fmt.Sprintf("an-app-with-a-name-so-long-%03d", i),
			"basic web=1 worker=1 clock=1 maintenance release=pending crashed=web.1 scaler=? addon=judoscale:small addon=heroku-postgresql:essential-0 addon=heroku-redis:mini addon=heroku-kafka:basic-0 command=bundle+exec+rake+db:migrate+&&+puma runtime=Java", "standard-2x")
		single := approval.Ticket{ID: approval.ID(int64(i + 1)), State: approval.Pending, Approvals: 2, Requester: "U0ROBIN", Wish: one.Wish, Plan: one.Plan, CreatedAt: noon(t).Add(-time.Hour), ExpiresAt: noon(t).Add(time.Hour)}
		o.tickets = append(o.tickets, all, mine, single)
	}
	evil := strings.Repeat("<!channel> *bold* `code` & ", 30)
	for i := range 300 {
		s := audit.Standing{App: appID(100 + i), Name: fmt.Sprintf("an-app-with-a-name-so-long-%03d", i), Owner: "U0ADA", Verdict: audit.VerdictNotReady, ReadAt: read(t, 0, 2), Night: "2026-11-22"}
		if i%3 == 0 {
			s.Verdict, s.Unread = audit.VerdictUnknown, fleet.Reason{Kind: fleet.Unavailable, Text: fmt.Sprint(i, evil)}
		} else {
			for _, c := range audit.Checks() {
				s.Marks = append(s.Marks, audit.Mark{Check: c.ID, Outcome: audit.Fail, Required: true, Evidence: evil})
			}
		}
		o.standings = append(o.standings, s)
	}
	for i := range 100 {
		o.entries = append(o.entries, ledger.Entry{Seq: int64(i + 1), At: noon(t), Actor: "U0ROBIN", Verb: ledger.Denied, Ticket: "T-1", Name: "shop", Detail: fmt.Appendf(nil, `{"reason":%q}`, evil)})
	}
	d := o.deps(t, officePolicy)
	page, err := commands.New(d).Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: noon(t), After: noon(t)})
	if err != nil {
		t.Fatal(err)
	}
	blocks := chat.HomeBlocks(page, noon(t))
	raw, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if len(blocks) > 100 || len(text) > 200_000 {
		t.Errorf("got %d blocks of %d bytes, want at most 100 of 250 KiB", len(blocks), len(text))
	}
	if strings.Contains(text, "did not fit here") {
		t.Errorf("the page's end was cut: %d blocks", len(blocks))
	}
	for _, want := range []string{"And 73 more", "more apps of yours", "How to start", "What you may do", "Recent changes"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "<!channel>") || strings.Contains(text, `\u003c!channel`) {
		t.Error("a text of an API's rings the channel")
	}
	t.Logf("%d blocks, %d bytes", len(blocks), len(text))
}

// People who look at about the same time share what was read, and nobody gets what is older
// than they ask for.
func TestHomesShareWhatIsRead(t *testing.T) {
	o := busyOffice(t)
	table := commands.New(o.deps(t, officePolicy))
	look := func(now, after time.Time) {
		t.Helper()
		if _, err := table.Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: now, After: after}); err != nil {
			t.Fatal(err)
		}
	}
	at := noon(t)
	want := func(when string, tickets, apps int) {
		t.Helper()
		if o.reads["tickets"] != tickets || o.reads["apps"] != apps {
			t.Errorf("%s: got %d readings of tickets and %d of apps, want %d and %d", when, o.reads["tickets"], o.reads["apps"], tickets, apps)
		}
	}
	var together sync.WaitGroup
	for range 50 {
		together.Go(func() { look(at, at.Add(-2*time.Second)) })
	}
	together.Wait()
	want("fifty at once", 1, 1)
	look(at.Add(2*time.Second), at)
	want("two seconds later", 1, 1)
	look(at.Add(3*time.Second), at.Add(time.Second))
	want("what was read before that is too old", 2, 1)
	look(at.Add(8*time.Second), at.Add(6*time.Second))
	want("and so are the apps, by five seconds more", 3, 2)
	look(at.Add(-time.Hour), at.Add(-time.Hour-2*time.Second))
	want("the clock was set back", 4, 3)
	o.gone = map[string]bool{"apps": true}
	later := at.Add(time.Minute)
	if _, err := table.Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: later, After: later}); err == nil {
		t.Error("got no error while the apps can't be read")
	}
	o.gone = nil
	look(later.Add(3*time.Second), later.Add(time.Second))
	want("what could not be read is read with everything else, not later", 6, 5)
}

// Slack lets twenty questions about user groups through in a minute. Those of the owners are
// asked a few at a time, and not again for ten minutes.
func TestHomeAsksAboutFewGroups(t *testing.T) {
	o := busyOffice(t)
	groups := memberships{"S0FINOPS": {"U0ADA"}}
	for i := range 30 {
		id := fmt.Sprintf("S0G%02d", i)
		groups[id] = []string{"U0ADA"}
		o.standings = append(o.standings, audit.Standing{App: appID(300 + i), Name: fmt.Sprintf("g-%02d", i), Owner: id, Verdict: audit.VerdictReady, ReadAt: read(t, 0, 2), Night: "2026-11-22"})
	}
	deps := o.deps(t, berlinPolicy)
	var asked []time.Time
	now := noon(t)
	deps.Groups = groups
	deps.Members = func(ctx context.Context, id string) ([]string, error) {
		asked = append(asked, now)
		return groups.Members(ctx, id)
	}
	table := commands.New(deps)
	for range 9 * 6 {
		if _, err := table.Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: now, After: now}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(10 * time.Second)
	}
	if len(asked) != 31 { // with S0FINOPS
		t.Errorf("got %d questions in nine minutes, want one for each of the 31 groups", len(asked))
	}
	for i := 8; i < len(asked); i++ {
		if asked[i].Sub(asked[i-8]) < time.Minute {
			t.Errorf("nine questions within %s", asked[i].Sub(asked[i-8]))
		}
	}
	page, err := table.Home(t.Context(), commands.HomeRequest{By: member("U0ADA"), Now: now, After: now})
	if err != nil {
		t.Fatal(err)
	}
	if text := homePrinted(t, page); strings.Contains(text, "There may be more") || !strings.Contains(text, "Your apps: 32 of 36 ready") {
		t.Errorf("not all groups are known by then:\n%s", text)
	}
}

// A page tells nobody's business but the reader's: what waits for one's decision is shown to
// those who may decide on it.
func TestHomeAsksWhoMayDecide(t *testing.T) {
	deps := busyOffice(t).deps(t, officePolicy)
	for user, want := range map[string]string{"U0ADA": "T-11 T-12", "U0ROBIN": "", "U0OTHER": ""} {
		page, err := commands.New(deps).Home(t.Context(), commands.HomeRequest{By: member(user), Now: noon(t), After: noon(t)})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, s := range page.Sections {
			for _, p := range s.Parts {
				row, ok := p.(commands.Buttons)
				if !ok {
					continue
				}
				for _, b := range row.Row {
					if id, found := strings.CutPrefix(b.Run, "approve "); found {
						if !s.Own {
							t.Errorf("%s: the button %q stands in a section for everybody", user, b.Label)
						}
						ids = append(ids, strings.Fields(id)[0])
					}
				}
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s may decide on %q, want %q", user, got, want)
		}
	}
}
