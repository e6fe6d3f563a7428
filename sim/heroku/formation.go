package heroku

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// update is one entry of a formation PATCH. The quantity is a number, or a
// string as the CLI sends it: "2", and "+1" or "-1" for the server to add.
type update struct {
	Type     string          `json:"type"`
	Quantity json.RawMessage `json:"quantity"`
	Size     *string         `json:"size"`
}

// wanted is an update that was understood.
type wanted struct {
	proc     *proc
	quantity int
	size     dynoSize
}

func patchFormation(x *exchange) answer {
	var in struct {
		Updates []update `json:"updates"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil || in.Updates == nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Require params: updates.").answer()
	}
	wants, refusal := x.updateFormation(in.Updates)
	if refusal != nil {
		return refusal.answer()
	}
	shown := make([]any, 0, len(wants))
	for _, want := range wants {
		shown = append(shown, x.app.showProc(want.proc))
	}
	return ok(shown)
}

func patchProc(x *exchange) answer {
	var in update
	if err := json.Unmarshal(x.body, &in); err != nil || in.Quantity == nil && in.Size == nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Require at least one of params: quantity, size.").answer()
	}
	in.Type = x.params["type"]
	wants, refusal := x.updateFormation([]update{in})
	if refusal != nil {
		return refusal.answer()
	}
	return ok(x.app.showProc(wants[0].proc))
}

// updateFormation checks all updates against the app as it would be, and then
// carries out all or none.
func (x *exchange) updateFormation(updates []update) ([]wanted, *apiError) {
	a := x.app
	if a.locked(x.now) {
		// The words are the API's; status and id are assumed.
		return nil, refuse(http.StatusUnprocessableEntity, "invalid_params", "Cannot change formation for a preboot app until preboot is complete")
	}
	wants := make([]wanted, 0, len(updates))
	for _, u := range updates {
		want, refusal := a.understand(u)
		if refusal != nil {
			return nil, refusal
		}
		wants = append(wants, want)
	}
	if refusal := a.checkLimits(wants); refusal != nil {
		return nil, refusal
	}
	for _, want := range wants {
		if want.quantity < want.proc.quantity {
			a.scale(x.now, want.proc, want.quantity) // first, so that no dyno restarts to be stopped
		}
		a.resize(x.now, want.proc, want.size)
		a.scale(x.now, want.proc, want.quantity)
	}
	return wants, nil
}

func (a *app) understand(u update) (wanted, *apiError) {
	p := a.proc(u.Type)
	if p == nil {
		e := refuse(http.StatusNotFound, "not_found", "Couldn't find that process type (%s).", u.Type)
		e.Resource = "formation"
		return wanted{}, e
	}
	want := wanted{proc: p, quantity: p.quantity, size: p.size}
	if u.Quantity != nil && string(u.Quantity) != "null" {
		n, ok := readQuantity(u.Quantity, p.quantity)
		if !ok {
			return want, refuse(http.StatusUnprocessableEntity, "invalid_params", "Invalid quantity %s for process type %s.", u.Quantity, p.typ)
		}
		want.quantity = n
	}
	if u.Size != nil {
		size, refusal := sizeFor(a, *u.Size)
		if refusal != nil {
			return want, refusal
		}
		want.size = size
	}
	return want, nil
}

func readQuantity(raw json.RawMessage, now int) (int, bool) {
	text := string(raw)
	if s := ""; json.Unmarshal(raw, &s) == nil {
		text = strings.TrimSpace(s)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, false
	}
	if text[0] == '+' || text[0] == '-' {
		n += now
	}
	return n, n >= 0
}

// checkLimits holds the formation as it would be against the limits of its
// sizes, and refuses a mix of Eco or Basic with anything else (Dev Center,
// "Dyno Types").
func (a *app) checkLimits(wants []wanted) *apiError {
	sizes, quantities := map[*proc]dynoSize{}, map[*proc]int{}
	for _, p := range a.procs {
		sizes[p], quantities[p] = p.size, p.quantity
	}
	for _, want := range wants {
		sizes[want.proc], quantities[want.proc] = want.size, want.quantity
	}
	for _, p := range a.procs {
		if first := sizes[a.procs[0]]; single(first) != single(sizes[p]) || single(first) && first.name != sizes[p].name {
			return refuse(http.StatusUnprocessableEntity, "invalid_params", "Cannot use the following dyno types in the same app: %s and %s", first.name, sizes[p].name)
		}
	}
	for _, p := range a.procs {
		if size := sizes[p]; quantities[p] > size.perType() && (quantities[p] > p.quantity || size.name != p.size.name) {
			return refuse(http.StatusUnprocessableEntity, "invalid_params", "Cannot update to more than %d %s size dynos per process type.", size.perType(), size.name)
		}
	}
	return nil
}

// single says whether a size allows one dyno a type and no other size beside it.
func single(d dynoSize) bool { return d.tier == tierEco || d.tier == tierBasic }
