package heroku

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
)

// leastTime must be left of the deadline when a write is sent: what Heroku takes to
// answer one on a bad day. One that is begun later might land after whoever holds the
// lease on this app has taken over.
const leastTime = 2 * time.Second

// Apply carries out one step of a plan on one app. It is the only line of the bot that
// changes anything at Heroku. The values it sends are absolute, so that a step which is
// carried out twice has no second effect, and it sends each once, whatever happens.
// Waits (soak, settle) are no step to apply. The caller reads before and after.
//
// An error is a *fleet.Problem. Locked: a preboot hand-over holds the formation; wait.
// Refused: Heroku said no in the Message's words, or zdd itself did: the app is the
// bot's own, or nothing may be changed. Unavailable: nobody knows whether the step took
// effect; read it back. RateLimited, and every other kind: nothing was changed.
func (c *Client) Apply(ctx context.Context, app fleet.ID, step plan.Step) error {
	p := c.apply(ctx, app, step)
	if p == nil {
		c.log.InfoContext(ctx, "changed an app", "app", app, "step", step.Kind)
		return nil
	}
	p.Op, p.App = "apply "+string(step.Kind), string(app)
	c.log.WarnContext(ctx, "a change did not go through", "app", app, "step", step.Kind, "err", p)
	return p
}

func (c *Client) apply(ctx context.Context, app fleet.ID, step plan.Step) *fleet.Problem {
	w, err := writeOf(app, step)
	if err != nil {
		return &fleet.Problem{Kind: fleet.Refused, Message: "zdd itself refused to send this: " + err.Error()}
	}
	ctx, cancel := context.WithTimeout(Urgent(ctx), c.timing.Write)
	defer cancel()
	c.joins.forget() // and again when it is through: what was read before is not what is now
	defer c.joins.forget()
	if p := c.mayChange(ctx, app); p != nil {
		return p
	}
	var answer json.RawMessage
	if err := c.api.Patch(ctx, &answer, w.path, w.body); err != nil {
		p := c.problem(ctx, "", "", err)
		if p.Kind == fleet.NotTold {
			p.Kind = fleet.Unavailable
		}
		if p.Kind == fleet.Unavailable && !errors.Is(p, errNotSent) {
			p.Message += "; whether the change took effect is not known"
		}
		return p
	}
	if err := w.check(answer); err != nil {
		return &fleet.Problem{Kind: fleet.Unavailable, Message: "Heroku's answer is not what was asked for (" + err.Error() + "); whether the change took effect is not known"}
	}
	return nil
}

// errNotSent is the cause of a problem that came up before a write left for Heroku.
var errNotSent = errors.New("nothing was sent")

// mayChange refuses where nothing may be changed, and the bot's own app. Where it
// can't be told which that is, it refuses every app.
func (c *Client) mayChange(ctx context.Context, app fleet.ID) *fleet.Problem {
	if c.readOnly != "" {
		return &fleet.Problem{Kind: fleet.Refused, Message: "nothing may be changed: " + c.readOnly, Err: errNotSent}
	}
	self, err := c.ReadSelf(ctx)
	if err != nil {
		p := c.problem(ctx, "", "", err)
		switch p.Kind {
		case fleet.Unavailable, fleet.RateLimited: // passing: worth another try
		default:
			p.Kind = fleet.Refused
		}
		p.Message, p.Err = fmt.Sprintf("zdd must never change its own app, and which that is could not be looked up by its name (%s); naming it by its UUID needs no look-up", p.Message), errNotSent
		return p
	}
	if self == app {
		return &fleet.Problem{Kind: fleet.Refused, Message: "this is the app that zdd itself runs on, and zdd never changes itself", Err: errNotSent}
	}
	return nil
}

// ReadSelf is the UUID of the app that [Config.Self] names, and empty where it names
// none. A name is looked up once and held on to, because names are given away again:
// ask at the start, when the name is sure to be the bot's. Apply asks where nobody has.
func (c *Client) ReadSelf(ctx context.Context) (fleet.ID, error) {
	if c.self == (fleet.Ref{}) {
		return "", nil
	}
	if identity, ok := c.self.Identity(); ok && idShape.MatchString(identity) {
		return fleet.ID(identity), nil
	}
	const forGood = 100 * 365 * 24 * time.Hour
	return c.selfID.recall(ctx, forGood, func(ctx context.Context) (fleet.ID, error) {
		ctx, cancel := context.WithTimeout(ctx, c.timing.Part)
		defer cancel()
		identity, err := c.identify(ctx, c.self)
		if err != nil {
			return "", err
		}
		var info appInfo
		err = c.api.Get(ctx, &info, "/apps/"+identity, nil, nil)
		if err == nil {
			err = info.check()
		}
		if err != nil {
			return "", c.problem(ctx, "read own app", c.self.String(), err)
		}
		return fleet.ID(info.ID), nil
	})
}

// write is one PATCH: what is asked, and what the answer must then say.
type write struct {
	path  string
	body  any
	check func(answer []byte) error
}

