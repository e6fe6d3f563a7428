package watch

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// The bounds of a watch that somebody asks for: a hand-over takes most of two minutes at
// the least, and after an hour an app was asked thousands of times.
const (
	Shortest = 2 * time.Minute
	Longest  = time.Hour
)

var (
	// ErrNotOperator says that whoever asks may not: they are neither an operator nor an
	// approver.
	ErrNotOperator = errors.New("only operators and approvers may have deploys watched")
	// ErrLength says that a watch is to take shorter than [Shortest] or longer than [Longest].
	ErrLength = errors.New("a watch takes from 2 to 60 minutes")
)

// NoGroups says that it could not be found out who is in the policy's user groups, so that
// whoever asks may be one of those who may.
type NoGroups struct{ Err error }

func (e *NoGroups) Error() string { return "read the user groups of the policy: " + e.Err.Error() }
func (e *NoGroups) Unwrap() error { return e.Err }

// NotInScope says that the policy's scope leaves the app out; such an app is not probed.
type NotInScope struct {
	App string // its name
	Why string // in words for a person, without a full stop
}

func (e *NotInScope) Error() string { return e.App + " is out of scope: " + e.Why }

// ReadOnly says that nothing may be stored now, such as for want of the ledger's key.
type ReadOnly struct{ Why string } // in sentences that say what mends it

func (e *ReadOnly) Error() string { return e.Why }

// Groups tells who is in a Slack user group.
type Groups interface {
	InGroup(ctx context.Context, group, user string) (bool, error)
}

// DeskConfig is what a Desk needs. Store and Policy are required.
type DeskConfig struct {
	Store  Store
	Policy func() policy.Policy // in force now
	Groups Groups               // nil: the policy names none, or nobody is in them
	// ReadOnly is why nothing may be stored, in sentences that say what mends it; empty: it
	// may. Then everything is refused.
	ReadOnly string
	Timing   Timing           // of which only Hurry is the desk's
	Wake     func()           // called when work was stored; nil: the queue finds it by itself
	Now      func() time.Time // default time.Now
}

// Desk is where watches are asked for and ended. Whether somebody is a full member of the
// workspace is known before. Its methods may be repeated, and called from any number of
// goroutines and replicas.
type Desk struct {
	cfg DeskConfig
	now func() time.Time
}

// NewDesk makes a Desk.
func NewDesk(cfg DeskConfig) *Desk {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	return &Desk{cfg: cfg, now: stamped(cfg.Now)}
}

// stamped is a clock as times are stored: in UTC, to the millisecond.
func stamped(now func() time.Time) func() time.Time {
	return func() time.Time { return now().UTC().Truncate(time.Millisecond) }
}

// AskFor is a request for a watch.
type AskFor struct {
	By      string        // Slack user id; empty: the policy, by way of a [Lookout]
	App     fleet.App     // as it was just read
	For     time.Duration // 0: as long as the policy says
	Origin  string        // id of the request; the same one makes no second watch
	Channel string        // where it was asked; empty: where the app's reports go
}

// Ask begins a watch: it is stored with its work and its entry in the ledger, and a Runner
// takes it up within seconds. made is false where there already is one: of the same Origin,
// or of the same app and not over.
//
// It refuses with *ReadOnly, ErrNotOperator, *NoGroups, ErrLength, *NotInScope, *NotProbed, and
// with ErrTooMany or ErrBusy where as many run, or send as much, as the policy allows: then
// nothing was stored. Any other error is the database's.
func (d *Desk) Ask(ctx context.Context, a AskFor) (w Watch, made bool, err error) {
	if a.Origin == "" || a.App.ID == "" {
		return Watch{}, false, errors.New("ask for a watch: the request has no id, or the app no UUID")
	}
	same, err := d.cfg.Store.Watches(ctx, Filter{Origin: a.Origin, Limit: 1})
	switch {
	case err != nil:
		return Watch{}, false, err
	case len(same) > 0 && same[0].By != a.By:
		return Watch{}, false, fmt.Errorf("ask for a watch: request %q has made one of somebody else's", a.Origin)
	case len(same) > 0:
		return same[0], false, nil
	}
	if d.cfg.ReadOnly != "" {
		return Watch{}, false, &ReadOnly{d.cfg.ReadOnly}
	}
	pol := d.cfg.Policy()
	if a.By != "" {
		if err := d.allowed(ctx, pol, a.By); err != nil {
			return Watch{}, false, err
		}
	}
	length := cmp.Or(a.For, pol.Watch.Lasts)
	if length < Shortest || length > Longest {
		return Watch{}, false, ErrLength
	}
	if c := pol.InScope(a.App); !c.In {
		return Watch{}, false, &NotInScope{App: a.App.Name, Why: c.Why}
	}
	rules := pol.For(a.App)
	target, err := NewTarget(a.App, rules)
	if err != nil {
		return Watch{}, false, err
	}
	address, probe := target.shown()
	length /= time.Duration(d.cfg.Timing.orDefaults().Hurry)
	now := d.now()
	next := Watch{
		App: a.App.ID, Name: a.App.Name, By: a.By, Channel: cmp.Or(a.Channel, rules.Channel, pol.Nightly.Channel), Origin: a.Origin,
		URL: address, Probe: probe, State: Waiting, Asked: now, Until: now.Add(length),
	}
	err = d.cfg.Store.Tx(ctx, func(tx *sql.Tx) error {
		w, made, err = d.open(ctx, tx, pol, next)
		return err
	})
	switch {
	case errors.Is(err, ErrTooMany) || errors.Is(err, ErrBusy):
		return Watch{}, false, err
	case err != nil:
		return Watch{}, false, fmt.Errorf("ask for a watch of %s: %w", a.App.Name, err)
	case made:
		d.cfg.Wake()
	}
	return w, made, nil
}

