package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// Home is the page that the bot shows one person in Slack, without being asked.
type Home struct {
	Sections []HomeSection
	// Closed says that there is no page for this person, and why is all that they see: nothing
	// of it gets old, and to ask for it anew shows nothing else.
	Closed bool
}

// HomeSection is one part of a Home.
type HomeSection struct {
	Own   bool // it concerns this person alone; else all who see it see the same
	Parts []Part
}

// HomeRequest is whose page is to be made.
type HomeRequest struct {
	By  Person
	Now time.Time
	// After is how old what is shown may be: what was read before that is read again, but
	// for the apps' standings, which may be homeApps older, and for who is in the user groups
	// that own apps, which is believed for homeGroups.
	After time.Time
}

const (
	// homeApps is how old the standings of all apps may be beyond what is asked for: there
	// may be thousands.
	homeApps = 5 * time.Second
	// homeGroups is for how long Slack is believed about the members of groups that own
	// apps. Nothing is allowed by it, and usergroups.users.list takes 20 requests a minute
	// (tier 2) for all that the bot asks, so homeGroupReads of them are asked about in one.
	homeGroups     = 10 * time.Minute
	homeGroupReads = 8
	// homeReading bounds the reading of one page's facts: somebody is looking at it.
	homeReading = 5 * time.Second
	// homeEntries is how many of the ledger's entries are looked through for those to show.
	homeEntries = 60
)

// homer makes pages. What all people see is read once for those who look at about the same
// time.
type homer struct {
	deps   Deps
	waiver waiver
	lock   chan struct{} // holds one token: whoever has it uses what follows
	facts  *homeFacts
	apps   *homeFleet
	groups map[string]homeGroup
	asked  []time.Time // when a group was asked about, within a minute
}

func newHomer(deps Deps, v waiver) *homer {
	return &homer{deps: deps, waiver: v, lock: make(chan struct{}, 1), groups: map[string]homeGroup{}}
}

// homeFacts is what the database says, the same for all. A part that could not be read is
// named in errs.
type homeFacts struct {
	at      time.Time         // when the reading began
	tickets []approval.Ticket // open ones, the oldest first
	waivers []policy.Waiver   // that wait for a decision
	night   audit.Night       // the newest that ended, with its digest; without an ID: none has
	under   time.Time         // since when a scan is under way; zero: none is
	entries []ledger.Entry    // the newest first
	errs    map[homePart]error
}

// homePart is a part of what the database says.
type homePart string

const (
	homeTickets homePart = "tickets"
	homeWaivers homePart = "waivers"
	homeNights  homePart = "the fleet"
	homeOwned   homePart = "your apps"
	homeLedger  homePart = "recent changes"
)

// homeFleet is how the apps stand.
type homeFleet struct {
	at      time.Time
	owned   map[string][]audit.Standing // by owner: a user or a user group
	drifted int                         // were ready in the last scan, and are not any more
	mended  int                         // the other way round
	proving *Proving                    // nil: it is not told, or could not be read
	err     error
}

// homeGroup is who is in a user group.
type homeGroup struct {
	at      time.Time
	members []string
	err     error
}

// Home makes a person's page. It is always one to show; an error, to log, says what it had
// to leave out.
func (t Table) Home(ctx context.Context, req HomeRequest) (Home, error) {
	if err := t.admit(ctx, req.By); err != nil {
		refusal, ok := errors.AsType[*Refusal](err)
		if !ok {
			return Home{}, err
		}
		page := Home{Sections: []HomeSection{{Own: true, Parts: append([]Part{Heading{"zdd: zero-downtime deploys on Heroku"}}, refusal.Reply.Parts...)}}}
		page.Closed = slices.Contains([]PersonKind{Guest, Foreign, Deactivated, Machine}, req.By.Kind)
		return page, nil
	}
	facts, fleet := t.home.read(ctx, req)
	rights, rightsErr := t.rightsOf(ctx, req.By)
	page := homePage{req: req, facts: facts, fleet: fleet, rights: rights, deps: t.deps}
	page.mine, page.unread = t.home.ownedBy(ctx, req, fleet)
	var errs []error
	for part, err := range facts.errs {
		errs = append(errs, fmt.Errorf("read %s: %w", part, err))
	}
	if fleet.err != nil {
		errs = append(errs, fmt.Errorf("read %s: %w", homeOwned, fleet.err))
	}
	return page.home(), errors.Join(append(errs, rightsErr)...)
}

// rights is what a person may do beside looking.
type rights struct {
	operator, approver bool
	unread             bool // user groups could not be read: where not said otherwise above, it is not known
}

// rightsOf asks who somebody is by the policy. Who can't be found out may nothing.
func (t Table) rightsOf(ctx context.Context, p Person) (rights, error) {
	people := t.deps.Policies.Policy().People
	operator, err1 := t.among(ctx, p, people.Operators)
	approver, err2 := t.among(ctx, p, people.Approvers)
	return rights{operator, approver, err1 != nil || err2 != nil}, errors.Join(err1, err2)
}

