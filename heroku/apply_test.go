package heroku_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/heroku"
	"example.com/zdd/plan"
	"example.com/zdd/secret"
	simheroku "example.com/zdd/sim/heroku"
)

func toggled(kind plan.Kind, on bool) plan.Step {
	name := map[plan.Kind]string{plan.Preboot: fleet.Preboot, plan.Affinity: fleet.SessionAffinity}[kind]
	return plan.Step{Kind: kind, From: plan.State{Feature: &plan.Feature{Name: name, On: !on}}, To: plan.State{Feature: &plan.Feature{Name: name, On: on}}}
}

func scaled(to int) plan.Step {
	return plan.Step{Kind: plan.Scale, To: plan.State{Processes: []plan.Process{{Type: "web", Size: "standard-1x", Quantity: to}}}}
}

// resized moves process types: "web=standard-1x worker=standard-1x".
func resized(moves string) plan.Step {
	s := plan.Step{Kind: plan.Resize}
	for move := range strings.FieldsSeq(moves) {
		typ, size, _ := strings.Cut(move, "=")
		s.To.Processes = append(s.To.Processes, plan.Process{Type: typ, Size: size, Quantity: 1})
	}
	return s
}

// writes are the changes that reached the simulator.
func writes(sim *simheroku.Server) (out []simheroku.Call) {
	for _, call := range sim.Calls() {
		if call.Method != http.MethodGet {
			out = append(out, call)
		}
	}
	return out
}

// looks is an app in the simulator's own words, as far as steps change it.
func looks(t *testing.T, c *heroku.Client, name string) string {
	t.Helper()
	app := read(t, c, name)
	formation, _ := app.Formation.Get()
	var out []string
	for _, p := range formation {
		out = append(out, fmt.Sprintf("%s=%d:%s", p.Type, p.Quantity, strings.ToLower(p.Size)))
	}
	for _, feature := range []string{fleet.SessionAffinity, fleet.Preboot} {
		if on, _ := app.Feature(feature); on {
			out = append(out, feature)
		}
	}
	return strings.Join(out, " ")
}

func kindOf(err error) fleet.Kind {
	if p, ok := errors.AsType[*fleet.Problem](err); ok {
		return p.Kind
	}
	return ""
}

// TestApply is each kind of change: the one request that it makes, and what the app is
// after it. Carried out again it changes nothing.
func TestApply(t *testing.T) {
	tests := map[string]struct {
		app, path, body, after string
		step                   plan.Step
	}{
		"affinity on":  {"web=1", "/features/http-session-affinity", `{"enabled":true}`, "web=1:standard-1x http-session-affinity", toggled(plan.Affinity, true)},
		"affinity off": {"web=1 affinity=on", "/features/http-session-affinity", `{"enabled":false}`, "web=1:standard-1x", toggled(plan.Affinity, false)},
		"preboot on":   {"web=1", "/features/preboot", `{"enabled":true}`, "web=1:standard-1x preboot", toggled(plan.Preboot, true)},
		"preboot off":  {"web=1 preboot=on", "/features/preboot", `{"enabled":false}`, "web=1:standard-1x", toggled(plan.Preboot, false)},
		"more":         {"web=1 worker=1", "/formation/web", `{"quantity":3}`, "web=3:standard-1x worker=1:standard-1x", scaled(3)},
		"fewer":        {"web=4", "/formation/web", `{"quantity":1}`, "web=1:standard-1x", scaled(1)},
		"resize": {"size=basic web=1 worker=1 clock=0", "/formation",
			`{"updates":[{"type":"clock","size":"standard-1x"},{"type":"web","size":"standard-1x"},{"type":"worker","size":"standard-1x"}]}`,
			"clock=0:standard-1x web=1:standard-1x worker=1:standard-1x", resized("clock=standard-1x web=standard-1x worker=standard-1x")},
		"resize keeps what was scaled since": {"web=5", "/formation", `{"updates":[{"type":"web","size":"performance-m"}]}`, "web=5:performance-m", resized("web=performance-m")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
				do(t, sim, "create target "+tt.app)
				id := read(t, c, "target").ID
				for range 2 {
					sim.ResetCalls()
					if err := c.Apply(t.Context(), id, tt.step); err != nil {
						t.Fatal(err)
					}
					calls := sim.Calls()
					if len(calls) != 1 || calls[0].Method != "PATCH" || calls[0].Path != "/apps/"+string(id)+tt.path || strings.TrimSpace(calls[0].Body) != tt.body {
						t.Errorf("got %+v, want one PATCH of %s with %s", calls, tt.path, tt.body)
					}
					if got := looks(t, c, "target"); got != tt.after {
						t.Errorf("afterwards got %s, want %s", got, tt.after)
					}
				}
			})
		})
	}
}

