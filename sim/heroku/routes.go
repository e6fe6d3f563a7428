package heroku

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type route struct {
	method, pattern string
	handler         func(*exchange) answer
	metrics         bool // on api.metrics.heroku.com: no version, no bucket
	free            bool // takes nothing from the bucket
	reads           bool // changes nothing though it is no GET
}

func (r route) name() string {
	if r.pattern == "" {
		return "unknown"
	}
	return r.method + " " + r.pattern
}

func routes() []route {
	return []route{
		{method: "GET", pattern: "/account", handler: func(x *exchange) answer { return ok(x.w.showAccount(x.account)) }},
		{method: "GET", pattern: "/account/rate-limits", free: true, handler: rateLimits},
		{method: "GET", pattern: "/accounts/{account}/actions/get-quota", handler: ecoQuota},
		{method: "GET", pattern: "/apps", handler: listApps},
		{method: "GET", pattern: "/users/{user}/apps", handler: listOwnApps},
		{method: "POST", pattern: "/filters/apps", reads: true, handler: filterApps},
		{method: "GET", pattern: "/apps/{app}", handler: func(x *exchange) answer { return ok(x.w.showApp(x.app)) }},
		{method: "PATCH", pattern: "/apps/{app}", handler: patchApp},
		{method: "GET", pattern: "/apps/{app}/formation", handler: listFormation},
		{method: "PATCH", pattern: "/apps/{app}/formation", handler: patchFormation},
		{method: "GET", pattern: "/apps/{app}/formation/{type}", handler: getProc},
		{method: "PATCH", pattern: "/apps/{app}/formation/{type}", handler: patchProc},
		{method: "GET", pattern: "/apps/{app}/formation/web/monitors", metrics: true, handler: listMonitors},
		{method: "GET", pattern: "/apps/{app}/features", handler: listFeatures},
		{method: "GET", pattern: "/apps/{app}/features/{feature}", handler: getFeature},
		{method: "PATCH", pattern: "/apps/{app}/features/{feature}", handler: switchFeature},
		{method: "GET", pattern: "/dyno-sizes", handler: listSizes},
		{method: "GET", pattern: "/dyno-sizes/{size}", handler: getSize},
		{method: "GET", pattern: "/apps/{app}/releases", handler: listReleases},
		{method: "GET", pattern: "/apps/{app}/releases/{release}", handler: getRelease},
		{method: "POST", pattern: "/apps/{app}/releases", handler: postRelease},
		{method: "GET", pattern: "/apps/{app}/dynos", handler: listDynos},
		{method: "GET", pattern: "/apps/{app}/dynos/{dyno}", handler: getDyno},
		{method: "POST", pattern: "/apps/{app}/dynos", handler: runDyno},
		{method: "DELETE", pattern: "/apps/{app}/dynos", handler: restartAll},
		{method: "DELETE", pattern: "/apps/{app}/dynos/{dyno}", handler: restartOne},
		{method: "POST", pattern: "/apps/{app}/dynos/{dyno}/actions/stop", handler: stopDyno},
		{method: "GET", pattern: "/apps/{app}/addons", handler: listAddons},
		{method: "GET", pattern: "/addons", handler: listAllAddons},
		{method: "GET", pattern: "/apps/{app}/addon-attachments", handler: listAttachments},
		{method: "GET", pattern: "/addon-attachments", handler: listAllAttachments},
		{method: "GET", pattern: "/apps/{app}/buildpack-installations", handler: listBuildpacks},
		{method: "GET", pattern: "/apps/{app}/domains", handler: listDomains},
		{method: "GET", pattern: "/apps/{app}/collaborators", handler: listCollaborators},
		{method: "GET", pattern: "/apps/{app}/config-vars", handler: func(x *exchange) answer { return ok(x.app.configVars) }},
		{method: "PATCH", pattern: "/apps/{app}/config-vars", handler: patchConfig},
		{method: "GET", pattern: "/apps/{app}/pipeline-couplings", handler: getCoupling},
		{method: "GET", pattern: "/pipeline-couplings", handler: listCouplings},
		{method: "GET", pattern: "/pipelines", handler: listPipelines},
		{method: "GET", pattern: "/pipelines/{pipeline}", handler: getPipeline},
		{method: "GET", pattern: "/pipelines/{pipeline}/pipeline-couplings", handler: listCouplings},
		{method: "GET", pattern: "/teams", handler: listTeams},
		{method: "GET", pattern: "/teams/{team}", handler: getTeam},
		{method: "GET", pattern: "/teams/{team}/apps", handler: listTeamApps},
		{method: "GET", pattern: "/spaces", handler: listSpaces},
		{method: "GET", pattern: "/spaces/{space}", handler: getSpace},
	}
}