// read is what the database says, as new as the request wants it.
func (h *homer) read(ctx context.Context, req HomeRequest) (homeFacts, homeFleet) {
	unread := func(err error) (homeFacts, homeFleet) {
		return homeFacts{errs: map[homePart]error{homeTickets: err, homeNights: err, homeLedger: err}}, homeFleet{err: err}
	}
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return unread(context.Cause(ctx))
	}
	defer func() { <-h.lock }()
	// What is read is for all who wait, so it does not end with the one who began.
	reading, cancel := context.WithTimeout(context.WithoutCancel(ctx), homeReading)
	defer cancel()
	if h.facts == nil || h.facts.at.Before(req.After) || h.facts.at.After(req.Now) {
		facts := h.readFacts(reading, req.Now)
		h.facts = &facts
	}
	if h.apps == nil || h.apps.at.Before(req.After.Add(-homeApps)) || h.apps.at.After(req.Now) || h.apps.err != nil && h.apps.at.Before(h.facts.at) {
		fleet := h.readFleet(reading, req.Now)
		h.apps = &fleet
	}
	return *h.facts, *h.apps
}

func (h *homer) readFacts(ctx context.Context, now time.Time) homeFacts {
	f := homeFacts{at: now, errs: map[homePart]error{}}
	note := func(part homePart, err error) {
		if err != nil {
			f.errs[part] = err
		}
	}
	if h.deps.Desk != nil {
		tickets, err := h.deps.Desk.Pending(ctx)
		note(homeTickets, err)
		f.tickets = slices.SortedStableFunc(slices.Values(tickets), func(a, b approval.Ticket) int { return a.CreatedAt.Compare(b.CreatedAt) })
	}
	if h.waiver.desk != nil {
		open, err := h.waiver.desk.Open(ctx)
		note(homeWaivers, err)
		f.waivers = waitingWaivers(open)
	}
	if h.deps.Nights != nil {
		note(homeNights, f.readNights(ctx, h.deps.Nights))
	}
	if h.deps.Ledger != nil {
		var err error
		f.entries, err = h.deps.Ledger.LedgerOf(ctx, "", 0, homeEntries)
		note(homeLedger, err)
	}
	return f
}

// readNights reads the newest night that ended, and whether another one is under way.
func (f *homeFacts) readNights(ctx context.Context, nights nights) error {
	newest, err := nights.Nights(ctx, time.Time{}, nightsBack)
	if err != nil {
		return err
	}
	for _, n := range newest {
		if n.Finished.IsZero() {
			if n.State == audit.Scanning && f.under.IsZero() {
				f.under = n.Started
			}
			continue
		}
		f.night, err = nights.Night(ctx, n.ID)
		return err
	}
	return nil
}

func (h *homer) readFleet(ctx context.Context, now time.Time) homeFleet {
	f := homeFleet{at: now, owned: map[string][]audit.Standing{}}
	var ready Proving
	if h.deps.Nights == nil {
		return f
	}
	for s, err := range h.deps.Nights.Standings(ctx) {
		if err != nil {
			return homeFleet{at: now, err: err}
		}
		if !s.Gone.IsZero() {
			continue
		}
		ready.Add(s)
		switch ready, known := readySince(s); {
		case known && ready && s.Verdict == audit.VerdictNotReady:
			f.mended++
		case known && !ready && s.Verdict == audit.VerdictReady:
			f.drifted++
		}
		if s.Owner != "" {
			f.owned[s.Owner] = append(f.owned[s.Owner], s)
		}
	}
	if h.deps.Proofs != nil {
		if of, err := h.deps.Proofs.Proofs(ctx, nil); err == nil { // the page is whole without
			f.proving = &Proving{Of: of, Ready: ready.Ready, At: now}
		}
	}
	return f
}

// readySince is what was found out of an app since the scan of its standing: a look between
// the nights, or a ticket of ours that left it ready. Known is false where nothing was.
func readySince(s audit.Standing) (ready, known bool) {
	w := s.Watch
	switch {
	case w.Night != s.Night:
		return false, false
	case len(w.Drifts) > 0:
		return false, true
	case w.Ready && !w.ReadAt.IsZero(), w.Left.After(s.ReadAt):
		return true, true
	}
	return false, false
}

// ownedBy are the apps whose owner by the policy is the person, or a user group that they are
// in. Unread is how many groups it is not known of.
func (h *homer) ownedBy(ctx context.Context, req HomeRequest, fleet homeFleet) (mine []audit.Standing, unread int) {
	mine = slices.Clone(fleet.owned[req.By.ID])
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return mine, 0
	}
	defer func() { <-h.lock }()
	for owner, apps := range fleet.owned {
		if owner[0] != 'S' {
			continue
		}
		switch g, ok := h.group(ctx, owner, req.Now); {
		case !ok:
			unread++
		case slices.Contains(g.members, req.By.ID):
			mine = append(mine, apps...)
		}
	}
	return mine, unread
}

// group is who is in a user group; ok is false while that is not known. What was known of it
// before is better than nothing.
func (h *homer) group(ctx context.Context, id string, now time.Time) (g homeGroup, ok bool) {
	g, ok = h.groups[id]
	if ok && now.Sub(g.at).Abs() < homeGroups || h.deps.Members == nil {
		return g, ok && g.err == nil
	}
	h.asked = slices.DeleteFunc(h.asked, func(at time.Time) bool { return now.Sub(at).Abs() >= time.Minute })
	if len(h.asked) >= homeGroupReads {
		return g, ok && g.err == nil
	}
	h.asked = append(h.asked, now)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), homeReading)
	defer cancel()
	members, err := h.deps.Members(ctx, id)
	if err != nil {
		// Asked about again in a while: one that is gone must not use the pace up.
		h.groups[id] = homeGroup{at: now, members: g.members, err: err}
		return g, ok && g.err == nil
	}
	h.groups[id] = homeGroup{at: now, members: members}
	return h.groups[id], true
}
