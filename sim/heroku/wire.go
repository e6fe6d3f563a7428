package heroku

import (
	"fmt"
	"strings"
	"time"
)

// The shapes below are those of heroku-go's schema.json, with the fields that
// the CLI reads besides (generation, process_tier, create_status, dyno_size).

type ref struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type appRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type idRef struct {
	ID string `json:"id"`
}

type nameRef struct {
	Name string `json:"name"`
}

type userRef struct {
	Email string `json:"email"`
	ID    string `json:"id"`
}

// apiError is Heroku's error body; it is the Go error of the rules too.
type apiError struct {
	Status   int     `json:"-"`
	ID       string  `json:"id"`
	Message  string  `json:"message"`
	URL      string  `json:"url,omitzero"`
	Resource string  `json:"resource,omitzero"`
	App      *appRef `json:"app,omitzero"`
}

func (e *apiError) Error() string { return e.Message }

func refuse(status int, id, format string, args ...any) *apiError {
	return &apiError{Status: status, ID: id, Message: fmt.Sprintf(format, args...)}
}

// stamp is a time as the API writes it: UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(stamp(t))
}

type wireAccount struct {
	AllowTracking           bool    `json:"allow_tracking"`
	Beta                    bool    `json:"beta"`
	CountryOfResidence      *string `json:"country_of_residence"`
	CreatedAt               string  `json:"created_at"`
	DefaultOrganization     *ref    `json:"default_organization"`
	DefaultTeam             *ref    `json:"default_team"`
	DelinquentAt            *string `json:"delinquent_at"`
	Email                   string  `json:"email"`
	Federated               bool    `json:"federated"`
	ID                      string  `json:"id"`
	IdentityProvider        *ref    `json:"identity_provider"`
	LastLogin               *string `json:"last_login"`
	Name                    *string `json:"name"`
	SmsNumber               *string `json:"sms_number"`
	SuspendedAt             *string `json:"suspended_at"`
	TwoFactorAuthentication bool    `json:"two_factor_authentication"`
	UpdatedAt               string  `json:"updated_at"`
	Verified                bool    `json:"verified"`
}

func (w *world) showAccount(a Account) wireAccount {
	at := stamp(w.born.Add(-1000 * 24 * time.Hour))
	return wireAccount{AllowTracking: true, CountryOfResidence: new("Germany"), CreatedAt: at, Email: a.Email, ID: a.ID, LastLogin: new(stamp(w.born)), TwoFactorAuthentication: true, UpdatedAt: at, Verified: true}
}

type wireSpaceRef struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Shield bool   `json:"shield"`
}

type wireApp struct {
	ACM                          bool          `json:"acm"`
	ArchivedAt                   *string       `json:"archived_at"`
	BuildStack                   ref           `json:"build_stack"`
	BuildpackProvidedDescription *string       `json:"buildpack_provided_description"`
	CreateStatus                 string        `json:"create_status"`
	CreatedAt                    string        `json:"created_at"`
	Generation                   ref           `json:"generation"`
	GitURL                       string        `json:"git_url"`
	ID                           string        `json:"id"`
	InternalRouting              *bool         `json:"internal_routing"`
	Maintenance                  bool          `json:"maintenance"`
	Name                         string        `json:"name"`
	Organization                 *ref          `json:"organization"`
	Owner                        userRef       `json:"owner"`
	ProcessTier                  string        `json:"process_tier"`
	Region                       ref           `json:"region"`
	ReleasedAt                   *string       `json:"released_at"`
	RepoSize                     *int          `json:"repo_size"`
	SlugSize                     *int          `json:"slug_size"`
	Space                        *wireSpaceRef `json:"space"`
	Stack                        ref           `json:"stack"`
	Team                         *ref          `json:"team"`
	UpdatedAt                    string        `json:"updated_at"`
	WebURL                       string        `json:"web_url"`
}

