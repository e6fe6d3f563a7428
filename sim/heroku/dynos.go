package heroku

import (
	"encoding/json"
	"net/http"
)

// listed are the dynos that the API tells of now. In a preboot hand-over those
// are the new ones only.
func (x *exchange) listed() []*dyno {
	return filter(x.app.dynos, func(d *dyno) bool { return d.listed(x.now) })
}

func listDynos(x *exchange) answer {
	return page(x, x.listed(), list[*dyno]{
		columns: []column[*dyno]{
			{name: "name", text: func(d *dyno) string { return d.name() }},
			{name: "id", text: func(d *dyno) string { return d.id }},
		},
		show: func(d *dyno) any { return x.app.showDyno(d, x.now) },
	})
}

func (x *exchange) dyno() *dyno {
	for _, d := range x.listed() {
		if name := x.params["dyno"]; d.name() == name || d.id == name || x.app.showDyno(d, x.now).Name == name {
			return d
		}
	}
	return nil
}

func getDyno(x *exchange) answer {
	if d := x.dyno(); d != nil {
		return ok(x.app.showDyno(d, x.now))
	}
	return missing("dyno")
}

// runDyno starts a one-off dyno; it stays until it is stopped.
func runDyno(x *exchange) answer {
	var in struct {
		Command string `json:"command"`
		Size    string `json:"size"`
		Type    string `json:"type"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil || in.Command == "" {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Require params: command.").answer()
	}
	r := x.app.current(x.now)
	if r == nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Cannot run dynos for an app without a release.").answer()
	}
	p := &proc{typ: "run", size: x.app.usualSize()}
	if in.Type != "" {
		p.typ = in.Type
	}
	if in.Size != "" {
		size, refusal := sizeFor(x.app, in.Size)
		if refusal != nil {
			return refusal.answer()
		}
		p.size = size
	}
	d := x.app.start(x.now, p, 1000+len(x.app.running("run")), r)
	d.command = in.Command
	return answer{status: http.StatusCreated, body: x.app.showDyno(d, x.now)}
}

// restartAll restarts the formation; with preboot on, as a hand-over. One-off
// dynos end.
func restartAll(x *exchange) answer {
	for _, d := range x.app.running("run") {
		d.hiddenAt, d.goneAt = x.now, x.now
	}
	x.app.roll(x.now)
	return answer{status: http.StatusAccepted, body: struct{}{}}
}

func restartOne(x *exchange) answer {
	d := x.dyno()
	if d == nil {
		return missing("dyno")
	}
	d.hiddenAt, d.goneAt = x.now, x.now
	if p := x.app.proc(d.typ); p != nil {
		x.app.start(x.now, p, d.num, x.app.current(x.now))
	}
	return answer{status: http.StatusAccepted, body: struct{}{}}
}

// stopDyno stops a one-off dyno for good; one of the formation comes back.
func stopDyno(x *exchange) answer { return restartOne(x) }