// TestApplyFaults breaks the write in each way that the simulator knows. It is sent
// once, and only what certainly did not happen is called anything but Unavailable.
func TestApplyFaults(t *testing.T) {
	tests := map[string]struct {
		kind   fleet.Kind // empty: it went well
		done   bool       // in truth
		within time.Duration
	}{
		"503html":        {fleet.Unavailable, false, 0},
		"503json":        {fleet.Unavailable, false, 0},
		"500":            {fleet.Unavailable, false, 0},
		"429":            {fleet.RateLimited, false, 0},
		"403two-factor":  {fleet.TwoFactor, false, 0},
		"hang":           {fleet.Unavailable, false, 15 * time.Second},
		"reset-before":   {fleet.Unavailable, false, 0},
		"reset-after":    {fleet.Unavailable, true, 0},
		"slow:5s":        {"", true, 5 * time.Second},
		"slow:20s":       {fleet.Unavailable, false, 15 * time.Second},
		"truncated-json": {fleet.Unavailable, true, 0},
		"empty-body":     {fleet.Unavailable, true, 0},
	}
	steps := map[string]plan.Step{
		"/features/preboot": toggled(plan.Preboot, true), "/formation/web": scaled(3), "/formation": resized("web=standard-2x worker=standard-2x"),
	}
	for fault, tt := range tests {
		for path, step := range steps {
			t.Run(fault+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log strings.Builder
					c, sim := simulated(t, simheroku.Options{}, heroku.Config{Log: logger(&log)})
					do(t, sim, "create target web=1 worker=1")
					id, before := read(t, c, "target").ID, looks(t, c, "target")
					do(t, sim, "fault next 1 PATCH /apps/target"+path+" "+fault)
					sim.ResetCalls()
					began := time.Now()
					err := c.Apply(t.Context(), id, step)
					if took := time.Since(began); took != tt.within {
						t.Errorf("took %v, want %v", took, tt.within)
					}
					p, _ := errors.AsType[*fleet.Problem](err)
					if kindOf(err) != tt.kind {
						t.Errorf("got %v, want %q", err, tt.kind)
					}
					if unsure := p != nil && strings.Contains(p.Message, "not known"); unsure != (tt.kind == fleet.Unavailable) {
						t.Errorf("got %q, want it to say whether the effect is known", p.Message)
					}
					if p != nil && (p.App != string(id) || p.Op != "apply "+string(step.Kind)) {
						t.Errorf("got %s of %s", p.Op, p.App)
					}
					if n := len(sim.Calls()); n != 1 {
						t.Errorf("sent %d times, want once", n)
					}
					time.Sleep(5 * time.Minute) // what is late has happened by now, and the calls of a 429 have come back
					if changed := looks(t, c, "target") != before; changed != tt.done {
						t.Errorf("changed %t, want %t", changed, tt.done)
					}
					if strings.Contains(log.String()+fmt.Sprintf("%v %+v", err, err), canary) {
						t.Error("the token is in the log or the error")
					}
				})
			})
		}
	}
}

// TestApplyLocked meets the lock of a real hand-over, and passes it when that is over.
func TestApplyLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "create target web=2 preboot=on affinity=on")
		id := read(t, c, "target").ID
		do(t, sim, "deploy target")
		time.Sleep(10 * time.Second)
		for _, step := range []plan.Step{scaled(3), resized("web=standard-2x")} {
			err := c.Apply(t.Context(), id, step)
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Locked || !strings.Contains(p.Message, "until preboot is complete") {
				t.Errorf("%s in a hand-over: got %v, want locked, in Heroku's words", step.Kind, err)
			}
		}
		if err := c.Apply(t.Context(), id, toggled(plan.Affinity, true)); err != nil {
			t.Errorf("a feature in a hand-over: got %v, want none", err)
		}
		time.Sleep(5 * time.Minute)
		if err := c.Apply(t.Context(), id, scaled(3)); err != nil {
			t.Errorf("after the hand-over: got %v, want none", err)
		}
	})
}