func (w *world) showApp(a *app) wireApp {
	generation := "cedar"
	if a.space != nil && a.space.fir {
		generation = "fir"
	}
	out := wireApp{
		ACM: a.processTier() != "eco", BuildStack: named("stack", a.stack), BuildpackProvidedDescription: a.description, CreateStatus: "complete", CreatedAt: stamp(a.createdAt),
		Generation: named("generation", generation), GitURL: "https://git.heroku.com/" + a.name + ".git", ID: a.id, Maintenance: a.maintenance, Name: a.name,
		Owner: userRef{Email: a.owner, ID: uuidOf("account " + a.owner)}, ProcessTier: a.processTier(), Region: named("region", a.region),
		Stack: named("stack", a.stack), UpdatedAt: stamp(a.updatedAt), WebURL: a.webURL,
	}
	if n := len(a.releases); n > 0 {
		out.ReleasedAt = new(stamp(a.releases[n-1].createdAt))
		if a.stack != "container" && a.stack != "cnb" {
			out.SlugSize = new(42_000_000)
		}
		out.RepoSize = new(1_300_000)
	}
	if a.team != nil {
		out.Team = &ref{a.team.id, a.team.name}
		out.Organization = out.Team
		// A team's app is owned by the team itself, under an address of its
		// own (the CLI's pipelines:info compares the ids).
		out.Owner = userRef{Email: a.team.name + "@herokumanager.com", ID: a.team.id}
	}
	if a.space != nil {
		out.Space = &wireSpaceRef{a.space.id, a.space.name, a.space.shield}
		out.InternalRouting = new(false)
	}
	return out
}

// processTier is the app-wide tier that the CLI asks for before it tells the
// quota of Eco dynos.
func (a *app) processTier() string {
	for _, p := range a.procs {
		switch p.size.tier {
		case tierEco, tierBasic:
			return string(p.size.tier)
		}
	}
	return "production"
}

// named refers to one of the platform's own things, whose id follows from its
// name.
func named(kind, name string) ref { return ref{uuidOf(kind + " " + name), name} }

// wireTeamApp is an app in a team's list: less than GET /apps tells, no
// space.shield above all.
type wireTeamApp struct {
	ArchivedAt                   *string  `json:"archived_at"`
	BuildStack                   ref      `json:"build_stack"`
	BuildpackProvidedDescription *string  `json:"buildpack_provided_description"`
	CreatedAt                    string   `json:"created_at"`
	GitURL                       string   `json:"git_url"`
	ID                           string   `json:"id"`
	InternalRouting              *bool    `json:"internal_routing"`
	Joined                       bool     `json:"joined"`
	Locked                       bool     `json:"locked"`
	Maintenance                  bool     `json:"maintenance"`
	Name                         string   `json:"name"`
	Owner                        *userRef `json:"owner"`
	Region                       ref      `json:"region"`
	ReleasedAt                   *string  `json:"released_at"`
	RepoSize                     *int     `json:"repo_size"`
	SlugSize                     *int     `json:"slug_size"`
	Space                        *ref     `json:"space"`
	Stack                        ref      `json:"stack"`
	Team                         *nameRef `json:"team"`
	UpdatedAt                    string   `json:"updated_at"`
	WebURL                       string   `json:"web_url"`
}

func (w *world) showTeamApp(a *app) wireTeamApp {
	full := w.showApp(a)
	out := wireTeamApp{
		BuildStack: full.BuildStack, BuildpackProvidedDescription: full.BuildpackProvidedDescription, CreatedAt: full.CreatedAt, GitURL: full.GitURL, ID: full.ID,
		InternalRouting: full.InternalRouting, Joined: a.access != accessForbidden, Maintenance: full.Maintenance, Name: full.Name, Owner: &full.Owner, Region: full.Region,
		ReleasedAt: full.ReleasedAt, RepoSize: full.RepoSize, SlugSize: full.SlugSize, Stack: full.Stack, UpdatedAt: full.UpdatedAt, WebURL: full.WebURL,
	}
	if a.team != nil {
		out.Team = &nameRef{a.team.name}
	}
	if a.space != nil {
		out.Space = &ref{a.space.id, a.space.name}
	}
	return out
}

