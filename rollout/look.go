package rollout

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	"example.com/zdd/plan"
)

// looks is the work of looking again after an end.
func (u *run) looks(end time.Time) []approval.Work {
	var work []approval.Work
	for n, after := range u.timing.Looks {
		work = append(work, approval.Work{Kind: approval.WorkLook, Key: fmt.Sprintf("%s:%d", u.t.ID, n), At: end.Add(after)})
	}
	return work
}

// Look is the handler of approval.WorkLook, with the work's key, such as T-3:0. It
// looks whether what the ticket did is still so, and stores what it sees in the ticket.
// It changes nothing on Heroku. A look that comes when a later one is due is that one.
func (r *Runner) Look(ctx context.Context, key string, job Job) error {
	ticket, number, _ := strings.Cut(key, ":")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(r.timing.Looks) {
		return job.GiveUp(fmt.Errorf("look %q: there is no such look", key))
	}
	t, err := r.cfg.Tickets.Ticket(ctx, ticket)
	if errors.Is(err, approval.ErrNoTicket) {
		return job.GiveUp(err)
	}
	if err != nil {
		return fmt.Errorf("load %s: %w", ticket, err)
	}
	due := t.EndedAt.Add(r.timing.Looks[n])
	made := func(l approval.Look) bool { return !l.At.Before(due) }
	if t.State != approval.Done || slices.ContainsFunc(t.Later, made) {
		return nil
	}
	if r.cfg.ReadOnly != "" {
		return job.Later(r.now().Add(readOnlyPause), r.cfg.ReadOnly)
	}
	other, err := r.otherTicket(ctx, t, t.EndedAt)
	if err != nil {
		return err
	}
	u := &run{Runner: r, job: job, t: t, log: r.log.With("ticket", t.ID, "app", t.Plan.Name)}
	var seen sight
	var again time.Time // zero: seen is to be stored
	err = job.Step(ctx, func(ctx context.Context) error {
		if other != "" {
			seen.text = fmt.Sprintf("%s has changed the app since, so there is nothing to compare any more.", plan.Code(other))
			return nil
		}
		var p *trouble
		seen, p = u.sight(ctx)
		switch {
		case p == nil:
		case p.ended != nil:
			return p.ended
		case p.passes() && r.now().Before(due.Add(r.timing.LookLate)):
			again = r.now().Add(r.timing.RetryMost)
		default:
			seen.text = fmt.Sprintf("Whether it is still so could not be found out: %s.", p.words())
		}
		return nil
	}, func(ctx context.Context, tx *sql.Tx) error {
		if !again.IsZero() {
			return nil
		}
		_, err := r.cfg.Tickets.ChangeTicketTx(ctx, tx, ticket, func(t *approval.Ticket) (approval.Change, error) {
			if slices.ContainsFunc(t.Later, made) {
				return approval.Change{}, errMoved
			}
			t.Later = append(t.Later, approval.Look{At: r.now(), Text: seen.text})
			return u.tell(ledger.Rechecked, map[string]any{"look": n + 1, "undone": seen.undone, "text": seen.text, "now": nonNilStates(seen.now)}), nil
		})
		return err
	})
	switch {
	case errors.Is(err, errMoved):
		return nil
	case err != nil:
		return fmt.Errorf("look at %s again: %w", ticket, err)
	case !again.IsZero():
		return job.Later(again, "Heroku does not answer")
	}
	return nil
}

func nonNilStates(states []plan.State) []plan.State {
	if states == nil {
		return []plan.State{}
	}
	return states
}

// otherTicket is one that has changed the same app since that moment, or is about to;
// empty: none.
func (r *Runner) otherTicket(ctx context.Context, t approval.Ticket, since time.Time) (string, error) {
	tickets, err := r.cfg.Tickets.Tickets(ctx, approval.Filter{App: t.Plan.App})
	if err != nil {
		return "", fmt.Errorf("list the tickets of %s: %w", t.Plan.Name, err)
	}
	for _, o := range tickets {
		if o.ID != t.ID && (o.State == approval.Running || o.EndedAt.After(since)) {
			if done, unknown, _ := account(o); len(done)+len(unknown) > 0 {
				return o.ID, nil
			}
		}
	}
	return "", nil
}

