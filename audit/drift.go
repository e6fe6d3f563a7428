package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Watch is what the looks between the nights found out of one app. Only they write it,
// beside the standing, which is the nights' own: neither can undo what the other knows.
type Watch struct {
	// Night is the scan from which these looks go on. What is said here of checks holds
	// only as long as that is the standing's: the night after has read the app itself.
	Night  string    `json:"night,omitzero"`
	ReadAt time.Time `json:"read_at,omitzero"` // the last look that could judge the app; zero: none since that night
	Ready  bool      `json:"ready,omitzero"`   // it was ready then
	Rules  string    `json:"rules,omitzero"`   // what the policy asked of it then; see Standing
	// Left is when a ticket of ours left the app ready, of one that was not when it was
	// read last. Zero: it was not so.
	Left   time.Time `json:"left,omitzero"`
	Seen   []Seen    `json:"seen,omitempty"`   // what checks were known to be, by looks since that night
	Doubts []Seen    `json:"doubts,omitempty"` // what a look found to fail; another one has to find the same
	Since  time.Time `json:"since,omitzero"`   // of the Doubts, the first of those looks
	Drifts []Drift   `json:"drifts,omitempty"` // what failed for good since that night, and still does
	// Remedy is what getting ready takes of an app that has Drifts, by the last look; nil: a
	// former version found them, and did not keep that.
	Remedy *Remedy `json:"remedy,omitempty"`

	Flips []Flip `json:"flips,omitempty"` // of the 7 days until the newest of them, oldest first
	Fight *Fight `json:"fight,omitempty"` // who fights over it, as far as could be seen when the last flip was found; nil: nobody does
	// FightTold is when somebody was told of it last.
	FightTold time.Time `json:"fight_told,omitzero"`

	Web     int        `json:"web,omitzero"`    // how many web dynos the formation had
	WebAt   time.Time  `json:"web_at,omitzero"` // by that look; zero: there was none
	Changes []Quantity `json:"changes,omitempty"`
}

// Seen is what a look found of one check.
type Seen struct {
	Check   string    `json:"check"`
	Outcome Outcome   `json:"outcome"`
	At      time.Time `json:"at"`
}

// Drift is a check of a ready app that failed between two looks, without a ticket of ours.
type Drift struct {
	Check    string    `json:"check"`
	Evidence string    `json:"evidence,omitzero"` // by the last look; empty: a former version found it
	After    time.Time `json:"after"`             // the last read that said otherwise
	At       time.Time `json:"at"`                // the first that said so; a second one confirmed it
	Owner    string    `json:"owner,omitzero"`    // who is told of it; empty: nobody is named
	Told     bool      `json:"told,omitzero"`     // somebody is: there is a channel for it
}

// Remedy is what getting ready takes, as a Standing has it.
type Remedy struct {
	Increase Increase `json:"increase"`
	Size     string   `json:"size,omitzero"`
	Yours    string   `json:"yours,omitzero"`
}

// Flip is one time that an app was ready and then was not.
type Flip struct {
	After  time.Time `json:"after"`  // the last read that found it ready
	At     time.Time `json:"at"`     // the first that did not
	Checks []string  `json:"checks"` // that failed
}

// Quantity is a change of how many web dynos an app runs that no ticket of ours made.
type Quantity struct {
	From  int       `json:"from"`
	To    int       `json:"to"`
	After time.Time `json:"after"` // the last read of From
	At    time.Time `json:"at"`    // the first of To
}

// Fight is what speaks for somebody else changing the app again and again.
type Fight struct {
	Who      string   `json:"who"`      // the likely controller, as a noun: "Heroku's autoscaler"; empty: nothing tells
	Evidence []string `json:"evidence"` // what was seen, a sentence each; backticks mark code
	Advice   string   `json:"advice"`   // what to do about it, a sentence
}

const (
	// flipsMatter is how many flips within flipsWithin make a fight: twice may be chance.
	flipsMatter = 3
	flipsWithin = 7 * 24 * time.Hour
	// changesKept is how many changes of quantity are kept, the newest: what a person reads.
	changesKept = 10
	// handOver is how long after a release nothing of the app is judged by: a preboot
	// hand-over takes 3 to 5 minutes (Dev Center, "Preboot"; measured up to 5:08).
	handOver = 6 * time.Minute
	// holdMost is for how long releases that follow one another can put a drift off. Who
	// deploys every few minutes all day is told all the same. One that is pending, as
	// while its release phase runs, puts it off until it ends.
	holdMost = time.Hour
)