// TestApplyHerokuRefuses shows Heroku's own words.
func TestApplyHerokuRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		do(t, sim, "create small size=basic web=1 worker=1")
		do(t, sim, "create target web=1")
		small, target := read(t, c, "small").ID, read(t, c, "target").ID
		do(t, sim, "forbid target on")
		for _, tt := range []struct {
			app     fleet.ID
			step    plan.Step
			kind    fleet.Kind
			message string
		}{
			{small, scaled(2), fleet.Refused, "Cannot update to more than 1 Basic size dynos per process type."},
			{small, resized("web=standard-1x"), fleet.Refused, "Cannot use the following dyno types in the same app"},
			{small, resized("web=huge worker=huge"), fleet.Refused, "No such size as huge."},
			{small, toggled(plan.Preboot, true), fleet.Refused, "Preboot is only available for"},
			{target, scaled(2), fleet.Forbidden, "You do not have access to the app target."},
			{newID, scaled(2), fleet.NotFound, "Couldn't find that app."},
		} {
			err := c.Apply(t.Context(), tt.app, tt.step)
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != tt.kind || !strings.HasPrefix(p.Message, tt.message) || p.RequestID == "" {
				t.Errorf("%s: got %+v, want %s %q", tt.step.Kind, p, tt.kind, tt.message)
			}
		}
		do(t, sim, "delete small")
		if err := c.Apply(t.Context(), small, scaled(1)); kindOf(err) != fleet.NotFound {
			t.Errorf("a deleted app: got %v, want not found", err)
		}
	})
}

// TestApplyReadOnlyToken: a token that may only read is told so by Heroku.
func TestApplyReadOnlyToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{Tokens: map[string]simheroku.Account{canary: {Scope: "read"}}}, heroku.Config{})
		do(t, sim, "create target web=1")
		if err := c.Apply(t.Context(), read(t, c, "target").ID, scaled(2)); kindOf(err) != fleet.Forbidden {
			t.Errorf("got %v, want forbidden", err)
		}
	})
}

// TestApplyNonsense: what no plan makes is refused before a byte is sent.
func TestApplyNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		shop := read(t, c, "shop").ID
		sim.ResetCalls()
		worker := scaled(2)
		worker.To.Processes = []plan.Process{{Type: "worker", Size: "standard-1x", Quantity: 2}}
		other := toggled(plan.Preboot, true)
		other.To.Feature = &plan.Feature{Name: "runtime-dyno-metadata", On: true}
		both := scaled(2)
		both.To.Feature = &plan.Feature{Name: fleet.Preboot, On: true}
		for name, tt := range map[string]struct {
			app  fleet.ID
			step plan.Step
		}{
			"soak":            {shop, plan.Step{Kind: plan.Soak, Wait: time.Minute}},
			"settle":          {shop, plan.Step{Kind: plan.Settle, Wait: time.Minute}},
			"no kind":         {shop, plan.Step{}},
			"unheard of":      {shop, plan.Step{Kind: "restart"}},
			"by name":         {"shop", scaled(2)},
			"by a path":       {shop + "/config-vars#", scaled(2)},
			"no app":          {"", scaled(2)},
			"web at 0":        {shop, scaled(0)},
			"below":           {shop, scaled(-1)},
			"workers":         {shop, worker},
			"another feature": {shop, other},
			"no feature":      {shop, plan.Step{Kind: plan.Affinity}},
			"two things":      {shop, both},
			"nothing to move": {shop, plan.Step{Kind: plan.Resize}},
			"no size":         {shop, resized("web=")},
			"a type twice":    {shop, resized("web=basic web=eco")},
			"a strange type":  {shop, resized("web/../x=basic")},
		} {
			err := c.Apply(t.Context(), tt.app, tt.step)
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Refused || !strings.Contains(p.Message, "zdd itself refused") {
				t.Errorf("%s: got %v, want our own refusal", name, err)
			}
		}
		if calls := sim.Calls(); len(calls) > 0 {
			t.Errorf("sent %+v, want nothing", calls)
		}
	})
}

