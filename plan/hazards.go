package plan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Hazard is what makes a change, or a deploy, risky though it is allowed. It is said,
// and forbids nothing.
type Hazard struct {
	ID   string `json:"id"`   // stable
	Text string `json:"text"` // a sentence for a person; backticks mark code
}

// The ids of hazards.
const (
	HazardMaintenance = "maintenance"
	HazardRelease     = "release-in-flight"
	HazardHandOver    = "hand-over"
	HazardCrashed     = "crashed-dynos"
	HazardAutoscaler  = "autoscaler"
	HazardScalingApp  = "scaling-add-on"
	HazardResize      = "resize-interrupts"
	HazardMigration   = "migration-in-web"
	HazardData        = "multi-tenant-data"
	HazardConnections = "connections"
	HazardUnread      = "unread"
	HazardInterrupts  = "deploys-interrupt"
	HazardFewer       = "fewer-dynos"
	HazardSessions    = "sessions"
)

// Hazards lists what is risky about changing or deploying the app at that moment. An
// app with no running web process has none: nothing of it is changed.
func Hazards(app fleet.App, rules policy.Rules, now time.Time) []Hazard {
	web, ok := app.Web()
	if app.Formation.IsKnown() && (!ok || web.Quantity == 0) {
		return nil
	}
	var found []Hazard
	add := func(id, format string, args ...any) { found = append(found, Hazard{id, fmt.Sprintf(format, args...)}) }

	if app.Maintenance {
		add(HazardMaintenance, "Maintenance mode is on: Heroku answers for the app, so visitors see none of its dynos, and nothing can be measured from outside.")
	}
	releaseHazard(app, now, add)
	if dynos, known := app.Dynos.Get(); known {
		var crashed []string
		for _, d := range dynos {
			if d.Type == "web" && d.State == "crashed" {
				crashed = append(crashed, Code(d.Name))
			}
		}
		if len(crashed) > 0 {
			add(HazardCrashed, "%s crashed: more dynos of a release that does not run make nothing safer. Look at %s first.",
				Join(crashed), Command(app, "its logs", "logs --tail"))
		}
	}
	scalingHazards(app, add)
	if size, ok := app.WebSize(); ok && size.OnePerType() && !app.InSpace() {
		add(HazardResize, "Leaving %s restarts every dyno at its new size, and preboot does not cover that: the app is gone for as long as it takes to boot, once.", Code(size.Name))
	}
	if tool := migrationIn(web.Command); tool != "" {
		add(HazardMigration, "The web command runs %s: each web dyno does so when it starts, at the same time as the others and while the old release still serves. The release phase runs it once.", Code(tool))
	}
	dataHazards(app, rules, add)
	return append(found, unread(app)...)
}

// hazards are those of the app at that moment that this plan meets, and those that it
// makes. Enable has all of the app's, whatever its steps: it is what makes deploys safe.
func (m *making) hazards() []Hazard {
	found := Hazards(m.app, m.rules, m.at)
	if m.wish.Verb == ToEnable {
		return found
	}
	preboot, _ := m.now.Feature(fleet.Preboot)
	found = slices.DeleteFunc(found, func(h Hazard) bool {
		switch h.ID {
		case HazardResize:
			return true // what is told of leaving Eco and Basic; the way back is below
		case HazardMigration, HazardCrashed:
			return !m.starts()
		case HazardData, HazardConnections:
			return !preboot || !m.starts() && !m.did(Preboot)
		}
		return false
	})
	return append(found, m.ownHazards()...)
}

