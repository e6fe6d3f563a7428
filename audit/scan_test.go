package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// outage is a Reader that does as its fields say before it asks the town.
type outage struct {
	*town
	now     *time.Time
	lists   func(now time.Time) error                  // of ReadRoll; nil: none
	setting func(now time.Time, app fleet.App) outcome // of ReadSettings
	mu      sync.Mutex
	read    map[string]int // how often each app was read, by name
}

// outcome is how a reading goes: zero: well.
type outcome struct {
	cut *fleet.Problem
	why fleet.Reason // the formation's
}

func (o *outage) ReadRoll(ctx context.Context, filter fleet.Filter) (fleet.Roll, error) {
	if o.lists != nil {
		if err := o.lists(*o.now); err != nil {
			return fleet.Roll{}, err
		}
	}
	return o.town.ReadRoll(ctx, filter)
}

func (o *outage) ReadSettings(ctx context.Context, app fleet.App, parts fleet.Parts) (fleet.App, int, error) {
	o.mu.Lock()
	if o.read == nil {
		o.read = map[string]int{}
	}
	o.read[app.Name]++
	o.mu.Unlock()
	if o.setting != nil {
		switch how := o.setting(*o.now, app); {
		case how.cut != nil:
			return app, 0, how.cut
		case how.why != fleet.Reason{}:
			app.Formation = fleet.Unknown[[]fleet.Process](how.why)
			return app, 1, nil
		}
	}
	return o.town.ReadSettings(ctx, app, parts)
}

// hamlet is a town of n apps, each of which lacks preboot.
func hamlet(n int) *town {
	w := &town{apps: map[fleet.ID]*house{}, policy: policy.Default(), limit: -1}
	for i := range n {
		id := w.id()
		w.apps[id] = &house{id: id, name: fmt.Sprintf("app-%02d", i), team: "acme", size: "standard-1x", web: 2, on: map[string]bool{fleet.SessionAffinity: true}}
	}
	return w
}

// desk runs one night's scan as its queue would, with a clock that only waits move.
type desk struct {
	away time.Duration // for how long nobody is there after the first wait
	*testing.T
	store  *shelf
	heroku *outage
	ledger Chains // nil: it is not verified
	now    time.Time
	waits  []string // when and why the scan waited
}

// slotOf is when a night is due, counted from the first; its digest at nine.
func slotOf(night int) time.Time { return time.Date(2026, time.March, 2+night, 3, 30, 0, 0, time.UTC) }

func newDesk(t *testing.T, w *town) *desk {
	d := &desk{T: t, store: newShelf(), now: slotOf(0)}
	d.heroku = &outage{town: w, now: &d.now}
	return d
}

// night scans, and returns the digest.
func (d *desk) night(slot time.Time) Digest {
	d.Helper()
	post := time.Date(slot.Year(), slot.Month(), slot.Day(), 9, 0, 0, 0, time.UTC)
	return d.scan(Night{ID: slot.Format(time.DateOnly), Slot: slot, Post: post, State: Scanning})
}

// scan scans for that night, and returns the digest.
func (d *desk) scan(n Night) Digest {
	d.Helper()
	id := n.ID
	d.waits = nil
	if d.now.Before(n.Slot) {
		d.now = n.Slot
	}
	if made, err := d.store.BeginNight(d.Context(), n); err != nil || !made {
		d.Fatal(made, err)
	}
	scanner := NewScanner(ScanConfig{Store: d.store, Heroku: d.heroku, Ledger: d.ledger, Policy: func() policy.Policy { return d.heroku.policy }, Now: func() time.Time { return d.now }})
	scanner.chunk = 4
	for range 1000 {
		var until time.Time
		err := scanner.Scan(d.Context(), id, hand{store: d.store, until: &until})
		switch {
		case err == nil:
			return *d.store.nights[id].Digest
		case until.IsZero():
			d.Fatal(err)
		}
		d.waits = append(d.waits, until.Format("15:04 ")+err.Error())
		d.now = until.Add(d.away)
		d.away = 0
	}
	d.Fatal("the scan does not end")
	return Digest{}
}