// TestApplyToItself: the bot's own app is never changed, whatever it was called.
func TestApplyToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simheroku.New(simheroku.Options{})
		t.Cleanup(sim.Close)
		do(t, sim, "create zdd-bot web=1")
		do(t, sim, "create target web=1")
		outside := client(t, sim, heroku.Config{})
		bot, target := read(t, outside, "zdd-bot"), read(t, outside, "target").ID
		for _, self := range []string{string(bot.ID), "zdd-bot", " ZDD-Bot ", bot.WebURL} {
			c := client(t, sim, heroku.Config{Self: self})
			sim.ResetCalls()
			err := c.Apply(t.Context(), bot.ID, scaled(2))
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Refused || !strings.Contains(p.Message, "never changes itself") {
				t.Errorf("self %q: got %v, want refused", self, err)
			}
			if sent := writes(sim); len(sent) > 0 {
				t.Errorf("self %q: sent %+v", self, sent)
			}
			if err := c.Apply(t.Context(), target, scaled(2)); err != nil {
				t.Errorf("self %q, another app: got %v, want none", self, err)
			}
			if id, err := c.ReadSelf(t.Context()); err != nil || id != bot.ID {
				t.Errorf("self %q: got %s, %v, want %s", self, id, err, bot.ID)
			}
		}

		// The name is given away after it was looked up: the bot is still the bot.
		c := client(t, sim, heroku.Config{Self: "zdd-bot"})
		if _, err := c.ReadSelf(t.Context()); err != nil {
			t.Fatal(err)
		}
		do(t, sim, "rename zdd-bot old-bot")
		do(t, sim, "rename target zdd-bot")
		time.Sleep(30 * 24 * time.Hour)
		if err := c.Apply(t.Context(), bot.ID, scaled(2)); kindOf(err) != fleet.Refused {
			t.Errorf("renamed: got %v, want refused", err)
		}
		if err := c.Apply(t.Context(), target, scaled(3)); err != nil {
			t.Errorf("the new owner of the name: got %v, want none", err)
		}
	})
}

// TestApplyUnsureOfItself: where it can't be told which app is its own, it changes none.
func TestApplyUnsureOfItself(t *testing.T) {
	for name, tt := range map[string]struct {
		control string
		kind    fleet.Kind
	}{
		"no such app": {"rename zdd-bot old-bot", fleet.Refused},
		"forbidden":   {"forbid zdd-bot on", fleet.Refused},
		"down":        {"fault GET /apps/zdd-bot 503html", fleet.Unavailable},
		"hangs":       {"fault GET /apps/zdd-bot hang", fleet.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, sim := simulated(t, simheroku.Options{}, heroku.Config{Self: "zdd-bot"})
				do(t, sim, "create zdd-bot web=1")
				do(t, sim, "create target web=1")
				target := read(t, c, "target").ID
				do(t, sim, tt.control)
				err := c.Apply(t.Context(), target, scaled(2))
				p, _ := errors.AsType[*fleet.Problem](err)
				if p == nil || p.Kind != tt.kind || !strings.Contains(p.Message, "never change its own app") || strings.Contains(p.Message, "took effect") {
					t.Errorf("got %v, want %s because of its own app", err, tt.kind)
				}
				if sent := writes(sim); len(sent) > 0 {
					t.Errorf("sent %+v, want nothing", sent)
				}
			})
		})
	}
	for self, ok := range map[string]bool{"": true, "zdd-bot": true, string(newID): true, "zdd bot": false, "../account": false} {
		if _, err := heroku.New(heroku.Config{Key: secret.New(canary), Self: self}); (err == nil) != ok {
			t.Errorf("self %q: got %v", self, err)
		}
	}
}

// TestApplyNothing: with a reason to change nothing, nothing is sent.
func TestApplyNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{ReadOnly: "no ledger key is set"})
		shop := read(t, c, "shop").ID
		sim.ResetCalls()
		err := c.Apply(t.Context(), shop, scaled(2))
		if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Refused || !strings.HasSuffix(p.Message, "no ledger key is set") {
			t.Errorf("got %v, want refused with the reason", err)
		}
		if calls := sim.Calls(); len(calls) > 0 {
			t.Errorf("sent %+v, want nothing", calls)
		}
	})
}

