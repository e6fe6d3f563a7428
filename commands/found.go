package commands

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"example.com/zdd/fleet"
)

// FoundRequest is a text, such as somebody's message, that may name apps.
type FoundRequest struct {
	By   Person
	Text string
	Now  time.Time
}

// Found is what a text says of apps: one of the two, or none of them where it names no app.
type Found struct {
	Line  string // it names one: the line that says how that is
	Reply Reply  // it names several: they, to choose from
}

// foundMost is how many apps of a text are shown: more than anybody meant.
const foundMost = 20

// FindApps finds the apps that a text names. Only apps that there are count, so that a word which
// only looks like one says nothing. The error is a *Refusal to show word for word, or one to
// log.
func (t Table) FindApps(ctx context.Context, req FoundRequest) (Found, error) {
	if err := t.admit(ctx, req.By); err != nil {
		return Found{}, err
	}
	if t.deps.Listed == nil {
		return Found{}, refuse("I have no list of apps here. `status <app>` asks about one.")
	}
	apps, err := t.deps.Listed.ReadListed(ctx)
	if err != nil {
		return Found{}, refuse("I could not read the list of apps from Heroku just now, so I can't tell which ones this message names. Nothing was changed. Try again in a minute, or type `/zdd status <app>`.")
	}
	found := mentioned(apps, req.Text)
	switch len(found) {
	case 0:
		return Found{}, nil
	case 1:
		return Found{Line: "status " + found[0].Name}, nil
	}
	text := Line(fmt.Sprintf("This message names %d apps. Which one?", len(found)))
	reply := Reply{Summary: text.String(), Parts: []Part{Heading{"Check with zdd"}, Para{text}}}
	var items []Item
	for _, app := range found[:min(len(found), foundMost)] {
		items = append(items, Item{
			Text: append(Line(Bold(app.Name), " · "+cmp.Or(app.Team, "personal")), t.lastVerdict(ctx, app.ID)...), Button: &Button{Label: "Status", Run: "status " + string(app.ID)},
		})
	}
	reply.Parts = append(reply.Parts, List{items})
	if more := len(found) - foundMost; more > 0 {
		reply.Parts = append(reply.Parts, Note{Line(fmt.Sprintf("And %d more. `/zdd status <app>` asks about any.", more))})
	}
	return Found{Reply: reply}, nil
}

// lastVerdict is what the last nightly scan found of an app; empty where it did not look, or
// that can't be told now.
func (t Table) lastVerdict(ctx context.Context, app fleet.ID) Text {
	if t.deps.Nights == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, betweenWithin)
	defer cancel()
	s, found, err := t.deps.Nights.Standing(ctx, app)
	if err != nil || !found || !s.Gone.IsZero() {
		return nil
	}
	return Line(" · "+verdicts[s.Verdict].word+" ", At(s.ReadAt))
}