func (d *desk) wantWaits(want ...string) {
	d.Helper()
	if !slices.Equal(d.waits, want) {
		d.Errorf("waited:\n  %s\nwant:\n  %s", strings.Join(d.waits, "\n  "), strings.Join(want, "\n  "))
	}
}

func (d *desk) wantCoverage(got Coverage, want string) {
	d.Helper()
	text := fmt.Sprintf("%d seen, %d in scope, %d judged, out %v, unread %v, gaps %q", got.Seen, got.InScope, got.Judged, got.Out, got.Unread, got.Gaps)
	if text != want {
		d.Errorf("coverage:\ngot  %s\nwant %s", text, want)
	}
}

func (d *desk) wantWork(want ...string) {
	d.Helper()
	var got []string
	for _, w := range d.store.work {
		got = append(got, fmt.Sprintf("%s:%s at %s", w.Kind, w.Key, w.At.Format("2 15:04")))
	}
	if !slices.Equal(got, want) {
		d.Errorf("got work %q, want %q", got, want)
	}
}

func TestScan(t *testing.T) {
	d := newDesk(t, hamlet(10))
	first := d.night(slotOf(0))
	d.wantWaits()
	d.wantCoverage(first.Coverage, `10 seen, 10 in scope, 10 judged, out map[], unread map[], gaps []`)
	d.wantWork("digest:2026-03-02 at 2 09:00", "stale:2026-03-02 at 3 05:30")
	if !first.Baseline || first.Changes.New != 10 || first.Calls != 4+2*10 || len(first.Trend) != 1 {
		t.Errorf("got %+v", first)
	}
	second := d.night(slotOf(1))
	if second.Baseline || second.Changes.New != 0 || second.Changes.Still != 10 || len(second.Trend) != 2 {
		t.Errorf("got %+v", second)
	}
	n := d.store.nights["2026-03-03"]
	if n.State != Scanned || n.Counts != second.Counts || n.Calls != second.Calls {
		t.Errorf("the night is %+v", n)
	}

	// A job that comes twice, and one of a night that nobody knows.
	scanner := NewScanner(ScanConfig{Store: d.store, Heroku: d.heroku, Policy: policy.Default})
	if err := scanner.Scan(t.Context(), "2026-03-03", hand{store: d.store}); err != nil || d.store.nights["2026-03-03"].Version != n.Version {
		t.Errorf("scanned again: %v", err)
	}
	if err := scanner.Scan(t.Context(), "2026-04-01", hand{store: d.store}); !errors.Is(err, ErrNoNight) {
		t.Errorf("an unknown night: %v", err)
	}
}

// What can't be read for a reason that may pass is tried once more.
func TestScanAgain(t *testing.T) {
	away := fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer"}
	for name, tt := range map[string]struct {
		begin time.Duration // after the slot
		why   fleet.Reason
		back  time.Duration // after the beginning
		waits []string
		want  string
	}{
		"it comes back":       {0, away, time.Minute, []string{"03:35 later: to try once more what could not be read"}, `10 seen, 10 in scope, 10 judged, out map[], unread map[], gaps []`},
		"it does not":         {0, away, time.Hour, []string{"03:35 later: to try once more what could not be read"}, `10 seen, 10 in scope, 8 judged, out map[], unread map[no answer:2], gaps []`},
		"at once before nine": {5*time.Hour + 27*time.Minute, away, time.Hour, nil, `10 seen, 10 in scope, 8 judged, out map[], unread map[no answer:2], gaps []`},
		"it never will":       {0, fleet.Reason{Kind: fleet.TwoFactor, Text: "protected"}, time.Hour, nil, `10 seen, 10 in scope, 8 judged, out map[], unread map[two-factor:2], gaps []`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, hamlet(10))
			d.now = slotOf(0).Add(tt.begin)
			d.heroku.setting = func(now time.Time, app fleet.App) outcome {
				if now.Before(slotOf(0).Add(tt.begin+tt.back)) && (app.Name == "app-03" || app.Name == "app-07") {
					return outcome{why: tt.why}
				}
				return outcome{}
			}
			digest := d.night(slotOf(0))
			d.wantWaits(tt.waits...)
			d.wantCoverage(digest.Coverage, tt.want)
			for name, n := range d.heroku.read {
				if name != "app-03" && name != "app-07" && n != 1 {
					t.Errorf("%s was read %d times", name, n)
				}
			}
		})
	}
}