// Ours is a ticket that changed, or changes, an app.
type Ours struct {
	Ticket string
	App    fleet.ID
	Ended  time.Time // zero: it runs
	Ready  bool      // it left the app ready, by its last read
}

// Fought says whether the app is fought over at that time, so that the same fix again
// would be undone again.
func (w Watch) Fought(now time.Time) bool {
	return w.Fight != nil && len(recent(w.Flips, now)) >= flipsMatter
}

// Drifting says whether the looks since the last night found the app to be ready no more.
func (w Watch) Drifting() bool { return len(w.Drifts) > 0 }

// drift is that of a check, if it was found since the night of the standing.
func (s *Standing) drift(check string) (Drift, bool) {
	if s.Watch.Night != s.Night {
		return Drift{}, false
	}
	i := slices.IndexFunc(s.Watch.Drifts, func(d Drift) bool { return d.Check == check })
	if i < 0 {
		return Drift{}, false
	}
	return s.Watch.Drifts[i], true
}

// last is what a check was last known to be, and when: by the night, or by a look since.
func (s *Standing) last(check string) (Outcome, time.Time) {
	m := s.mark(check)
	was, at := m.Known, m.KnownAt
	if s.Watch.Night != s.Night {
		return was, at
	}
	if i := slices.IndexFunc(s.Watch.Seen, func(seen Seen) bool { return seen.Check == check }); i >= 0 { // it came after the night's, whatever the clock says
		was, at = s.Watch.Seen[i].Outcome, s.Watch.Seen[i].At
	}
	if s.Watch.Left.After(at) && m.Required && m.Waived.IsZero() && (was == Fail || was == Pass) {
		was, at = Pass, s.Watch.Left
	}
	return was, at
}

// wasReady says whether the app was ready when it could last be judged.
func (s *Standing) wasReady() bool {
	if w := s.Watch; w.Night == s.Night && (!w.ReadAt.IsZero() || !w.Left.IsZero()) {
		return w.Ready || w.Left.After(w.ReadAt)
	}
	switch s.Verdict {
	case VerdictReady:
		return true
	case VerdictUnknown: // what was known before still holds
		good := false
		for _, m := range s.Marks {
			if !m.Required || !m.Waived.IsZero() {
				continue
			}
			if m.Known == "" || m.Known == Fail {
				return false
			}
			good = good || m.Known == Pass
		}
		return good
	}
	return false
}

// Watched says whether the app is looked at between the nights: it was ready, or it was
// now and then in the last days.
func (s *Standing) Watched() bool {
	return s.Gone.IsZero() && (s.wasReady() || len(s.Watch.Doubts) > 0 || len(recent(s.Watch.Flips, s.lookedAt())) > 0)
}

// lookedAt is when the app was read last, by a night or by a look.
func (s *Standing) lookedAt() time.Time {
	if s.Watch.ReadAt.After(s.ReadAt) {
		return s.Watch.ReadAt
	}
	return s.ReadAt
}

// goesOn is what the looks knew, as far as it still holds after the newest night.
func (s *Standing) goesOn() Watch {
	w := s.Watch
	w.Seen, w.Doubts, w.Drifts = slices.Clone(w.Seen), slices.Clone(w.Doubts), slices.Clone(w.Drifts)
	w.Flips, w.Changes = slices.Clone(w.Flips), slices.Clone(w.Changes)
	if w.Night != s.Night {
		w.Night, w.ReadAt, w.Ready, w.Rules, w.Left = s.Night, time.Time{}, false, "", time.Time{}
		w.Seen, w.Doubts, w.Since, w.Drifts, w.Remedy = nil, nil, time.Time{}, nil, nil
	}
	return w
}

// asked is what the policy asks of an app, as far as the checks go by it. Where that is
// another than before, an app can fail that has not changed: the night tells of that.
func asked(r policy.Rules) string {
	return fmt.Sprintf("%d %s %s %t", r.WebDynos, r.SessionAffinity, r.JVMWarmup, r.WarmupAttested)
}

// rules are those by which the app was judged when it was read last; empty: not known.
func (s *Standing) rules() string {
	if s.Watch.Night == s.Night && s.Watch.Rules != "" {
		return s.Watch.Rules
	}
	return s.Rules
}

// fallen are the checks that count against an app which was ready, and did not when it
// was; none: there is no drift in what was read.
func (s *Standing) fallen(r Reading) []Finding {
	if r.Report.Verdict != VerdictNotReady || !s.wasReady() || s.rules() != "" && s.rules() != asked(r.Rules) {
		return nil
	}
	var all []Finding
	for _, f := range r.Report.Findings {
		if was, _ := s.last(f.Check); f.counts() && was != Fail && was != "" {
			all = append(all, f)
		}
	}
	return all
}