type wireFormation struct {
	App       appRef `json:"app"`
	Command   string `json:"command"`
	CreatedAt string `json:"created_at"`
	DynoSize  ref    `json:"dyno_size"`
	ID        string `json:"id"`
	Quantity  int    `json:"quantity"`
	Size      string `json:"size"`
	Type      string `json:"type"`
	UpdatedAt string `json:"updated_at"`
}

func (a *app) ref() appRef { return appRef{a.id, a.name} }

func (a *app) showProc(p *proc) wireFormation {
	return wireFormation{App: a.ref(), Command: a.command(p.typ), CreatedAt: stamp(p.createdAt), DynoSize: named("size", p.size.name), ID: p.id, Quantity: p.quantity, Size: p.size.name, Type: p.typ, UpdatedAt: stamp(p.updatedAt)}
}

type wireDyno struct {
	App       appRef      `json:"app"`
	AttachURL *string     `json:"attach_url"`
	Command   string      `json:"command"`
	CreatedAt string      `json:"created_at"`
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Release   wireVersion `json:"release"`
	Size      string      `json:"size"`
	State     string      `json:"state"`
	Type      string      `json:"type"`
	UpdatedAt string      `json:"updated_at"`
}

type wireVersion struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
}

func (a *app) showDyno(d *dyno, now time.Time) wireDyno {
	name := d.name()
	if a.space != nil && a.space.fir {
		// Fir names dynos web-6f9c7d8b5-x2x4q (the CLI's lib/apps/generation.js).
		flat := strings.ReplaceAll(d.id, "-", "")
		name = fmt.Sprintf("%s-%s-%s", d.typ, flat[:10], flat[10:15])
	}
	return wireDyno{App: a.ref(), Command: d.command, CreatedAt: stamp(d.from), ID: d.id, Name: name, Release: wireVersion{d.release.id, d.release.version}, Size: d.size.name, State: d.state(now), Type: d.typ, UpdatedAt: stamp(d.changedAt(now))}
}

type wireSize struct {
	Architecture     string    `json:"architecture"`
	CanAutoscale     bool      `json:"can_autoscale"`
	Compute          float64   `json:"compute"`
	Cost             *wireCost `json:"cost"`
	Dedicated        bool      `json:"dedicated"`
	Generation       ref       `json:"generation"`
	ID               string    `json:"id"`
	Memory           float64   `json:"memory"`
	Name             string    `json:"name"`
	PreciseDynoUnits float64   `json:"precise_dyno_units"`
	PrivateSpaceOnly bool      `json:"private_space_only"`
	ProductDynoTier  string    `json:"product_dyno_tier"`
}

type wireCost struct {
	Cents *int    `json:"cents"`
	Unit  *string `json:"unit"`
}

func (w *world) showSize(d dynoSize) wireSize {
	generation, arch := "cedar", "amd64"
	if d.tier == tierFir {
		generation, arch = "fir", "arm64"
	}
	out := wireSize{Architecture: arch, CanAutoscale: d.canAutoscale(), Compute: d.compute, Dedicated: d.dedicated(), Generation: named("generation", generation), ID: uuidOf("size " + d.name), Memory: d.memory, Name: d.name, PreciseDynoUnits: d.units, PrivateSpaceOnly: d.spaceOnly(), ProductDynoTier: string(d.tier)}
	p, stated := w.prices[strings.ToLower(d.name)]
	switch {
	case stated && p.blank:
		out.Cost = &wireCost{}
	case stated && !p.known:
	case stated:
		out.Cost = &wireCost{new(p.cents), new("month")}
	case !d.spaceOnly():
		out.Cost = &wireCost{new(d.cents), new("month")}
	}
	return out
}