// An app that is deleted in the midst of the scan is gone, and not unreadable.
func TestScanDeletedMeanwhile(t *testing.T) {
	d := newDesk(t, hamlet(10))
	d.night(slotOf(0))
	var once sync.Once
	d.heroku.setting = func(_ time.Time, app fleet.App) outcome {
		if app.Name != "app-05" {
			return outcome{}
		}
		return outcome{why: fleet.Reason{Kind: fleet.NotFound, Text: "not there"}}
	}
	d.heroku.lists = func(now time.Time) error {
		if now.After(slotOf(1)) {
			once.Do(func() {
				for id, h := range d.heroku.apps {
					if h.name == "app-05" {
						delete(d.heroku.apps, id)
					}
				}
			})
		}
		return nil
	}
	digest := d.night(slotOf(1))
	d.wantCoverage(digest.Coverage, `9 seen, 9 in scope, 9 judged, out map[], unread map[], gaps []`)
	if digest.Changes.Gone != 1 {
		t.Errorf("got %+v", digest.Changes)
	}
}

// Somebody else uses the account's limit up. Nothing of an app is judged then.
func TestScanLimited(t *testing.T) {
	d := newDesk(t, hamlet(10))
	left := 6
	var mu sync.Mutex
	d.heroku.setting = func(now time.Time, _ fleet.App) outcome {
		mu.Lock()
		defer mu.Unlock()
		if left--; left < 0 && now.Before(slotOf(0).Add(30*time.Minute)) {
			return outcome{cut: &fleet.Problem{Kind: fleet.RateLimited, RetryAfter: 20 * time.Minute}}
		}
		return outcome{}
	}
	digest := d.night(slotOf(0))
	d.wantWaits("03:50 later: because the account's API limit is used up", "04:10 later: because the account's API limit is used up")
	d.wantCoverage(digest.Coverage, `10 seen, 10 in scope, 10 judged, out map[], unread map[], gaps []`)
	if want := 3*4 + 10*2; digest.Calls != want { // the lists of each turn, and each app once
		t.Errorf("got %d calls, want %d", digest.Calls, want)
	}
}

// The scan ends three hours after the time to post, and says what it did not come to.
func TestScanOutOfTime(t *testing.T) {
	for name, tt := range map[string]struct {
		begin time.Duration // after the slot
		end   string
	}{
		"begun in the night":     {0, "2 12:00"},
		"caught up the next day": {30 * time.Hour, "3 12:30"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, hamlet(10))
			d.now = slotOf(0).Add(tt.begin)
			left := 6
			var mu sync.Mutex
			d.heroku.setting = func(time.Time, fleet.App) outcome {
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 {
					return outcome{cut: &fleet.Problem{Kind: fleet.RateLimited, RetryAfter: time.Hour}}
				}
				return outcome{}
			}
			digest := d.night(slotOf(0))
			d.wantCoverage(digest.Coverage, `10 seen, 10 in scope, 6 judged, out map[], unread map[out of time:4], gaps []`)
			if got := digest.Finished.Format("2 15:04"); got != tt.end {
				t.Errorf("ended at %s, want %s", got, tt.end)
			}
			if work := d.store.work[0]; work.Kind != WorkDigest || !work.At.Equal(digest.Finished) {
				t.Errorf("ended at %v, and %+v", digest.Finished, work)
			}
			if digest.Counts.Unknown != 4 || digest.Counts.NotReady != 6 {
				t.Errorf("got %+v", digest.Counts)
			}
		})
	}
}