// counts says whether the finding counts against the app: not while it is waived.
func (f Finding) counts() bool { return f.Required && f.Outcome == Fail && f.Waived == nil }

// turned says whether a look found something else than what was known before, so that it
// has to be known whether a ticket of ours made it so.
func (s *Standing) turned(r Reading) bool {
	for _, f := range r.Report.Findings {
		if was, _ := s.last(f.Check); f.Outcome != Unknown && f.Outcome != was {
			return true
		}
	}
	web, known := webNow(r.Report.App)
	return known && !s.Watch.WebAt.IsZero() && web != s.Watch.Web
}

// since is from when on tickets of ours may have made what a look found.
func (s *Standing) since() time.Time {
	since := s.ReadAt
	for _, at := range []time.Time{s.Watch.WebAt, s.Watch.ReadAt} {
		if s.Watch.Night == s.Night && !at.IsZero() {
			since = earlier(since, at)
		}
	}
	for _, m := range s.Marks {
		if _, at := s.last(m.Check); !at.IsZero() {
			since = earlier(since, at)
		}
	}
	return since
}

// webNow is how many web dynos the formation has.
func webNow(app fleet.App) (n int, known bool) {
	web, _ := app.Web()
	return web.Quantity, app.Formation.IsKnown()
}

// settle takes what a look found for how the app is now. ours are the tickets that may
// have made it so.
func (s *Standing) settle(r Reading, ours []Ours) (Watch, []Turn) {
	w, at := s.goesOn(), stamp(r.Report.App.ReadAt)
	var turns []Turn
	for _, f := range r.Report.Findings {
		if f.Outcome == Unknown {
			continue
		}
		was, before := s.last(f.Check)
		first := at
		if i := slices.IndexFunc(w.Doubts, func(d Seen) bool { return d.Check == f.Check }); i >= 0 && f.Outcome == Fail {
			first = w.Doubts[i].At
		}
		if was != "" && was != f.Outcome {
			turns = append(turns, Turn{
				App: s.App, Name: r.Report.App.Name, Check: f.Check, From: was, To: f.Outcome, Required: f.Required && f.Waived == nil,
				Evidence: f.Evidence, After: before, Before: first, Night: s.Night,
			})
		}
		w.see(Seen{f.Check, f.Outcome, at})
		if f.Outcome != Fail {
			w.Drifts = slices.DeleteFunc(w.Drifts, func(d Drift) bool { return d.Check == f.Check })
		}
	}
	w.count(r.Report.App, at, ours)
	if r.Report.Verdict != VerdictUnknown {
		w.ReadAt, w.Ready, w.Rules = at, r.Report.Verdict == VerdictReady, asked(r.Rules)
		w.Doubts, w.Since = nil, time.Time{}
		if w.Ready {
			w.Drifts = nil
		}
	}
	w.reckon(r.Report)
	return w, turns
}

// reckon keeps what the Drifts are, and what getting ready takes, as a look has it.
func (w *Watch) reckon(r Report) {
	if len(w.Drifts) == 0 {
		w.Remedy = nil
		return
	}
	for i, d := range w.Drifts {
		if f, found := r.Finding(d.Check); found && f.Outcome == Fail {
			w.Drifts[i].Evidence = f.Evidence
		}
	}
	if r.Verdict == VerdictNotReady {
		w.Remedy = &Remedy{Increase: increase(r), Size: sizeFor(r), Yours: yours(r)}
	}
}

func (w *Watch) see(seen Seen) {
	if i := slices.IndexFunc(w.Seen, func(s Seen) bool { return s.Check == seen.Check }); i >= 0 {
		w.Seen[i] = seen
		return
	}
	w.Seen = append(w.Seen, seen)
}

// count notes how many web dynos the app runs, and that it was not us who changed that.
func (w *Watch) count(app fleet.App, at time.Time, ours []Ours) {
	n, known := webNow(app)
	if !known {
		return
	}
	if !w.WebAt.IsZero() && n != w.Web && !ranSince(ours, w.WebAt) {
		w.Changes = append(w.Changes, Quantity{From: w.Web, To: n, After: w.WebAt, At: at})
		w.Changes = w.Changes[max(len(w.Changes)-changesKept, 0):]
	}
	w.Web, w.WebAt = n, at
}