type wireFeature struct {
	CreatedAt     string `json:"created_at"`
	Description   string `json:"description"`
	DisplayName   string `json:"display_name"`
	DocURL        string `json:"doc_url"`
	Enabled       bool   `json:"enabled"`
	FeedbackEmail string `json:"feedback_email"`
	ID            string `json:"id"`
	Name          string `json:"name"`
	State         string `json:"state"`
	UpdatedAt     string `json:"updated_at"`
}

// showFeature tells when this app's switch was last moved; of one that nobody ever
// moved, when the feature itself came to be. What the API tells then is in no source: assumed.
func (w *world) showFeature(a *app, f featureInfo) wireFeature {
	at := w.born.Add(-3000 * 24 * time.Hour)
	out := wireFeature{CreatedAt: stamp(at), Description: f.description, DisplayName: f.display, DocURL: f.doc, FeedbackEmail: "feedback@heroku.com", ID: uuidOf("feature " + f.name), Name: f.name, State: f.state, UpdatedAt: stamp(at)}
	if set := a.features[f.name]; set != nil {
		out.Enabled, out.UpdatedAt = set.on, stamp(set.updatedAt)
	}
	return out
}

type wireRelease struct {
	AddonPlanNames      []string `json:"addon_plan_names"`
	App                 appRef   `json:"app"`
	CreatedAt           string   `json:"created_at"`
	Current             bool     `json:"current"`
	Description         string   `json:"description"`
	EligibleForRollback bool     `json:"eligible_for_rollback"`
	ID                  string   `json:"id"`
	OutputStreamURL     *string  `json:"output_stream_url"`
	Slug                *idRef   `json:"slug"`
	Status              string   `json:"status"`
	UpdatedAt           string   `json:"updated_at"`
	User                userRef  `json:"user"`
	Version             int      `json:"version"`
}

func (a *app) showRelease(r *release, now time.Time) wireRelease {
	out := wireRelease{AddonPlanNames: []string{}, App: a.ref(), CreatedAt: stamp(r.createdAt), Current: a.current(now) == r, Description: r.description, ID: r.id, Status: r.status(now), UpdatedAt: stamp(r.createdAt), User: userRef{r.user, uuidOf("account " + r.user)}, Version: r.version}
	if !now.Before(r.doneAt) {
		out.UpdatedAt = stamp(r.doneAt)
	}
	out.EligibleForRollback = out.Status == "succeeded" && r.slug != ""
	for _, x := range a.addons {
		if !x.createdAt.After(r.createdAt) {
			out.AddonPlanNames = append(out.AddonPlanNames, x.plan)
		}
	}
	if r.slug != "" && a.stack != "container" {
		out.Slug = &idRef{r.slug}
	}
	if a.proc("release") != nil {
		out.OutputStreamURL = new("https://release-output.heroku.com/streams/" + r.id)
	}
	return out
}

type wireAddon struct {
	Actions       []any         `json:"actions"`
	AddonService  ref           `json:"addon_service"`
	App           appRef        `json:"app"`
	BilledPrice   wireBilled    `json:"billed_price"`
	BillingEntity wireBillingTo `json:"billing_entity"`
	ConfigVars    []string      `json:"config_vars"`
	CreatedAt     string        `json:"created_at"`
	ID            string        `json:"id"`
	Name          string        `json:"name"`
	Plan          any           `json:"plan"`
	ProviderID    string        `json:"provider_id"`
	State         string        `json:"state"`
	UpdatedAt     string        `json:"updated_at"`
	WebURL        *string       `json:"web_url"`
}

type wireBilled struct {
	Cents    int    `json:"cents"`
	Contract bool   `json:"contract"`
	Unit     string `json:"unit"`
}

type wireBillingTo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

type wirePlan struct {
	ID    string     `json:"id"`
	Name  string     `json:"name"`
	Price wireBilled `json:"price"`
}

