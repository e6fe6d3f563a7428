package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Wish is what a person asked for, so that it can be planned again: at the click, when
// the rollout starts, and on resume. The app is told apart from it.
type Wish struct {
	Verb Verb   `json:"verb"`
	Size string `json:"size,omitzero"`  // ToEnable: the dyno size to move an Eco or Basic app to
	On   bool   `json:"on,omitzero"`    // ToAffinity, ToPreboot
	Web  int    `json:"web,omitzero"`   // ToScale: absolute; +N was turned into it when it was asked
	Undo []Step `json:"undo,omitempty"` // ToUndo: the steps to take back, in the order in which they were done; none that was so before
}

// Verb is the kind of a wish.
type Verb string

// The verbs.
const (
	ToEnable   Verb = "enable"   // make the app ready
	ToDisable  Verb = "disable"  // the reverse: preboot off, one web dyno, affinity off
	ToAffinity Verb = "affinity" // session affinity on or off
	ToPreboot  Verb = "preboot"  // preboot on or off
	ToScale    Verb = "scale"    // the web quantity
	ToUndo     Verb = "undo"     // what a ticket did
)

// Line is the wish as a person types it, without the /zdd: enable shop size=standard-1x.
// An undo goes by its ticket, which a wish does not know, so of it there is only the
// verb.
func (w Wish) Line(app string) string {
	words := []string{string(w.Verb), app}
	switch w.Verb {
	case ToEnable:
		if w.Size != "" {
			words = append(words, "size="+w.Size)
		}
	case ToAffinity, ToPreboot:
		words = append(words, onOff(w.On))
	case ToScale:
		words = append(words, fmt.Sprintf("web=%d", w.Web))
	case ToUndo:
		return string(w.Verb)
	}
	return strings.Join(words, " ")
}

// For plans a wish, as of now: the hazards are those of that moment, and so is what is
// left of the soak. It never fails:
// what can't or must not be done is a plan that is Refused, with the safe order to
// give Instead where there is one. Where something else scales the app, changing that
// is left to a person (Yours). A part that could not be read and that a step would
// stand on makes a refusal. A plan made while a preboot hand-over runs has that as a
// hazard: waiting for its end is the rollout's part.
//
// Where the rules are unsure (policy.Rules.Others) a plan that would be another under
// the other rules is refused.
func For(app fleet.App, rules policy.Rules, w Wish, now time.Time) Plan {
	w.Size = strings.ToLower(strings.TrimSpace(w.Size))
	p := under(app, rules, w, now)
	for _, other := range rules.Others() {
		if q := under(app, other, w, now); q.Hash != p.Hash || !slices.Equal(q.Why, p.Why) || !slices.EqualFunc(q.Steps, p.Steps, alike) {
			m := begin(app, rules, w, now)
			m.refuse("%s. The policy has an entry for a pipeline that would make another plan. Nothing was changed; try again.",
				unreadOf(app.Name, unreadPart{"the pipeline", rules.Unsure}))
			return m.finish()
		}
	}
	return p
}

// alike tells what the hash does not: whether two plans wait alike.
func alike(a, b Step) bool { return a.Kind == b.Kind && a.Wait == b.Wait }

func begin(app fleet.App, rules policy.Rules, w Wish, at time.Time) *making {
	m := &making{app: app, rules: rules, wish: w, at: at, now: app, plan: Plan{App: app.ID, Name: app.Name, ReadAt: app.ReadAt}}
	m.unpriced()
	return m
}

// under plans a wish under rules that are sure.
func under(app fleet.App, rules policy.Rules, w Wish, now time.Time) Plan {
	m := begin(app, rules, w, now)
	switch w.Verb {
	case ToEnable:
		m.enable()
	case ToDisable:
		m.disable()
	case ToAffinity:
		m.switchAffinity()
	case ToPreboot:
		m.switchPreboot()
	case ToScale:
		m.scaleTo(w.Web)
	case ToUndo:
		m.undo()
	default:
		m.refuse("This version of zdd does not know the order %s. Nothing was changed.", Code(string(w.Verb)))
	}
	return m.finish()
}
