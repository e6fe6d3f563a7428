package chat

import (
	"cmp"
	"sync"
	"time"

	"example.com/zdd/commands"
)

// urgency is why a page is to be published, the most urgent last.
type urgency int

const (
	calm    urgency = iota
	changed         // what everybody sees
	changedOwn
	opened
	acted
)

// most is how many may have been published within homeWindow for another one to be.
func (u urgency) most() int {
	switch u {
	case acted:
		return homeActs
	case opened:
		return homeOpenings
	}
	return homeChanges
}

// gap is the time between a page and the next one.
func (u urgency) gap() time.Duration {
	switch u {
	case acted:
		return homeActGap
	case changed:
		return homeGap
	case changedOwn:
		return homeOwnGap
	}
	return 0
}

// looker is somebody who looks at their page.
type looker struct {
	user, team string
	looked     time.Time       // when they last opened it or pressed something on it
	who        commands.Person // when a page was last made for them; without a Kind: not known yet
	shown      shown           // what is before them
	want       urgency
	since      time.Time // since when it is wanted
	anew       bool      // its person asked for it: publish it whatever has changed
	after      time.Time // what is shown must have been read after this
	later      time.Time // not before: Slack was in trouble
	tries      int       // that failed, in a row
	checked    time.Time // when it was last looked whether what is shown still holds
	busy       bool
}

// due is when the page is to be published.
func (l *looker) due() time.Time {
	due := l.later
	if next := l.shown.At.Add(l.want.gap()); l.want.gap() > 0 && next.After(due) {
		due = next
	}
	return due
}

// raise notes that a page is wanted.
func (l *looker) raise(u urgency, now time.Time) {
	if u > l.want {
		l.want, l.since = u, now
	}
}

// homes are the pages of those who look, and the pace at which they are published.
type homes struct {
	mu       sync.Mutex
	lookers  map[string]*looker // by user id
	stirred  time.Time          // something has changed here that may be on pages
	sent     []time.Time        // publications within homeWindow
	reserved int                // of them, those that are about to be sent
	held     time.Time          // Slack asked not to be called before
	wake     chan struct{}
}

func newHomes() *homes {
	return &homes{lookers: map[string]*looker{}, wake: make(chan struct{}, 1)}
}

func (h *homes) nudge() {
	select {
	case h.wake <- struct{}{}:
	default: // it is awake
	}
}

// open notes that somebody opened their page.
func (h *homes) open(o opening, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lookers[o.user]
	if l == nil {
		h.crowd()
		l = &looker{user: o.user}
		h.lookers[o.user] = l
	}
	l.team, l.looked, l.tries, l.later = o.team, now, 0, time.Time{}
	if !l.busy && o.shown.At.After(l.shown.At) || l.shown.At.IsZero() {
		l.shown = o.shown // maybe another replica's
	}
	if o.again {
		l.after, l.anew = now, true
		l.raise(acted, now)
	} else {
		l.raise(opened, now)
	}
	h.nudge()
}

// crowd makes room for one more: where there is none the one who came first goes.
func (h *homes) crowd() {
	if len(h.lookers) < homeMost {
		return
	}
	var first *looker
	for _, l := range h.lookers {
		if !l.busy && (first == nil || l.looked.Before(first.looked)) {
			first = l
		}
	}
	if first != nil {
		delete(h.lookers, first.user)
	}
}

// looks notes that somebody is at their page still.
func (h *homes) looks(user string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.lookers[user]; l != nil {
		l.looked = now
	}
}

// acted notes that something that a person asked for is done, so that they look for it on
// their page.
func (h *homes) acted(user string) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.lookers[user]; l != nil && now.Sub(l.looked) < homeLook {
		l.after = now
		l.raise(acted, now)
	}
	h.stirred = now
	h.nudge()
}

// stir notes that something has changed here that may be on somebody's page.
func (h *homes) stir() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stirred = time.Now()
	h.nudge()
}

// chore is what is to be done about a page.
type chore struct {
	looker
	publish bool // else it is only looked whether what is shown still holds
}