// match finds the route of a cleaned path. Literal segments win over
// parameters because such patterns are longer or come with their own length.
func (s *Server) match(method, clean string) (route, map[string]string) {
	have := strings.Split(clean, "/")
	for _, r := range s.routes {
		want := strings.Split(r.pattern, "/")
		if r.method != method || len(want) != len(have) {
			continue
		}
		params := map[string]string{}
		fits := true
		for i, part := range want {
			if strings.HasPrefix(part, "{") {
				params[strings.Trim(part, "{}")] = have[i]
			} else if part != have[i] {
				fits = false
				break
			}
		}
		if fits {
			return r, params
		}
	}
	return route{}, map[string]string{}
}

func noRoute() answer {
	return refuse(http.StatusNotFound, "not_found", "The requested API endpoint was not found. Are you using the right HTTP verb (i.e. `GET` vs. `POST`), and did you specify your intended version with the `Accept` header?").answer()
}

func missing(resource string) answer {
	e := refuse(http.StatusNotFound, "not_found", "Couldn't find that %s.", resource)
	e.Resource = resource
	return e.answer()
}

func rateLimits(x *exchange) answer { return ok(wireLimits{x.remaining}) }

type wireLimits struct {
	Remaining int `json:"remaining"`
}

func ecoQuota(x *exchange) answer {
	if x.params["account"] != x.account.ID && x.params["account"] != "~" {
		return missing("account")
	}
	return ok(map[string]any{"account_quota": 3_600_000, "quota_used": 0, "apps": []any{}})
}

// settled brings every app up to now before a list shows them.
func (x *exchange) settled() []*app {
	for _, a := range x.w.apps {
		a.settle(x.now)
	}
	return x.w.apps
}

func appsList(x *exchange) list[*app] {
	return list[*app]{
		columns: []column[*app]{
			{name: "id", text: func(a *app) string { return a.id }},
			{name: "name", text: func(a *app) string { return a.name }},
			{name: "updated_at", text: func(a *app) string { return stamp(a.updatedAt) }},
		},
		show: func(a *app) any { return x.w.showApp(a) },
	}
}

func filter[T any](rows []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(rows), func(row T) bool { return !keep(row) })
}

// listApps lists what the account has access to; an app that it may not see is
// not there.
func listApps(x *exchange) answer {
	return page(x, filter(x.settled(), func(a *app) bool { return a.access != accessForbidden }), appsList(x))
}

// listOwnApps lists the apps that the account owns or collaborates on, not
// those of teams.
func listOwnApps(x *exchange) answer {
	if u := x.params["user"]; u != "~" && u != x.account.ID && u != x.account.Email {
		return missing("user")
	}
	return page(x, filter(x.settled(), func(a *app) bool { return a.team == nil && a.access != accessForbidden }), appsList(x))
}

func listTeamApps(x *exchange) answer {
	t := x.w.teamNamed(x.params["team"])
	if t == nil {
		return missing("team")
	}
	l := appsList(x)
	l.show = func(a *app) any { return x.w.showTeamApp(a) }
	return page(x, filter(x.settled(), func(a *app) bool { return a.team == t }), l)
}

// filterApps lists apps by their ids; the CLI's pipelines commands use it.
func filterApps(x *exchange) answer {
	var in struct {
		In struct {
			ID []string `json:"id"`
		} `json:"in"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Invalid params.").answer()
	}
	return page(x, filter(x.settled(), func(a *app) bool { return a.access != accessForbidden && slices.Contains(in.In.ID, a.id) }), appsList(x))
}

func patchApp(x *exchange) answer {
	var in struct {
		BuildStack  *string `json:"build_stack"`
		Maintenance *bool   `json:"maintenance"`
		Name        *string `json:"name"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Invalid params.").answer()
	}
	if in.Name != nil && *in.Name != x.app.name {
		if refusal := x.w.rename(x.app, *in.Name); refusal != nil {
			return refusal.answer()
		}
	}
	if in.BuildStack != nil {
		x.app.stack = *in.BuildStack
	}
	if in.Maintenance != nil {
		x.app.maintenance = *in.Maintenance
	}
	x.app.updatedAt = x.now
	return ok(x.w.showApp(x.app))
}

func (w *world) rename(a *app, name string) *apiError {
	if !appName.MatchString(name) {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Name must start with a letter, end with a letter or digit and can only contain lowercase letters, digits, and dashes.")
	}
	if _, err := w.appNamed(name); err == nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Name %s is already taken", name)
	}
	a.name = name
	return nil
}