// sight is what a look saw.
type sight struct {
	now    []plan.State
	undone bool
	text   string // empty: all is as it was left
}

// sight looks at the app, and says what is not as the ticket left it, between which two
// readings that came about, and by what it seems.
func (u *run) sight(ctx context.Context) (sight, *trouble) {
	app, p := u.read(ctx)
	if p != nil {
		return sight{}, p
	}
	return u.compare(app)
}

// compare holds an app that was read against how the ticket left it.
func (u *run) compare(app fleet.App) (sight, *trouble) {
	steps := u.t.Plan.Steps
	left := plan.After(app, steps...)
	undone := undoing{before: true}
	var found []string
	for i, s := range steps {
		if !changes(s) {
			continue
		}
		value := s.Seen(app)
		seen, known := value.Get()
		if !known && value.Why().Kind != fleet.NotFound {
			return sight{}, unread(subject(s), value.Why())
		}
		want, _ := s.Seen(left).Get()
		text := difference(want, seen, "and should be")
		if !known {
			text, undone.before = value.Why().Text, false
		}
		if text == "" || slices.Contains(found, text) {
			continue
		}
		found = append(found, text)
		undone.formation = undone.formation || len(s.To.Processes) > 0
		undone.scaled = undone.scaled || !slices.EqualFunc(want.Processes, seen.Processes, func(a, b plan.Process) bool { return a.Quantity == b.Quantity })
		first := slices.IndexFunc(steps[:i+1], func(o plan.Step) bool { return changes(o) && subject(o) == subject(s) })
		undone.before = undone.before && seen.Equal(steps[first].From)
	}
	out := sight{now: proven(steps, app), undone: len(found) > 0}
	if !out.undone {
		return out, nil
	}
	last := u.t.EndedAt
	for _, l := range u.t.Later {
		if l.Text == "" {
			last = l.At
		}
	}
	out.text = fmt.Sprintf("%s. That came about between %s and %s. %s To plan it anew: %s.",
		plan.Capital(plan.Join(found)), u.clock(last), u.clock(app.ReadAt), u.culprit(app, last, undone), u.again())
	return out, nil
}

// undoing is what kind of change undid what a ticket did.
type undoing struct {
	formation bool // of dynos, in number or size
	scaled    bool // in number, which is all that autoscalers change
	before    bool // all of it is again as it was before the ticket
}

// culprit says by what it seems that something was undone. It names nobody: changes of
// features and of the formation make no release, so the one who made the latest release
// has nothing to do with it, unless its description says so.
func (u *run) culprit(app fleet.App, last time.Time, undone undoing) string {
	scaler, _ := plan.AutoscalerOf(app).Get()
	addons := app.ScalingAddOns()
	release, _ := app.Release.Get()
	switch {
	case undone.scaled && scaler.Active:
		return fmt.Sprintf("By what it seems Heroku's autoscaler did it: it is on, from %d to %d web dynos, and only its minimum lasts (%s/resources).", scaler.Min, scaler.Max, app.DashboardURL())
	case undone.scaled && len(addons) > 0:
		return fmt.Sprintf("By what it seems %s did it, which scales the app: only the minimum in its own settings lasts (%s).", plan.Code(addons[0]), plan.Command(app, "open it in the dashboard", "addons:open", addons[0]))
	case release.CreatedAt.After(last) && namesChange(release.Description, undone.formation):
		return fmt.Sprintf("Release v%d, made in that time, says %s.", release.Version, plan.Code(release.Description))
	case undone.before:
		return "It is again as it was before: so Terraform, or another tool that keeps its own record of the app, leaves it when it runs next, and so may a person. Heroku does not tell who, as such a change makes no release."
	case undone.scaled:
		return "It may be a person, or an autoscaler that Heroku does not list, such as HireFire. Heroku does not tell who, as such a change makes no release."
	}
	return "It may be a person, or a tool. Heroku does not tell who, as such a change makes no release."
}

// namesChange says whether a release's description is about such a change.
func namesChange(description string, formation bool) bool {
	words := []string{"preboot", "affinity"}
	if formation {
		words = []string{"scale", "formation", "dyno", "resize"}
	}
	description = strings.ToLower(description)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(description, w) })
}