// open stores a new watch, unless its app is watched already or there is no room.
func (d *Desk) open(ctx context.Context, tx *sql.Tx, pol policy.Policy, next Watch) (w Watch, made bool, err error) {
	others, err := d.cfg.Store.WatchesTx(ctx, tx, Filter{States: []State{Waiting, Running}, Limit: -1})
	if err != nil {
		return Watch{}, false, err
	}
	rate := next.Probe.PerSecond()
	for _, o := range others {
		if o.App == next.App {
			return o, false, nil
		}
		rate += o.Probe.PerSecond()
	}
	switch {
	case len(others) >= pol.Watch.AtOnce:
		return Watch{}, false, ErrTooMany
	case rate > pol.Watch.PerSecond:
		return Watch{}, false, ErrBusy
	}
	return d.cfg.Store.CreateWatchTx(ctx, tx, next, func(w Watch) Change {
		about := detail{URL: w.URL, Seconds: int(w.Until.Sub(w.Asked) / time.Second)}
		return Change{
			Entries: []ledger.Entry{w.entry(w.Asked, ledger.WatchAsked, about)},
			Work:    []Work{{Kind: WorkDeployWatch, Key: w.ID, At: w.Asked}},
			Tell:    w.Asked,
		}
	})
}

// Stop ends a watch before its time: it tells then what was seen until then. Who may ask
// for one may stop one. A watch that is over is returned as it is. The errors are
// ErrNoWatch, *ReadOnly, ErrNotOperator, *NoGroups and the database's.
func (d *Desk) Stop(ctx context.Context, id, by string) (w Watch, err error) {
	if d.cfg.ReadOnly != "" {
		return Watch{}, &ReadOnly{d.cfg.ReadOnly}
	}
	if w, err = d.cfg.Store.Watch(ctx, id); err != nil {
		return Watch{}, err
	}
	if by != w.By || by == "" {
		if err := d.allowed(ctx, d.cfg.Policy(), by); err != nil {
			return Watch{}, err
		}
	}
	err = d.cfg.Store.Tx(ctx, func(tx *sql.Tx) error {
		w, err = d.cfg.Store.ChangeWatchTx(ctx, tx, id, func(w *Watch) (Change, error) {
			if w.State == Ended || w.StopBy != "" {
				return Change{}, nil
			}
			now := d.now()
			w.StopBy = by
			if w.State == Running { // whoever runs it sees it at the next snapshot
				return Change{Tell: now}, nil
			}
			w.Cut = "it was stopped before it began"
			return w.conclude(now, now), nil
		})
		return err
	})
	if err != nil {
		return Watch{}, fmt.Errorf("stop %s: %w", id, err)
	}
	d.cfg.Wake()
	return w, nil
}

// allowed refuses who is neither an operator nor an approver.
func (d *Desk) allowed(ctx context.Context, pol policy.Policy, user string) error {
	may := slices.Concat(pol.People.Operators, pol.People.Approvers)
	if user != "" && slices.Contains(may, user) {
		return nil
	}
	var unread error
	for _, id := range may {
		if !strings.HasPrefix(id, "S") || d.cfg.Groups == nil || user == "" {
			continue
		}
		in, err := d.cfg.Groups.InGroup(ctx, id, user)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("read user group %s: %w", id, context.Cause(ctx))
		case err != nil:
			unread = err
		case in:
			return nil
		}
	}
	if unread != nil {
		return &NoGroups{Err: unread}
	}
	return ErrNotOperator
}

// conclude gives the watch its verdict, of what was seen until seen, and says what goes with it.
func (w *Watch) conclude(seen, now time.Time) Change {
	*w = w.Judge(seen)
	about := detail{
		URL: w.URL, Release: w.Release.Version, Releases: w.Releases, Verdict: w.Verdict, Cut: w.Cut, StoppedBy: w.StopBy,
		Due: w.Counts.Due, Sent: w.Counts.Sent, Failed: w.Counts.Failed(), Own: w.Counts.Own, InWindow: w.In.Sent, FailedInWindow: w.In.Failed(),
	}
	for _, r := range w.Reasons {
		about.Reasons = append(about.Reasons, r.Text)
	}
	return Change{Entries: []ledger.Entry{w.entry(now, ledger.WatchVerdict, about)}, Tell: now}
}

// detail is what the ledger keeps of a watch. The names are stored: they are added to,
// never changed.
type detail struct {
	URL            string   `json:"url"`
	Seconds        int      `json:"seconds,omitzero"` // that it is to take
	Release        int      `json:"release,omitzero"` // version
	Releases       []int    `json:"releases,omitempty"`
	Verdict        Verdict  `json:"verdict,omitzero"`
	Due            int      `json:"due,omitzero"`
	Sent           int      `json:"sent,omitzero"`
	Failed         int      `json:"failed,omitzero"`
	Own            int      `json:"own_network,omitzero"`
	InWindow       int      `json:"sent_in_window,omitzero"`
	FailedInWindow int      `json:"failed_in_window,omitzero"`
	Reasons        []string `json:"reasons,omitempty"`
	Cut            string   `json:"cut,omitzero"`
	StoppedBy      string   `json:"stopped_by,omitzero"`
}

// entry is a line of the ledger about the watch: by who asked for it, or by the bot.
func (w Watch) entry(at time.Time, verb string, about detail) ledger.Entry {
	text, err := json.Marshal(about)
	if err != nil { // it holds texts and numbers
		panic(err)
	}
	actor := ledger.Bot
	if verb == ledger.WatchAsked {
		actor = cmp.Or(w.By, ledger.Bot)
	}
	return ledger.Entry{At: at, Actor: actor, Verb: verb, App: string(w.App), Name: w.Name, Ticket: w.ID, Detail: text}
}