func formationList(x *exchange) list[*proc] {
	return list[*proc]{
		columns: []column[*proc]{
			{name: "type", text: func(p *proc) string { return p.typ }},
			{name: "id", text: func(p *proc) string { return p.id }},
		},
		show: func(p *proc) any { return x.app.showProc(p) },
	}
}

func listFormation(x *exchange) answer { return page(x, x.app.procs, formationList(x)) }

func getProc(x *exchange) answer {
	p := x.app.proc(x.params["type"])
	if p == nil {
		e := refuse(http.StatusNotFound, "not_found", "Couldn't find that process type (%s).", x.params["type"])
		e.Resource = "formation"
		return e.answer()
	}
	return ok(x.app.showProc(p))
}

// listMonitors is the metrics host's: it knows apps by their UUID only.
func listMonitors(x *exchange) answer {
	if x.params["app"] != x.app.id {
		return missing("app")
	}
	return ok(x.app.showMonitors())
}

func listFeatures(x *exchange) answer {
	return page(x, appFeatures(), list[featureInfo]{
		columns: []column[featureInfo]{
			{name: "name", text: func(f featureInfo) string { return f.name }},
			{name: "id", text: func(f featureInfo) string { return uuidOf("feature " + f.name) }},
		},
		show: func(f featureInfo) any { return x.w.showFeature(x.app, f) },
	})
}

func getFeature(x *exchange) answer {
	f, found := x.feature()
	if !found {
		return noFeature()
	}
	return ok(x.w.showFeature(x.app, f))
}

func listSizes(x *exchange) answer {
	var out []any
	for _, d := range dynoSizes() {
		out = append(out, x.w.showSize(d))
	}
	return ok(out)
}

func getSize(x *exchange) answer {
	for _, d := range dynoSizes() {
		if strings.EqualFold(d.name, x.params["size"]) || uuidOf("size "+d.name) == x.params["size"] {
			return ok(x.w.showSize(d))
		}
	}
	return missing("dyno size")
}

func listReleases(x *exchange) answer {
	return page(x, x.app.releases, list[*release]{
		columns: []column[*release]{
			{name: "version", num: func(r *release) int { return r.version }},
			{name: "id", text: func(r *release) string { return r.id }},
		},
		show: func(r *release) any { return x.app.showRelease(r, x.now) },
	})
}

// release finds one by version, with or without its v, by id, or "current".
func (x *exchange) release(name string) *release {
	if name == "current" {
		return x.app.current(x.now)
	}
	for _, r := range x.app.releases {
		if r.id == name || strconv.Itoa(r.version) == strings.TrimPrefix(name, "v") {
			return r
		}
	}
	return nil
}

func getRelease(x *exchange) answer {
	if r := x.release(x.params["release"]); r != nil {
		return ok(x.app.showRelease(r, x.now))
	}
	return missing("release")
}

// postRelease rolls back to a release, or releases a slug.
func postRelease(x *exchange) answer {
	var in struct {
		Release     string `json:"release"`
		Slug        string `json:"slug"`
		Description string `json:"description"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil || in.Release == "" && in.Slug == "" {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Require params: slug.").answer()
	}
	r := release{description: in.Description, slug: in.Slug, user: x.account.Email}
	if in.Release != "" {
		old := x.release(in.Release)
		if old == nil {
			return missing("release")
		}
		r.description, r.slug = "Rollback to v"+strconv.Itoa(old.version), old.slug
	}
	made := x.app.releaseNow(x.now, r)
	x.app.settle(x.now)
	return answer{status: http.StatusCreated, body: x.app.showRelease(made, x.now)}
}

func patchConfig(x *exchange) answer {
	var in map[string]*string
	if err := json.Unmarshal(x.body, &in); err != nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Invalid params.").answer()
	}
	var keys []string
	for key, value := range in {
		keys = append(keys, key)
		if value == nil {
			delete(x.app.configVars, key)
		} else {
			x.app.configVars[key] = *value
		}
	}
	slices.Sort(keys)
	x.app.configRelease(x.now, keys, x.account.Email)
	return ok(x.app.configVars)
}

// configRelease is the release that a change of config vars makes.
func (a *app) configRelease(now time.Time, keys []string, who string) *release {
	slug := ""
	if r := a.current(now); r != nil {
		slug = r.slug
	}
	r := a.releaseNow(now, release{description: "Set " + strings.Join(keys, ", ") + " config vars", slug: slug, user: who})
	a.settle(now)
	return r
}