// The bot is away when the scan has to end. When it is back it reads for half an hour, once.
func TestScanSlept(t *testing.T) {
	for name, tt := range map[string]struct {
		limited time.Duration // after the slot
		judged  string
		end     string
	}{
		"and all is well then": {time.Minute, `10 judged, out map[], unread map[], gaps []`, "2 12:50"},
		"and still limited":    {24 * time.Hour, `6 judged, out map[], unread map[out of time:4], gaps []`, "2 13:20"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, hamlet(10))
			d.away = 9 * time.Hour
			left := 6
			var mu sync.Mutex
			d.heroku.setting = func(now time.Time, _ fleet.App) outcome {
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 && now.Before(slotOf(0).Add(tt.limited)) {
					return outcome{cut: &fleet.Problem{Kind: fleet.RateLimited, RetryAfter: 20 * time.Minute}}
				}
				return outcome{}
			}
			digest := d.night(slotOf(0))
			d.wantCoverage(digest.Coverage, "10 seen, 10 in scope, "+tt.judged)
			if got := digest.Finished.Format("2 15:04"); got != tt.end {
				t.Errorf("ended at %s, want %s", got, tt.end)
			}
		})
	}
}

// No list can be read: it is tried as long as that makes sense, and then said.
func TestScanNoList(t *testing.T) {
	for name, tt := range map[string]struct {
		kind fleet.Kind
		end  string
	}{
		"Heroku is away":       {fleet.Unavailable, "3 12:00"},
		"the token is refused": {fleet.Unauthorized, "3 09:00"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, hamlet(3))
			d.night(slotOf(0))
			d.heroku.lists = func(time.Time) error { return &fleet.Problem{Kind: tt.kind} }
			digest := d.night(slotOf(1))
			d.wantCoverage(digest.Coverage, fmt.Sprintf(`3 seen, 3 in scope, 0 judged, out map[], unread map[not listed:3], gaps ["No app could be listed: %s."]`, (&fleet.Problem{Kind: tt.kind}).Reason().Text))
			if got := digest.Finished.Format("2 15:04"); got != tt.end || len(d.waits) < 20 {
				t.Errorf("ended at %s after %d waits, want %s", got, len(d.waits), tt.end)
			}
			if digest.Counts.Unknown != 3 || digest.Changes.Gone != 0 {
				t.Errorf("got %+v, %+v", digest.Counts, digest.Changes)
			}
			d.heroku.lists = nil
			if after := d.night(slotOf(2)); after.Changes.New+after.Changes.Regressed+after.Changes.Fixed > 0 || after.Changes.Still != 3 {
				t.Errorf("the night after: %+v", after.Changes)
			}
		})
	}
}

// A token that is revoked in the midst of the scan leaves the rest unread by that, and
// asks no more.
func TestScanRevoked(t *testing.T) {
	d := newDesk(t, hamlet(40))
	var reads int
	var mu sync.Mutex
	refused := &fleet.Problem{Kind: fleet.Unauthorized}
	d.heroku.policy.Heroku.Parallel = 2
	d.heroku.setting = func(time.Time, fleet.App) outcome {
		mu.Lock()
		defer mu.Unlock()
		if reads++; reads > 10 {
			return outcome{cut: refused}
		}
		return outcome{}
	}
	d.heroku.lists = func(time.Time) error {
		mu.Lock()
		defer mu.Unlock()
		if reads > 10 {
			return refused
		}
		return nil
	}
	digest := d.night(slotOf(0))
	if reads > 20+ahead || digest.Coverage.Judged != 10 || !digest.Coverage.Partial() {
		t.Errorf("%d reads; %+v", reads, digest.Coverage)
	}
}

// The list of pipelines is away: what was not covered before is not taken for new.
func TestScanWithoutPipelines(t *testing.T) {
	w := hamlet(5)
	i := 0
	for _, h := range w.apps {
		if h.stage = "production"; i < 2 {
			h.stage = "review"
		}
		i++
	}
	d := newDesk(t, w)
	d.wantCoverage(d.night(slotOf(0)).Coverage, `5 seen, 3 in scope, 3 judged, out map[review:2], unread map[], gaps []`)
	w.away = map[string]fleet.Reason{"pipelines": {Kind: fleet.Unavailable, Text: "Heroku did not answer"}}
	digest := d.night(slotOf(1))
	d.wantWaits("03:35 later: to try once more what could not be read")
	d.wantCoverage(digest.Coverage, `5 seen, 3 in scope, 3 judged, out map[stage unread:2], unread map[], gaps ["The pipelines could not all be listed: Heroku did not answer. Apps that were not covered before are left out (2)."]`)
	w.away = nil
	d.wantCoverage(d.night(slotOf(2)).Coverage, `5 seen, 3 in scope, 3 judged, out map[review:2], unread map[], gaps []`)
}