// TestApplyTooLate: a write that might land after its lease is not begun.
func TestApplyTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		shop := read(t, c, "shop").ID
		sim.ResetCalls()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		for name, ctx := range map[string]context.Context{"ended": ended, "almost over": short} {
			err := c.Apply(ctx, shop, scaled(2))
			if p, _ := errors.AsType[*fleet.Problem](err); p == nil || p.Kind != fleet.Unavailable || strings.Contains(p.Message, "took effect") {
				t.Errorf("%s: got %v, want unavailable and nothing sent", name, err)
			}
		}
		// The bucket is empty for people: waiting for a token takes the time.
		do(t, sim, "bucket 0")
		if _, err := c.ReadRate(t.Context()); err != nil {
			t.Fatal(err)
		}
		sim.ResetCalls()
		if err := c.Apply(t.Context(), shop, scaled(2)); kindOf(err) != fleet.RateLimited {
			t.Errorf("nothing left of the limit: got %v, want rate limited", err)
		}
		if calls := sim.Calls(); len(calls) > 0 {
			t.Errorf("sent %+v, want nothing", calls)
		}
	})
}

// TestApplyIsForeground: what was approved is not held up by the reserve that background
// work leaves to people, even where the order came from there.
func TestApplyIsForeground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, sim := simulated(t, simheroku.Options{}, heroku.Config{})
		shop := read(t, c, "shop").ID
		do(t, sim, "bucket 100")
		if _, err := c.ReadRate(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := c.Apply(heroku.Background(t.Context()), shop, toggled(plan.Preboot, true)); err != nil || time.Since(began) > 0 {
			t.Errorf("got %v after %v, want it at once", err, time.Since(began))
		}
	})
}

// TestApplyOtherAnswer: a success that tells of something else is none to believe.
func TestApplyOtherAnswer(t *testing.T) {
	const own = `"app":{"id":"` + newID + `"}`
	tests := map[string]struct {
		step   plan.Step
		answer string
		ok     bool
	}{
		"feature":             {toggled(plan.Preboot, true), `{"name":"preboot","enabled":true}`, true},
		"feature off":         {toggled(plan.Preboot, true), `{"name":"preboot","enabled":false}`, false},
		"feature unsaid":      {toggled(plan.Preboot, false), `{"name":"preboot"}`, false},
		"another feature":     {toggled(plan.Preboot, true), `{"name":"http-session-affinity","enabled":true}`, false},
		"feature list":        {toggled(plan.Preboot, true), `[]`, false},
		"null":                {toggled(plan.Preboot, true), `null`, false},
		"web":                 {scaled(2), `{` + own + `,"type":"web","quantity":2}`, true},
		"fewer":               {scaled(2), `{` + own + `,"type":"web","quantity":1}`, false},
		"quantity unsaid":     {scaled(2), `{` + own + `,"type":"web"}`, false},
		"quantity a text":     {scaled(2), `{` + own + `,"type":"web","quantity":"2"}`, false},
		"another type":        {scaled(2), `{` + own + `,"type":"worker","quantity":2}`, false},
		"another app":         {scaled(2), `{"app":{"id":"01234567-0000-4cde-8f01-23456789abcd"},"type":"web","quantity":2}`, false},
		"no app":              {scaled(2), `{"type":"web","quantity":2}`, false},
		"sizes":               {resized("web=standard-1x"), `[{` + own + `,"type":"web","size":"Standard-1X"}]`, true},
		"sizes, and another":  {resized("web=standard-1x"), `[{` + own + `,"type":"worker","size":"Basic"},{` + own + `,"type":"web","size":"Standard-1X"}]`, true},
		"another size":        {resized("web=standard-1x"), `[{` + own + `,"type":"web","size":"Basic"}]`, false},
		"a type missing":      {resized("web=standard-1x worker=standard-1x"), `[{` + own + `,"type":"web","size":"Standard-1X"}]`, false},
		"sizes of another":    {resized("web=standard-1x"), `[{"app":{"id":"x"},"type":"web","size":"Standard-1X"}]`, false},
		"sizes of no list":    {resized("web=standard-1x"), `{}`, false},
		"a page that is none": {scaled(2), `<html>`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := client(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, tt.answer) }), heroku.Config{})
				err := c.Apply(t.Context(), newID, tt.step)
				if tt.ok && err != nil || !tt.ok && (kindOf(err) != fleet.Unavailable || !strings.Contains(err.Error(), "not known")) {
					t.Errorf("got %v, want believed %t", err, tt.ok)
				}
			})
		})
	}
}
