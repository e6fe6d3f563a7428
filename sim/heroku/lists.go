package heroku

import (
	"net/http"
	"slices"
	"strings"
)

func listAddons(x *exchange) answer {
	return page(x, x.app.addons, addonsList(func(a *addon) any { return x.app.showAddon(a, x.header.Get("Accept-Expansion")) }))
}

func addonsList(show func(*addon) any) list[*addon] {
	return list[*addon]{
		columns: []column[*addon]{
			{name: "id", text: func(a *addon) string { return a.id }},
			{name: "name", text: func(a *addon) string { return a.name }},
		},
		show: show,
	}
}

// allAddons are the add-ons of every app in reach, with their owners.
func (x *exchange) allAddons() ([]*addon, map[*addon]*app) {
	var all []*addon
	owner := map[*addon]*app{}
	for _, a := range x.settled() {
		if a.access != accessOpen {
			continue
		}
		for _, add := range a.addons {
			all = append(all, add)
			owner[add] = a
		}
	}
	return all, owner
}

func listAllAddons(x *exchange) answer {
	all, owner := x.allAddons()
	return page(x, all, addonsList(func(a *addon) any { return owner[a].showAddon(a, x.header.Get("Accept-Expansion")) }))
}

func listAttachments(x *exchange) answer {
	return page(x, x.app.addons, addonsList(func(a *addon) any { return x.app.showAttachment(a) }))
}

func listAllAttachments(x *exchange) answer {
	all, owner := x.allAddons()
	return page(x, all, addonsList(func(a *addon) any { return owner[a].showAttachment(a) }))
}

func listBuildpacks(x *exchange) answer {
	out := []any{}
	for i, name := range x.app.buildpacks {
		b := wireBuildpack{Ordinal: i}
		b.Buildpack.Name, b.Buildpack.URL = name, name
		out = append(out, b)
	}
	return ok(out)
}

// listCollaborators tells the owner only; the account comes with the team.
// listDomains lists the app's host at Heroku and the domains of its own.
func listDomains(x *exchange) answer {
	a, at := x.app, stamp(x.app.createdAt)
	return page(x, append([]string{a.host}, a.domains...), list[string]{
		columns: []column[string]{
			{name: "id", text: func(host string) string { return uuidOf("domain " + a.id + host) }},
			{name: "hostname", text: func(host string) string { return host }},
		},
		show: func(host string) any {
			kind, cname, status := "custom", new(uuidOf(host)[:8]+".herokudns.com"), "succeeded"
			if host == a.host {
				kind, cname, status = "heroku", nil, "none"
			}
			return map[string]any{
				"acm_status": nil, "acm_status_reason": nil, "app": a.ref(), "cname": cname, "created_at": at, "hostname": host,
				"id": uuidOf("domain " + a.id + host), "kind": kind, "sni_endpoint": nil, "status": status, "updated_at": at,
			}
		},
	})
}

// answersAt says whether a host is one of the app's.
func (a *app) answersAt(host string) bool {
	return host == a.host || slices.ContainsFunc(a.domains, func(domain string) bool {
		rest, wild := strings.CutPrefix(domain, "*")
		return host == domain || wild && strings.HasSuffix(host, rest)
	})
}

func listCollaborators(x *exchange) answer {
	owner := x.w.showApp(x.app).Owner
	at := stamp(x.app.createdAt)
	return ok([]any{map[string]any{
		"app": x.app.ref(), "created_at": at, "updated_at": at, "id": uuidOf("collaborator " + x.app.id), "role": "owner", "permissions": []any{},
		"user": map[string]any{"email": owner.Email, "federated": false, "id": owner.ID},
	}})
}

func getCoupling(x *exchange) answer {
	if x.app.pipeline == nil {
		return missing("pipeline coupling")
	}
	return ok(x.app.showCoupling())
}

// listCouplings lists all, or those of the pipeline in the path.
func listCouplings(x *exchange) answer {
	var only *pipeline
	if name, has := x.params["pipeline"]; has {
		if only = x.w.pipelineNamed(name); only == nil {
			return missing("pipeline")
		}
	}
	apps := filter(x.settled(), func(a *app) bool {
		return a.pipeline != nil && a.access != accessForbidden && (only == nil || a.pipeline == only)
	})
	return page(x, apps, list[*app]{
		columns: []column[*app]{{name: "id", text: func(a *app) string { return a.couplingID }}},
		show:    func(a *app) any { return a.showCoupling() },
	})
}

func listPipelines(x *exchange) answer {
	return page(x, x.w.pipelines, list[*pipeline]{
		columns: []column[*pipeline]{
			{name: "id", text: func(p *pipeline) string { return p.id }},
			{name: "name", text: func(p *pipeline) string { return p.name }},
		},
		show: func(p *pipeline) any { return x.w.showPipeline(p) },
	})
}

func getPipeline(x *exchange) answer {
	if p := x.w.pipelineNamed(x.params["pipeline"]); p != nil {
		return ok(x.w.showPipeline(p))
	}
	return missing("pipeline")
}

func listTeams(x *exchange) answer {
	return page(x, x.w.teams, list[*team]{
		columns: []column[*team]{
			{name: "id", text: func(t *team) string { return t.id }},
			{name: "name", text: func(t *team) string { return t.name }},
		},
		show: func(t *team) any { return showTeam(t) },
	})
}

func getTeam(x *exchange) answer {
	if t := x.w.teamNamed(x.params["team"]); t != nil {
		return ok(showTeam(t))
	}
	return missing("team")
}

func listSpaces(x *exchange) answer {
	return page(x, x.w.spaces, list[*space]{
		columns: []column[*space]{
			{name: "id", text: func(s *space) string { return s.id }},
			{name: "name", text: func(s *space) string { return s.name }},
		},
		show: func(s *space) any { return showSpace(s) },
	})
}

func getSpace(x *exchange) answer {
	if s := x.w.spaceNamed(x.params["space"]); s != nil {
		return answer{status: http.StatusOK, body: showSpace(s)}
	}
	return missing("space")
}