// take hands out what is to be done next, or says how long to wait.
func (h *homes) take(now time.Time) (e chore, ok bool, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.sent) > 0 && now.Sub(h.sent[0]) >= homeWindow {
		h.sent = h.sent[1:]
	}
	wait = homeCheck
	soon := func(at time.Time) { wait = min(wait, max(at.Sub(now), time.Millisecond)) }
	var next *looker
	for _, l := range h.lookers {
		if l.busy || l.want == calm {
			continue
		}
		if due := l.due(); due.After(now) {
			soon(due)
		} else if next == nil || sooner(l, next) {
			next = l
		}
	}
	switch used := len(h.sent) + h.reserved; {
	case next == nil:
	case h.held.After(now):
		soon(h.held)
	case used >= next.want.most():
		if len(h.sent) > 0 {
			soon(h.sent[min(max(used-next.want.most(), 0), len(h.sent)-1)].Add(homeWindow))
		}
	default:
		e = chore{*next, true}
		next.busy, next.want, next.anew = true, calm, false
		h.reserved++
		return e, true, 0
	}
	var stale *looker
	for user, l := range h.lookers {
		switch check := l.check(h.stirred); {
		case l.busy:
		case now.Sub(l.looked) >= homeLook && (l.want < opened):
			delete(h.lookers, user)
		case l.want >= opened || l.shown.At.IsZero() || l.who.Kind == "":
		case check.After(now):
			soon(check)
		case stale == nil || l.checked.Before(stale.checked):
			stale = l
		}
	}
	if stale == nil {
		return chore{}, false, wait
	}
	stale.busy = true
	return chore{*stale, false}, true, 0
}

// check is when to look again whether what is shown still holds.
func (l *looker) check(stirred time.Time) time.Time {
	if stirred.After(l.checked) {
		return l.checked.Add(homeStir)
	}
	return l.checked.Add(homeCheck)
}

// sooner orders pages: the more urgent first, then those with nothing on them, then the one
// that waits longest, where a change waits since its page was made.
func sooner(a, b *looker) bool {
	since := func(l *looker) time.Time {
		if l.want < opened {
			return l.shown.At
		}
		return l.since
	}
	blank := func(l *looker) int {
		if l.shown.All == "" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.want, a.want), cmp.Compare(blank(a), blank(b)), since(a).Compare(since(b)), cmp.Compare(a.user, b.user)) < 0
}

// fate is what came of an chore.
type fate struct {
	made  *shown          // what is shown now; nil: what was
	who   commands.Person // as Slack said; without a Kind: it was not asked
	want  urgency         // what is wanted still
	later time.Time       // and not before
	held  time.Time       // Slack wants no publication before; zero: it takes them
}

// done ends an chore that began at a time.
func (h *homes) done(e chore, f fate, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.held.After(h.held) {
		h.held = f.held
	}
	h.nudge()
	l := h.lookers[e.user]
	if l == nil {
		return
	}
	l.busy, l.checked = false, began
	if f.who.Kind != "" {
		l.who = f.who
	}
	if f.made != nil {
		l.shown, l.tries = *f.made, 0
	}
	if f.want == calm {
		return
	}
	if f.later.After(l.later) {
		l.later = f.later
	}
	if e.publish && f.held.IsZero() {
		l.tries++
	}
	if l.tries < homeTries {
		l.raise(f.want, cmp.Or(e.since, began))
		l.anew = l.anew || e.anew
	}
}

// permit ends the reservation of a publication: it is sent now, or not at all.
func (h *homes) permit(sent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reserved--
	if sent {
		h.sent = append(h.sent, time.Now())
	}
}

// sentMore counts a publication for which nothing was reserved.
func (h *homes) sentMore() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, time.Now())
}

// looking is how many people are taken to look at their page, and how many pages wait.
func (h *homes) looking() (looking, waiting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lookers {
		if l.want != calm {
			waiting++
		}
	}
	return len(h.lookers), waiting
}