// ownHazards are what the steps themselves bring.
func (m *making) ownHazards() (found []Hazard) {
	add := func(id, format string, args ...any) { found = append(found, Hazard{id, fmt.Sprintf(format, args...)}) }
	now := m.app
	for _, s := range m.plan.Steps {
		now = After(now, s)
		web, _ := now.Web()
		switch {
		case s.Kind == Preboot && !s.To.Feature.On:
			add(HazardInterrupts, "With preboot off every deploy, rollback and config change stops the old dynos before new ones serve: visitors get errors for as long as it takes to boot.")
		case s.Kind == Scale && s.To.Processes[0].Quantity < s.From.Processes[0].Quantity:
			alone := ""
			switch {
			case web.Quantity > 1:
			case m.app.InSpace():
				alone = " One web dyno alone leaves nobody when it crashes, takes its daily restart, or is replaced by a rolling deploy."
			default:
				alone = " One web dyno alone leaves nobody when it crashes or takes its daily restart."
			}
			add(HazardFewer, "Web goes from %d to %d at once: what the dynos that stop are serving has 30 s to end, and what is left must carry it all.%s",
				s.From.Processes[0].Quantity, web.Quantity, alone)
		case s.Kind == Affinity && !s.To.Feature.On && web.Quantity > 1:
			add(HazardSessions, "Session affinity goes off while %s run: visitors are sent from one to another, and lose a session that is in one dyno's memory.", plural(web.Quantity))
		case s.Kind == Resize:
			add(HazardResize, "Going back to %s dynos restarts every dyno, and preboot does not cover that: the app is gone for as long as it takes to boot, once.", Code(s.To.Processes[0].Size))
		}
	}
	return found
}

// releaseHazard tells of a release that is not through, and of dynos that are not.
func releaseHazard(app fleet.App, now time.Time, add func(string, string, ...any)) {
	if release, known := app.Release.Get(); known && release.Version > 0 && release.Status == "pending" {
		add(HazardRelease, "Release v%d is still in its release phase: wait until it has succeeded or failed.", release.Version)
	}
	if busy, _, why := HandOver(app, now); busy {
		add(HazardHandOver, "%s: until preboot's hand-over is through, which takes up to %s, old dynos may serve and Heroku locks the formation.", Capital(why), policy.Span(handOver))
	}
}

func scalingHazards(app fleet.App, add func(string, string, ...any)) {
	scaler, known := AutoscalerOf(app).Get()
	switch {
	case !known:
		add(HazardAutoscaler, "Whether Heroku's autoscaler is on could not be read (%s). If it is, what is scaled by hand does not last.", AutoscalerOf(app).Why().Text)
	case scaler.Active:
		add(HazardAutoscaler, "Heroku's autoscaler runs from %d to %d web dynos: what is scaled by hand does not last, only its minimum counts.", scaler.Min, scaler.Max)
	}
	if addons := app.ScalingAddOns(); len(addons) > 0 {
		add(HazardScalingApp, "Something else scales the app: %s. It goes down to a minimum that only its own settings show, and may undo what is scaled by hand.", Join(codes(addons)))
	}
}

// dataHazards are about preboot only, and so about apps that could have it.
func dataHazards(app fleet.App, rules policy.Rules, add func(string, string, ...any)) {
	web, _ := app.Web()
	if app.InSpace() || app.Size(web.Size).Tier == fleet.OtherTier {
		return
	}
	addons, _ := app.AddOns.Get()
	addons = slices.Clone(addons)
	slices.SortFunc(addons, func(a, b fleet.AddOn) int { return cmp.Compare(a.Plan, b.Plan) })
	var shared, limits []string
	for _, a := range addons {
		if multiTenant(a) {
			shared = append(shared, Code(a.Plan))
		}
		if n := connections(a); n > 0 {
			limits = append(limits, fmt.Sprintf("%s allows %d", Code(a.Plan), n))
		}
	}
	if len(shared) > 0 {
		add(HazardData, "%s: Heroku advises against preboot with multi-tenant data plans, which can move to another host while two sets of dynos hold on to them.", Join(slices.Compact(shared)))
	}
	if len(limits) > 0 {
		want, _ := Wanted(app, rules)
		count := max(web.Quantity, want)
		add(HazardConnections, "During each deploy with preboot, old and new web dynos hold their connections at the same time: twice what %d web dynos take. %s.",
			count, Capital(Join(slices.Compact(limits))))
	}
}

// multiTenant says whether a data plan shares its host with other customers (Dev
// Center, "Choosing the Right Heroku Postgres Plan", "Heroku Key-Value Store Plans",
// "Multi-Tenant Apache Kafka on Heroku"). The old names are of plans that still run.
func multiTenant(a fleet.AddOn) bool {
	plan := planName(a)
	switch a.Service {
	case "heroku-postgresql":
		return strings.HasPrefix(plan, "essential-") || slices.Contains([]string{"mini", "basic", "dev", "hobby-dev", "hobby-basic"}, plan)
	case "heroku-redis", "heroku-key-value-store":
		return slices.Contains([]string{"mini", "hobby-dev"}, plan)
	case "heroku-kafka":
		return strings.HasPrefix(plan, "basic-")
	}
	return false
}