// An account that loses its sight of a team sees a list without it, and no error: that its
// apps are gone is told though nothing of them failed, once.
func TestScanOutOfSight(t *testing.T) {
	d := newDesk(t, hamlet(9))
	for _, h := range d.heroku.apps {
		h.on[fleet.Preboot] = true
	}
	if got := d.night(slotOf(0)); got.Counts.Ready != 9 || got.Changes != (Changes{}) {
		t.Fatalf("the first night: %+v, %+v", got.Counts, got.Changes)
	}
	for id, h := range d.heroku.apps {
		if h.name != "app-00" {
			delete(d.heroku.apps, id)
		}
	}
	got := d.night(slotOf(1))
	if want := (Changes{Left: 8}); got.Changes != want || got.Counts.Ready != 1 {
		t.Errorf("when they left: %+v and %d ready, want %+v and 1", got.Changes, got.Counts.Ready, want)
	}
	if got := got.Groups; len(got) != 1 || got[0].Left != 8 || len(got[0].Lines) != 0 {
		t.Errorf("when they left: groups %+v, want that of acme with 8 that left, none of them listed", got)
	}
	if got := d.night(slotOf(2)); got.Changes != (Changes{}) {
		t.Errorf("the night after: %+v, want nothing", got.Changes)
	}
}

// Apps that were there all the time, and come in sight or into scope only now, are listed
// as looked at for the first time, and nobody is mentioned for them, as on the very first
// night; also where they can be judged later only. One that is made meanwhile is new.
func TestScanFirstLook(t *testing.T) {
	const rules = "apps: {\"*\": {owner: U0ANNA}}\nscope: {teams: [%s]}\n"
	parsed := func(teams string) policy.Policy {
		p, err := policy.Parse("zdd.yml", fmt.Appendf(nil, rules, teams))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	away := map[string]bool{"data": true}
	for name, tt := range map[string]struct {
		before, after  string          // the policy's teams
		unlistedBefore map[string]bool // the first night
		unread         bool            // the second night
	}{
		"its list was away":              {before: "acme, data", after: "acme, data", unlistedBefore: away},
		"the policy names it now":        {before: "acme", after: "acme, data"},
		"and it can't be judged at once": {before: "acme", after: "acme, data", unread: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := hamlet(4)
			for _, h := range w.apps {
				if h.name > "app-01" {
					h.team = "data"
				}
			}
			w.policy, w.unlisted = parsed(tt.before), tt.unlistedBefore
			d := newDesk(t, w)
			if first := d.night(slotOf(0)); !first.Baseline || first.Changes.New != 2 || first.Groups[0].Mention {
				t.Fatalf("the first night: %+v", first)
			}
			w.policy, w.unlisted = parsed(tt.after), nil
			for _, h := range w.apps {
				if tt.unread && h.team == "data" {
					h.unread = map[string]fleet.Reason{"formation": {Kind: fleet.TwoFactor, Text: "it is so tonight"}}
				}
			}
			night := 1
			got := d.night(slotOf(night))
			if tt.unread {
				if got.Changes.Unread != 2 || got.Groups[0].Mention {
					t.Fatalf("when they can't be judged: %+v", got)
				}
				for _, h := range w.apps {
					h.unread = nil
				}
				night++
				got = d.night(slotOf(night))
			}
			if got.Changes != (Changes{New: 2, Still: 2}) || got.Baseline || got.Groups[0].Mention {
				t.Errorf("got %+v, mention %t; want 2 new, and nobody mentioned", got.Changes, got.Groups[0].Mention)
			}
			for _, h := range w.apps {
				for _, l := range lineFor(got, h.id) {
					if l.First != (h.team == "data") {
						t.Errorf("%s of %s: looked at for the first time %t", l.Name, h.team, l.First)
					}
				}
			}
			id := w.id()
			w.apps[id] = &house{id: id, name: "made-meanwhile", team: "data", size: "standard-1x", web: 2, on: map[string]bool{fleet.SessionAffinity: true}, born: slotOf(night).Add(time.Hour)}
			got = d.night(slotOf(night + 1))
			if line := lineFor(got, id); len(line) != 1 || line[0].Kind != LineNew || line[0].First || !got.Groups[0].Mention {
				t.Errorf("made meanwhile: got %+v, mention %t; want it new, and its owner mentioned", line, got.Groups[0].Mention)
			}
		})
	}
}