// addonCents are the list prices of the plans that the demo fleet has, a month.
func addonCents(plan string) int {
	return map[string]int{
		"heroku-postgresql:essential-0": 500, "heroku-postgresql:essential-1": 900, "heroku-postgresql:essential-2": 2000, "heroku-postgresql:standard-0": 5000, "heroku-postgresql:standard-2": 20000,
		"heroku-redis:mini": 300, "heroku-redis:premium-0": 1500, "judoscale:small": 2000,
	}[plan]
}

// showAddon shows an add-on; expand also tells the plan's price (the header
// Accept-Expansion: plan).
func (a *app) showAddon(x *addon, expand string) wireAddon {
	service, _, _ := strings.Cut(x.plan, ":")
	price := wireBilled{Cents: addonCents(x.plan), Unit: "month"}
	out := wireAddon{
		Actions: []any{}, AddonService: named("addon-service", service), App: a.ref(), BilledPrice: price, BillingEntity: wireBillingTo{a.id, a.name, "app"},
		ConfigVars: []string{configVarOf(service)}, CreatedAt: stamp(x.createdAt), ID: x.id, Name: x.name, Plan: named("plan", x.plan), ProviderID: x.id, State: "provisioned", UpdatedAt: stamp(x.createdAt),
		WebURL: new("https://addons-sso.heroku.com/apps/" + a.id + "/addons/" + x.id),
	}
	if strings.Contains(expand, "plan") {
		p := named("plan", x.plan)
		out.Plan = wirePlan{p.ID, p.Name, price}
	}
	return out
}

func configVarOf(service string) string {
	switch service {
	case "heroku-postgresql":
		return "DATABASE_URL"
	case "heroku-redis":
		return "REDIS_URL"
	}
	return strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_URL"
}

type wireAttachment struct {
	Addon       wireAttached `json:"addon"`
	App         appRef       `json:"app"`
	CreatedAt   string       `json:"created_at"`
	ID          string       `json:"id"`
	LogInputURL *string      `json:"log_input_url"`
	Name        string       `json:"name"`
	Namespace   *string      `json:"namespace"`
	UpdatedAt   string       `json:"updated_at"`
	WebURL      *string      `json:"web_url"`
}

type wireAttached struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	App  appRef `json:"app"`
}

func (a *app) showAttachment(x *addon) wireAttachment {
	full := a.showAddon(x, "")
	return wireAttachment{Addon: wireAttached{x.id, x.name, a.ref()}, App: a.ref(), CreatedAt: full.CreatedAt, ID: uuidOf("attachment " + x.id), Name: strings.TrimSuffix(full.ConfigVars[0], "_URL"), UpdatedAt: full.UpdatedAt, WebURL: full.WebURL}
}

type wireBuildpack struct {
	Buildpack struct {
		URL  string `json:"url"`
		Name string `json:"name"`
	} `json:"buildpack"`
	Ordinal int `json:"ordinal"`
}

type wirePipeline struct {
	CreatedAt string         `json:"created_at"`
	ID        string         `json:"id"`
	Name      string         `json:"name"`
	Owner     *wirePipeOwner `json:"owner"`
	UpdatedAt string         `json:"updated_at"`
}

type wirePipeOwner struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

func (w *world) showPipeline(p *pipeline) wirePipeline {
	owner := &wirePipeOwner{w.account.ID, "user"}
	if p.team != nil {
		owner = &wirePipeOwner{p.team.id, "team"}
	}
	return wirePipeline{stamp(p.createdAt), p.id, p.name, owner, stamp(p.createdAt)}
}

type wireCoupling struct {
	App       idRef  `json:"app"`
	CreatedAt string `json:"created_at"`
	ID        string `json:"id"`
	Pipeline  ref    `json:"pipeline"`
	Stage     string `json:"stage"`
	UpdatedAt string `json:"updated_at"`
}

func (a *app) showCoupling() wireCoupling {
	return wireCoupling{idRef{a.id}, stamp(a.coupledAt), a.couplingID, ref{a.pipeline.id, a.pipeline.name}, a.stage, stamp(a.coupledAt)}
}