// connections is how many connections a plan allows (Dev Center, the plan tables of
// Heroku Postgres and Heroku Key-Value Store); 0 where this program does not know.
func connections(a fleet.AddOn) int {
	plan := planName(a)
	switch a.Service {
	case "heroku-postgresql":
		switch plan {
		case "essential-0", "essential-1", "mini", "basic", "dev", "hobby-dev", "hobby-basic":
			return 20
		case "essential-2":
			return 40
		}
		tier, number, _ := strings.Cut(plan, "-")
		if !slices.Contains([]string{"standard", "premium", "private", "shield"}, tier) {
			return 0
		}
		switch number {
		case "0":
			return 120
		case "2":
			return 400
		case "3", "4", "5", "6", "7", "8", "9", "10":
			return 500
		}
	case "heroku-redis", "heroku-key-value-store":
		switch plan {
		case "mini", "hobby-dev":
			return 20
		case "premium-0":
			return 40
		case "premium-1":
			return 80
		case "premium-2":
			return 200
		}
	}
	return 0
}

// planName is essential-0 of heroku-postgresql:essential-0.
func planName(a fleet.AddOn) string {
	return a.Plan[strings.LastIndexByte(a.Plan, ':')+1:]
}

// migrations are the commands that change a database's schema, as they stand in web
// commands of real Procfiles.
var migrations = regexp.MustCompile(strings.Join([]string{
	`\b(?:rake|rails)(?:\s+-\S+)*\s+\S*db:(?:migrate|prepare|setup|schema:load)\b`, // Rails
	`\bmanage\.py\s+migrate\b|\bdjango-admin\s+migrate\b`,                          // Django
	`\balembic\s+(?:-\S+\s+\S+\s+)*upgrade\b|\bflask\s+db\s+upgrade\b`,             // Python
	`\bprisma\s+(?:migrate\s+deploy|db\s+push)\b`,                                  // Node
	`\b(?:sequelize|sequelize-cli)\s+db:migrate\b|\bknex\s+migrate:latest\b|\btypeorm\s+(?:\S+\s+)?migration:run\b|\bdrizzle-kit\s+(?:migrate|push)\b|\bnode-pg-migrate\s+up\b`,
	`\bflyway(?::migrate|\s+(?:\S+\s+)*migrate)\b|\bliquibase(?::update|\s+(?:\S+\s+)*update)\b`, // JVM
	`\bphp\s+artisan\s+migrate\b|\bdoctrine:migrations:migrate\b`,                                // PHP
	`\bmix\s+ecto\.migrate\b|\beval\s+["']?\S*Release\.migrate\b`,                                // Elixir
	`\bgoose\s+(?:\S+\s+)*up\b|\bmigrate\s+(?:-\S+\s+\S+\s+)+up\b|\bdbmate\s+(?:\S+\s+)*(?:up|migrate)\b|\bdiesel\s+migration\s+run\b|\bsqlx\s+migrate\s+run\b`,
	`\b(?:npm|yarn|pnpm)\s+(?:run\s+)?(?:\S+:)?migrate(?::\S+)?\b|\bdotnet\s+ef\s+database\s+update\b`,
}, "|"))

// migrationIn is the part of a command that migrates a database, "" for none. It is a
// look at the text: a script that hides a migration is not seen.
func migrationIn(command string) string {
	const most = 80 // characters; enough to recognise it
	found := strings.Join(strings.Fields(migrations.FindString(command)), " ")
	if r := []rune(found); len(r) > most {
		found = string(r[:most]) + "…"
	}
	return found
}

// unread says which parts that a hazard would come from could not be read.
func unread(app fleet.App) []Hazard {
	parts := []unreadPart{{"its add-ons", app.AddOns.Why()}, {"its latest release", app.Release.Why()}, {"its dynos", app.Dynos.Why()}}
	parts = slices.DeleteFunc(parts, func(p unreadPart) bool { return p.why == fleet.Reason{} }) // it was read
	if len(parts) == 0 {
		return nil
	}
	return []Hazard{{HazardUnread, "Could not read " + unreadParts(parts) + ". There may be hazards that are not listed here."}}
}