// doubt notes what a look found to fail, until another one finds the same.
func (s *Standing) doubt(r Reading, fallen []Finding) Watch {
	w, at := s.goesOn(), stamp(r.Report.App.ReadAt)
	if len(w.Doubts) == 0 || w.Since.After(at) { // the clock was set back
		w.Since = at
	}
	var doubts []Seen
	for _, f := range fallen {
		d := Seen{f.Check, Fail, at}
		if i := slices.IndexFunc(w.Doubts, func(old Seen) bool { return old.Check == f.Check }); i >= 0 {
			d = w.Doubts[i]
		}
		doubts = append(doubts, d)
	}
	w.Doubts = doubts
	return w
}

// confirm makes what two looks found to fail a drift. before are the app's turns of the
// last days, and ours the tickets that changed it then.
func (s *Standing) confirm(r Reading, before []Turn, ours []Ours) (Watch, []Turn) {
	fallen := s.fallen(r)
	w, turns := s.settle(r, ours)
	flip := Flip{}
	for _, f := range fallen {
		t := turns[slices.IndexFunc(turns, func(t Turn) bool { return t.Check == f.Check })] // it was known to be otherwise
		w.Drifts = append(slices.DeleteFunc(w.Drifts, func(d Drift) bool { return d.Check == f.Check }),
			Drift{Check: f.Check, After: t.After, At: t.Before, Owner: r.Rules.Owner})
		flip.Checks = append(flip.Checks, f.Check)
		if flip.At.IsZero() || t.Before.Before(flip.At) {
			flip.At = t.Before
		}
		if t.After.After(flip.After) {
			flip.After = t.After
		}
	}
	w.reckon(r.Report)
	w.Flips = recent(merge(flipsOf(before, ours), append(w.Flips, flip)), flip.At)
	return w, turns
}

// flipsOf are the flips that turns tell of, the nights' too, but for those that a ticket
// of ours may have made.
func flipsOf(turns []Turn, ours []Ours) []Flip {
	var flips []Flip
	for _, t := range turns {
		if !t.Required || t.To != Fail || t.From != Pass || t.After.IsZero() || ranIn(ours, t.After, t.Before) {
			continue
		}
		flips = append(flips, Flip{After: t.After, At: t.Before, Checks: []string{t.Check}})
	}
	return flips
}

// ranIn says whether a ticket of ours changed the app between two reads.
func ranIn(ours []Ours, after, before time.Time) bool {
	return slices.ContainsFunc(ours, func(o Ours) bool {
		return !o.Ended.IsZero() && !o.Ended.Before(after) && !o.Ended.After(before) && !o.Ready
	})
}

// merge puts flips together that overlap: several checks that failed between the same two
// reads are one, as are two accounts of it.
func merge(flips ...[]Flip) []Flip {
	all := slices.Concat(flips...)
	slices.SortStableFunc(all, func(a, b Flip) int { return a.At.Compare(b.At) })
	var out []Flip
	for _, f := range all {
		if n := len(out); n > 0 && f.After.Before(out[n-1].At) {
			for _, check := range f.Checks {
				if !slices.Contains(out[n-1].Checks, check) {
					out[n-1].Checks = append(slices.Clip(out[n-1].Checks), check)
				}
			}
			continue
		}
		out = append(out, f)
	}
	return out
}

// recent are the flips of the last days before that time.
func recent(flips []Flip, now time.Time) []Flip {
	i := slices.IndexFunc(flips, func(f Flip) bool { return f.At.After(now.Add(-flipsWithin)) })
	if i < 0 {
		return nil
	}
	return flips[i:]
}

// fight is who may be behind flips, by what can be seen: of the app, of how many web dynos
// it ran, and of the releases since before the first flip. Only a release whose own
// description names the change is held against anybody.
func fight(app fleet.App, w Watch, flips []Flip, releases fleet.Value[[]fleet.Release]) *Fight {
	var checks []string
	for _, f := range flips {
		checks = append(checks, f.Checks...)
	}
	f := &Fight{}
	changes := slices.DeleteFunc(slices.Clone(w.Changes), func(c Quantity) bool { return c.At.Before(flips[0].After) })
	if slices.Contains(checks, webDynos().ID) {
		f.scaled(app, changes)
	}
	made, known := releases.Get()
	for _, flip := range flips {
		for _, r := range made {
			if r.CreatedAt.After(flip.After) && !r.CreatedAt.After(flip.At) && slices.ContainsFunc(flip.Checks, func(c string) bool { return NamesChange(r.Description, c) }) {
				f.say("Release v%d%s in between says “%s”.", r.Version, by(r), short(r.Description))
				f.Who = cmp.Or(f.Who, "who or what makes these releases")
			}
		}
	}
	if versions, each := withReleases(flips, made); each && f.Who == "" {
		f.say("A release was made in between each time: %s.", strings.Join(versions, ", "))
		f.Who = "something that runs with the app's deploys"
		f.Advice = "Look at what runs with a deploy: the pipeline's script, Terraform, an `app.json`."
	}
	if f.Who == "" {
		if !known {
			f.say("The releases in between could not be read (%s).", releases.Why().Text)
		} else {
			f.say("No release in between names the change, and switches of features and dynos make none, so nobody is named.")
		}
	}
	f.Advice = cmp.Or(f.Advice, "Find out what sets it before it is mended again: a script, Terraform, another tool, or a colleague.")
	return f
}