type wireTeam struct {
	CreatedAt             string   `json:"created_at"`
	CreditCardCollections bool     `json:"credit_card_collections"`
	Default               bool     `json:"default"`
	EnterpriseAccount     *ref     `json:"enterprise_account"`
	ID                    string   `json:"id"`
	IdentityProvider      *ref     `json:"identity_provider"`
	MembershipLimit       *float64 `json:"membership_limit"`
	Name                  string   `json:"name"`
	ProvisionedLicenses   bool     `json:"provisioned_licenses"`
	Role                  string   `json:"role"`
	Type                  string   `json:"type"`
	UpdatedAt             string   `json:"updated_at"`
}

func showTeam(t *team) wireTeam {
	return wireTeam{CreatedAt: stamp(t.createdAt), CreditCardCollections: true, ID: t.id, MembershipLimit: new(25.0), Name: t.name, Role: "admin", Type: "team", UpdatedAt: stamp(t.createdAt)}
}

type wireSpace struct {
	CIDR         string  `json:"cidr"`
	CreatedAt    string  `json:"created_at"`
	DataCIDR     string  `json:"data_cidr"`
	Generation   ref     `json:"generation"`
	ID           string  `json:"id"`
	Name         string  `json:"name"`
	Organization nameRef `json:"organization"`
	Region       ref     `json:"region"`
	Shield       bool    `json:"shield"`
	State        string  `json:"state"`
	Team         ref     `json:"team"`
	UpdatedAt    string  `json:"updated_at"`
}

func showSpace(s *space) wireSpace {
	generation := "cedar"
	if s.fir {
		generation = "fir"
	}
	return wireSpace{CIDR: "10.0.0.0/16", CreatedAt: stamp(s.createdAt), DataCIDR: "10.1.0.0/16", Generation: named("generation", generation), ID: s.id, Name: s.name, Organization: nameRef{s.team.name}, Region: named("region", s.region), Shield: s.shield, State: "allocated", Team: ref{s.team.id, s.team.name}, UpdatedAt: stamp(s.createdAt)}
}

// wireMonitor is an entry of the metrics host; undocumented, its fields are
// those that the CLI's ps:autoscale reads and writes.
type wireMonitor struct {
	ActionType           string   `json:"action_type"`
	AppUUID              string   `json:"app_uuid"`
	CreatedAt            string   `json:"created_at"`
	ID                   string   `json:"id"`
	IsActive             bool     `json:"is_active"`
	MaxQuantity          *int     `json:"max_quantity"`
	MinQuantity          *int     `json:"min_quantity"`
	Name                 string   `json:"name"`
	NotificationChannels []string `json:"notification_channels"`
	NotificationPeriod   int      `json:"notification_period"`
	Op                   string   `json:"op"`
	Period               int      `json:"period"`
	ProcessType          string   `json:"process_type"`
	State                string   `json:"state"`
	UpdatedAt            string   `json:"updated_at"`
	Value                int      `json:"value"`
}

func (a *app) showMonitors() []wireMonitor {
	out := []wireMonitor{}
	base := wireMonitor{AppUUID: a.id, NotificationChannels: []string{}, NotificationPeriod: 1440, Op: "GREATER_OR_EQUAL", Period: 1, ProcessType: "web", State: "OK", Value: 1000, CreatedAt: stamp(a.createdAt), UpdatedAt: stamp(a.createdAt)}
	if a.alertID != "" {
		m := base
		m.ID, m.ActionType, m.Name, m.IsActive, m.NotificationChannels, m.Period = a.alertID, "alert", "ERROR_RATE", true, []string{"app"}, 5
		out = append(out, m)
	}
	if s := a.scaler; s != nil && s.native {
		m := base
		m.ID, m.ActionType, m.Name, m.IsActive, m.MinQuantity, m.MaxQuantity = s.id, "scale", "LATENCY_SCALE", s.active, new(s.min), new(s.max)
		m.CreatedAt, m.UpdatedAt = stamp(s.since), stamp(s.since)
		out = append(out, m)
	}
	return out
}