// What the bodies of writes may be, and no more: see fitting.
type (
	featureChange struct {
		Enabled bool `json:"enabled"`
	}
	quantityChange struct {
		Quantity int `json:"quantity"`
	}
	sizeChanges struct {
		Updates []sizeChange `json:"updates"`
	}
	sizeChange struct {
		Type string `json:"type"`
		Size string `json:"size"`
	}
)

// writeOf turns a step into its one request. The error says what is wrong with a step
// that no plan makes.
func writeOf(app fleet.ID, step plan.Step) (write, error) {
	if !idShape.MatchString(string(app)) {
		return write{}, errors.New("an app to change is named by its UUID only")
	}
	path := "/apps/" + string(app)
	switch step.Kind {
	case plan.Affinity:
		return featureWrite(path, fleet.SessionAffinity, step)
	case plan.Preboot:
		return featureWrite(path, fleet.Preboot, step)
	case plan.Scale:
		return scaleWrite(app, path, step)
	case plan.Resize:
		return resizeWrite(app, path, step)
	case plan.Soak, plan.Settle:
		return write{}, errors.New("a wait changes nothing")
	}
	return write{}, errors.New("this is no kind of change that it knows")
}

func featureWrite(path, name string, step plan.Step) (write, error) {
	want := step.To.Feature
	if want == nil || want.Name != name || len(step.To.Processes) > 0 {
		return write{}, fmt.Errorf("the step %s is about something else", step.Kind)
	}
	return write{path + "/features/" + name, featureChange{want.On}, func(answer []byte) error {
		var got struct {
			Name    string `json:"name"`
			Enabled *bool  `json:"enabled"`
		}
		switch err := json.Unmarshal(answer, &got); {
		case err != nil:
			return errForm
		case got.Name != name || got.Enabled == nil || *got.Enabled != want.On:
			return errors.New("another feature, or the other way round")
		}
		return nil
	}}, nil
}

func scaleWrite(app fleet.ID, path string, step plan.Step) (write, error) {
	if len(step.To.Processes) != 1 || step.To.Feature != nil || step.To.Processes[0].Type != "web" {
		return write{}, errors.New("only web is scaled")
	}
	want := step.To.Processes[0]
	if want.Quantity < 1 {
		return write{}, errors.New("switching an app off is not something it does")
	}
	return write{path + "/formation/web", quantityChange{want.Quantity}, func(answer []byte) error {
		var got formationAnswer
		switch err := json.Unmarshal(answer, &got); {
		case err != nil:
			return errForm
		case got.App.ID != string(app) || got.Type != "web":
			return errors.New("another app, or another process type")
		case got.Quantity == nil || *got.Quantity != want.Quantity:
			return errors.New("another quantity")
		}
		return nil
	}}, nil
}

// resizeWrite moves process types to other sizes in one request and names no quantity:
// what somebody scaled a moment ago stays.
func resizeWrite(app fleet.ID, path string, step plan.Step) (write, error) {
	var body sizeChanges
	for _, p := range step.To.Processes {
		body.Updates = append(body.Updates, sizeChange{p.Type, p.Size})
	}
	if step.To.Feature != nil || !body.fits() {
		return write{}, errors.New("its process types or sizes are none")
	}
	return write{path + "/formation", body, func(answer []byte) error {
		var got []formationAnswer
		if err := json.Unmarshal(answer, &got); err != nil {
			return errForm
		}
		for _, want := range body.Updates {
			i := slices.IndexFunc(got, func(a formationAnswer) bool { return a.Type == want.Type })
			switch {
			case i < 0 || got[i].App.ID != string(app):
				return errors.New("another app, or not all process types")
			case fleet.SizeNamed(got[i].Size).Name != want.Size:
				return errors.New("another size")
			}
		}
		return nil
	}}, nil
}

type formationAnswer struct {
	App struct {
		ID string `json:"id"`
	} `json:"app"`
	Type     string `json:"type"`
	Quantity *int   `json:"quantity"`
	Size     string `json:"size"`
}

var (
	processShape = regexp.MustCompile(`\A[A-Za-z0-9_-]{1,64}\z`)
	sizeShape    = regexp.MustCompile(`\A[a-z][a-z0-9.-]{1,40}\z`)
)

func (featureChange) fits() bool    { return true }
func (q quantityChange) fits() bool { return q.Quantity >= 1 }

func (s sizeChanges) fits() bool {
	seen := map[string]bool{}
	for _, u := range s.Updates {
		if !processShape.MatchString(u.Type) || !sizeShape.MatchString(u.Size) || seen[u.Type] {
			return false
		}
		seen[u.Type] = true
	}
	return len(seen) > 0
}

// fitting says whether a body is one of that form, letter by letter as this program
// writes it: no further key, no key twice, nothing after it.
func fitting[T interface{ fits() bool }](body []byte) bool {
	var v T
	if json.NewDecoder(bytes.NewReader(body)).Decode(&v) != nil || !v.fits() {
		return false
	}
	again, err := json.Marshal(v)
	return err == nil && strings.TrimSpace(string(body)) == string(again)
}
