package heroku_test

import (
	"strings"
	"testing"

	platform "github.com/heroku/heroku-go/v5"

	simheroku "example.com/zdd/sim/heroku"
)

// heroku-go decodes everything that the bot reads through it.
func TestHerokuGoReads(t *testing.T) {
	c := serve(t, simheroku.Options{Fleet: fleet(t, `
		team acme
		app shop team=acme web=1 size=standard-1x stage=production addons=heroku-postgresql:standard-0 released=50h`)})
	h, ctx := c.heroku(simheroku.DefaultToken), t.Context()

	account, err := h.AccountInfo(ctx)
	if err != nil || account.Email != "ops@acme.example" {
		t.Fatalf("account: got %+v, %v", account, err)
	}
	app, err := h.AppInfo(ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	if app.Name != "shop" || app.Team.Name != "acme" || *app.BuildpackProvidedDescription != "Ruby" || app.ReleasedAt == nil || app.Space != nil {
		t.Errorf("app: got %+v", app)
	}
	if byID, err := h.AppInfo(ctx, app.ID); err != nil || byID.Name != "shop" {
		t.Errorf("app by id: got %v, %v", byID, err)
	}
	formation, err := h.FormationList(ctx, "shop", nil)
	if err != nil || len(formation) != 1 || formation[0].Quantity != 1 || formation[0].Size != "Standard-1X" || formation[0].Type != "web" {
		t.Errorf("formation: got %+v, %v", formation, err)
	}
	features, err := h.AppFeatureList(ctx, "shop", nil)
	if err != nil || len(features) < 2 {
		t.Fatalf("features: got %v, %v", features, err)
	}
	for _, name := range []string{"preboot", "http-session-affinity"} {
		if f, err := h.AppFeatureInfo(ctx, "shop", name); err != nil || f.Enabled || f.State != "general" {
			t.Errorf("feature %s: got %+v, %v", name, f, err)
		}
	}
	releases, err := h.ReleaseList(ctx, "shop", &platform.ListRange{Field: "version", Max: 1, Descending: true})
	if err != nil || len(releases) != 1 || releases[0].Version != 12 || releases[0].Status != "succeeded" || !releases[0].Current {
		t.Errorf("releases: got %+v, %v", releases, err)
	}
	dynos, err := h.DynoList(ctx, "shop", nil)
	if err != nil || len(dynos) != 1 || dynos[0].Name != "web.1" || dynos[0].State != "up" || dynos[0].Release.Version != 12 {
		t.Errorf("dynos: got %+v, %v", dynos, err)
	}
	addons, err := h.AddOnListByApp(ctx, "shop", nil)
	if err != nil || len(addons) != 1 || addons[0].Plan.Name != "heroku-postgresql:standard-0" || addons[0].BilledPrice.Cents != 5000 {
		t.Errorf("add-ons: got %+v, %v", addons, err)
	}
	coupling, err := h.PipelineCouplingInfoByApp(ctx, "shop")
	if err != nil || coupling.Stage != "production" || coupling.App.ID != app.ID {
		t.Errorf("coupling: got %+v, %v", coupling, err)
	}
	if all, err := h.PipelineCouplingList(ctx, nil); err != nil || len(all) != 1 || all[0].ID != coupling.ID {
		t.Errorf("couplings: got %+v, %v", all, err)
	}
	if all, err := h.PipelineList(ctx, nil); err != nil || len(all) != 1 || all[0].Owner.Type != "team" {
		t.Errorf("pipelines: got %+v, %v", all, err)
	}
	if packs, err := h.BuildpackInstallationList(ctx, "shop", nil); err != nil || len(packs) != 1 || packs[0].Buildpack.Name != "heroku/ruby" {
		t.Errorf("buildpacks: got %+v, %v", packs, err)
	}
	if apps, err := h.AppList(ctx, nil); err != nil || len(apps) != 1 {
		t.Errorf("apps: got %+v, %v", apps, err)
	}
	if apps, err := h.TeamAppListByTeam(ctx, "acme", nil); err != nil || len(apps) != 1 || !apps[0].Joined {
		t.Errorf("team apps: got %+v, %v", apps, err)
	}
	if teams, err := h.TeamList(ctx, nil); err != nil || len(teams) != 1 || teams[0].Name != "acme" {
		t.Errorf("teams: got %+v, %v", teams, err)
	}
	if spaces, err := h.SpaceList(ctx, nil); err != nil || len(spaces) != 0 {
		t.Errorf("spaces: got %+v, %v", spaces, err)
	}
	if limit, err := h.RateLimitInfo(ctx); err != nil || limit.Remaining < 4000 {
		t.Errorf("rate limit: got %+v, %v", limit, err)
	}
	// The trap: heroku-go cannot decode a list with a fractional compute.
	if _, err := h.DynoSizeList(ctx, nil); err == nil || !strings.Contains(err.Error(), "cannot unmarshal number 0.5") {
		t.Errorf("dyno sizes: got %v, want heroku-go to fail on 0.5", err)
	}
	size, err := h.DynoSizeInfo(ctx, "standard-1x")
	if err != nil || size.Name != "Standard-1X" || size.Cost == nil || size.DynoUnits != 0 {
		t.Errorf("dyno size: got %+v, %v", size, err)
	}
}