func (f *Fight) say(format string, args ...any) {
	f.Evidence = append(f.Evidence, sentence(format, args...))
}

// scaled names what scales the app.
func (f *Fight) scaled(app fleet.App, changes []Quantity) {
	scaler, _ := app.Autoscaler.Get()
	switch addons := app.ScalingAddOns(); {
	case scaler.Active:
		f.Who = "Heroku's autoscaler"
		f.say("Heroku's autoscaler is on, from %d to %d web dynos.", scaler.Min, scaler.Max)
		f.Advice = fmt.Sprintf("Set the autoscaler's minimum at %s/resources.", app.DashboardURL())
	case len(addons) > 0:
		f.Who = fmt.Sprintf("the add-on `%s`", addons[0])
		f.say("The app has the add-on `%s`, which changes how many dynos run.", addons[0])
		f.Advice = fmt.Sprintf("Set its minimum in its own settings: %s.", openAddOn(app, addons[0]))
	case len(changes) > 0:
		f.Who = "an autoscaler that no list shows"
		f.Advice = "Look whether the app is linked with a service that scales it, such as HireFire, and set the minimum there."
	}
	if len(changes) > 0 {
		var steps []string
		for _, c := range changes {
			steps = append(steps, fmt.Sprintf("%d → %d", c.From, c.To))
		}
		f.say("How many web dynos run changed without a ticket of mine: %s.", strings.Join(steps, ", "))
	}
}

// withReleases says whether a release was made in each flip, and which.
func withReleases(flips []Flip, made []fleet.Release) (versions []string, each bool) {
	for _, f := range flips {
		i := slices.IndexFunc(made, func(r fleet.Release) bool { return r.CreatedAt.After(f.After) && !r.CreatedAt.After(f.At) })
		if i < 0 {
			return nil, false
		}
		versions = append(versions, fmt.Sprintf("v%d", made[i].Version))
	}
	return versions, len(flips) > 0
}

func by(r fleet.Release) string {
	if r.By == "" {
		return ""
	}
	return " by " + short(r.By)
}

// short is somebody else's words on one line.
func short(s string) string {
	const most = 120 // characters; a line
	s = strings.Join(strings.Fields(safe(s)), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}

// inFlight says whether a release keeps an app from being judged, and when to look again.
// since is when the first look found it wanting.
func inFlight(releases []fleet.Release, since, now time.Time) (again time.Time, held bool) {
	for _, r := range releases {
		if r.Status == "pending" {
			return now.Add(time.Minute), true
		}
		over := later(r.CreatedAt, r.UpdatedAt).Add(handOver) // a release phase comes before the hand-over
		if over.After(now) && now.Before(since.Add(holdMost)) && over.After(again) {
			again, held = over, true
		}
	}
	return again, held
}

// NamesChange says whether a release's description names the change that a check judges.
// It is strict, because it can put the blame on a person: whole words only, and nothing in
// what others gave a name to (a commit, a config var, another app, an add-on).
func NamesChange(description, check string) bool {
	words := strings.FieldsFunc(strings.ToLower(description), func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_') })
	if len(words) == 0 || slices.Contains([]string{"deploy", "promote", "rollback", "roll", "set", "unset", "add", "remove", "attach", "detach", "update", "upgrade"}, words[0]) && !slices.ContainsFunc(words, isBuildpack) {
		return false
	}
	if slices.Contains(words, "config") {
		return false
	}
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(w string) bool { return slices.Contains(words, w) })
	}
	switch check {
	case "preboot":
		return has("preboot")
	case "session-affinity":
		at := slices.Index(words, "session")
		return has("http-session-affinity", "session-affinity") || at >= 0 && at+1 < len(words) && words[at+1] == "affinity"
	case "web-dynos":
		return has("web") && has("scale", "scaled", "scaling", "dyno", "dynos")
	case "dyno-tier":
		return has("dyno", "dynos") && has("type", "types", "size", "sizes", "resize", "resized")
	case "jvm-warmup":
		return slices.ContainsFunc(words, isBuildpack)
	}
	return false
}

func isBuildpack(word string) bool { return word == "buildpack" || word == "buildpacks" }