// A first look tells nobody, and the first night is told as if it had not been: all that
// fails is new. What passed then and fails now has regressed nevertheless, and what was mended
// between the two is not told of.
func TestScanQuietly(t *testing.T) {
	w := hamlet(4)
	named := func(name string) *house {
		for _, h := range w.apps {
			if h.name == name {
				return h
			}
		}
		t.Fatal(name)
		return nil
	}
	named("app-03").on["preboot"] = true
	d := newDesk(t, w)
	look := slotOf(0).Add(-time.Hour)
	quiet := d.scan(Night{ID: look.Format(time.DateOnly) + firstLook, Slot: look, Post: look, State: Scanning, Quiet: true})
	if n := d.store.nights["2026-03-02#0"]; !quiet.Baseline || n.State != Told || !n.Posted.IsZero() || n.Counts.Ready != 1 || n.Counts.NotReady != 3 {
		t.Errorf("the first look: %+v, %+v", n, quiet)
	}
	d.wantWork("stale:2026-03-02#0 at 3 05:30")

	named("app-02").on["preboot"], named("app-03").on["preboot"] = true, false
	d.store.work = nil
	first := d.night(slotOf(0))
	d.wantWork("digest:2026-03-02 at 2 09:00", "stale:2026-03-02 at 3 05:30")
	if !first.Baseline || first.Changes != (Changes{New: 2, Regressed: 1}) || first.Groups[0].Mention || len(first.Trend) != 1 {
		t.Errorf("the first night: %+v, want a baseline with 2 new and 1 regressed", first)
	}
	second := d.night(slotOf(1))
	if second.Baseline || second.Changes != (Changes{Still: 3}) || len(second.Trend) != 2 {
		t.Errorf("the second night: %+v, want all as before", second)
	}
}

// What is older than digest.keep is forgotten at the end of a scan; the night itself is
// not, though it was due long ago.
func TestScanForgets(t *testing.T) {
	d := newDesk(t, hamlet(2))
	d.heroku.policy.Nightly.Keep = 30 * 24 * time.Hour
	first := slices.Sorted(maps.Keys(d.heroku.apps))
	d.night(slotOf(0))
	delete(d.heroku.apps, first[0])
	d.heroku.apps[first[1]].on[fleet.Preboot] = true
	d.night(slotOf(1))
	if len(d.store.turns) != 1 || len(d.store.standings) != 2 {
		t.Fatalf("got turns %v and %d standings, want that of preboot and both", d.store.turns, len(d.store.standings))
	}
	d.night(slotOf(30)) // just not older
	if got, want := slices.Sorted(maps.Keys(d.store.nights)), []string{"2026-03-02", "2026-03-03", "2026-04-01"}; !slices.Equal(got, want) {
		t.Errorf("after 30 days: nights %v, want %v", got, want)
	}
	d.now = slotOf(100)
	d.night(slotOf(62)) // nobody ran when it was due
	if got, want := slices.Sorted(maps.Keys(d.store.nights)), []string{"2026-05-03"}; !slices.Equal(got, want) {
		t.Errorf("after 100 days: nights %v, want %v", got, want)
	}
	if len(d.store.turns) != 0 || len(d.store.standings) != 1 {
		t.Errorf("after 100 days: turns %v, %d standings; want none, and one of the app that stands", d.store.turns, len(d.store.standings))
	}
}
