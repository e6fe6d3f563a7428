package plan

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"example.com/zdd/fleet"
	"example.com/zdd/fleet/fleettest"
	"example.com/zdd/policy"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// golden holds got against a file that a person can review.
func golden(t *testing.T, path, got string) {
	t.Helper()
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(want), "\n")
	for i := range min(len(lines), len(wantLines)) {
		if lines[i] != wantLines[i] {
			t.Fatalf("%s:%d differs (go test -update rewrites it, then review)\ngot  %s\nwant %s", path, i+1, lines[i], wantLines[i])
		}
	}
	if len(lines) != len(wantLines) {
		t.Fatalf("%s: got %d lines, want %d", path, len(lines), len(wantLines))
	}
}

// short is a plan in a few letters.
func short(p Plan) string {
	var s strings.Builder
	s.WriteString(map[Outcome]string{AlreadySo: "=", Ready: "+", Refused: "x", Yours: "y"}[p.Outcome])
	for _, step := range p.Steps {
		letter := map[Kind]string{Resize: "R", Affinity: "A", Soak: "k", Scale: "S", Settle: "t", Preboot: "P"}[step.Kind]
		if step.To.Feature != nil && !step.To.Feature.On || fewer(step) {
			letter = strings.ToLower(letter)
		}
		s.WriteString(letter)
	}
	return s.String()
}

// TestEnableTable is every combination of runtime, size option, quantity, scaler,
// features and need of affinity. Scalers that make no difference share a line.
func TestEnableTable(t *testing.T) {
	runtimes := []struct {
		line string
		opt  Options
	}{
		{"eco", Options{}}, {"eco", Options{Size: "standard-1x"}}, {"basic", Options{}}, {"basic", Options{Size: "Performance-M"}}, {"basic", Options{Size: "private-s"}}, {"basic", Options{Size: "huge"}},
		{"standard-1x", Options{}}, {"standard-1x", Options{Size: "standard-1x"}}, {"standard-1x", Options{Size: "standard-2x"}}, {"performance-m", Options{}},
		{"private-m space=private", Options{}}, {"private-m space=shield", Options{}}, {"private-m space=private?", Options{}}, {"dyno-1c-0.5gb space=fir", Options{}},
		{"quantum-1x", Options{}}, {"private-m", Options{}}, {"standard-1x space=private", Options{}},
	}
	webs := []string{"", "web=0", "web=1", "web=2", "web=3"}
	scalers := []string{"", "scaler=1-5", "scaler=2-5", "addon=judoscale:bronze", "scaler=?", "addons=?"}
	needs := []policy.Need{policy.Required, policy.Optional, policy.Forbidden}
	features := []string{"", "affinity", "preboot", "affinity preboot", "features=?"}

	var out strings.Builder
	out.WriteString(`# What Enable plans: = already so, + ready, x refused, y yours to do; then its steps:
# R resize, A affinity, k soak, S scale, t settle, P preboot. The policy wants 2 web dynos.
# Five columns for each need of session affinity: both features off, affinity on, preboot on, both on, features unread.
`)
	fmt.Fprintf(&out, "%-12s", "#")
	for _, need := range needs {
		fmt.Fprintf(&out, "| %-39s", "affinity "+need)
	}
	out.WriteString("| what scales the app\n")
	for _, r := range runtimes {
		fmt.Fprintf(&out, "%s", r.line)
		if r.opt.Size != "" {
			fmt.Fprintf(&out, ", enable with size=%s", r.opt.Size)
		}
		out.WriteString("\n")
		for _, web := range webs {
			var rows []string
			by := map[string][]string{}
			for _, scaler := range scalers {
				var row strings.Builder
				for _, need := range needs {
					row.WriteString("| ")
					for _, feature := range features {
						app := fleettest.App(r.line + " worker=1 clock=0 " + web + " " + scaler + " " + feature)
						rules := policy.Default().For(app)
						rules.SessionAffinity = need
						fmt.Fprintf(&row, "%-8s", short(Enable(app, rules, r.opt)))
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
				fmt.Fprintf(&out, "  %-10s%s| %s\n", cmp.Or(web, "no web"), row, who)
			}
		}
	}
	golden(t, "testdata/enable.golden", out.String())
}

// TestRefusals shows what a person is told when nothing, or not all, can be done.
func TestRefusals(t *testing.T) {
	var out strings.Builder
	for _, c := range []struct {
		line string
		opt  Options
	}{
		{"standard-1x worker=1", Options{}},
		{"standard-1x web=0", Options{}},
		{"standard-1x new", Options{}},
		{"basic web=1 worker=1 clock=0", Options{}},
		{"basic web=1", Options{Size: "huge"}},
		{"basic web=1 sizes=?", Options{Size: "eco"}},
		{"standard-1x web=1", Options{Size: "standard-2x"}},
		{"private-m web=1 space=private", Options{Size: "private-l"}},
		{"quantum-1x web=1", Options{}},
		{"standard-1x web=1 formation=?", Options{}},
		{"performance-m web=2 features=? scaler=? addons=?", Options{}},
		{"standard-1x web=1 addon=judoscale:bronze", Options{}},
		{"performance-m web=1 scaler=1-4", Options{}},
		{"private-m web=1 scaler=1-4 space=private?", Options{}},
		{"performance-m web=1 scaler=3-4 affinity", Options{}},
	} {
		app := fleettest.App(c.line)
		p := Enable(app, policy.Default().For(app), c.opt)
		fmt.Fprintf(&out, "%s", c.line)
		if c.opt.Size != "" {
			fmt.Fprintf(&out, ", enable with size=%s", c.opt.Size)
		}
		fmt.Fprintf(&out, ": %s\n", short(p))
		for _, why := range p.Why {
			fmt.Fprintf(&out, "  – %s\n", why)
		}
		if p.WayOut != (Options{}) {
			fmt.Fprintf(&out, "  way out: size=%s\n", p.WayOut.Size)
		}
	}
	golden(t, "testdata/refusals.golden", out.String())
}

// TestHazards is each hazard, and what looks like one and is none.
func TestHazards(t *testing.T) {
	var out strings.Builder
	for _, line := range []string{
		"standard-1x web=2 affinity preboot",
		"standard-1x web=2 maintenance",
		"standard-1x web=0 maintenance crashed=web.1",
		"standard-1x web=2 release=pending",
		"standard-1x web=2 release=failed released=1m preboot",
		"standard-1x web=2 released=5m59s preboot",
		"standard-1x web=2 released=6m preboot",
		"standard-1x web=2 released=-30s preboot",
		"standard-1x web=2 released=20m through=1m preboot",
		"standard-1x web=2 preboot starting=30s up=5h",
		"standard-1x web=2 preboot up=1m up=1m",
		"standard-1x web=2 released=1m",
		"private-m web=2 released=1m preboot space=private",
		"standard-1x web=2 crashed=web.1 crashed=web.2 crashed=worker.1 crashed=webhooks.1",
		"performance-m web=2 scaler=1-4",
		"performance-m web=2 scaler=?",
		"standard-1x web=2 scaler=?",
		"dyno-1c-0.5gb web=2 scaler=? space=fir",
		"standard-1x web=2 addon=judoscale:bronze addon=hirefire:free addon=papertrail:choklad",
		"eco web=1",
		"standard-1x web=3 addon=heroku-postgresql:essential-2",
		"standard-1x web=1 addon=heroku-postgresql:standard-0 addon=heroku-redis:premium-0",
		"standard-1x web=1 addon=heroku-postgresql:premium-4 addon=heroku-kafka:basic-0 addon=other-db:essential-0",
		"private-m web=2 addon=heroku-postgresql:private-0 space=private",
		"standard-1x web=2 addons=? release=? dynos=?",
	} {
		fmt.Fprintf(&out, "%s\n", line)
		app := fleettest.App(line)
		for _, h := range Hazards(app, policy.Default().For(app), app.ReadAt) {
			fmt.Fprintf(&out, "  %s: %s\n", h.ID, h.Text)
		}
	}
	golden(t, "testdata/hazards.golden", out.String())
}

func TestMigrationIn(t *testing.T) {
	for command, want := range map[string]string{
		"bundle exec rake db:migrate && bundle exec puma":               "rake db:migrate",
		"bin/rails db:prepare && bin/rails server":                      "rails db:prepare",
		"python manage.py migrate --noinput && gunicorn app.wsgi":       "manage.py migrate",
		"alembic upgrade head && uvicorn app:app":                       "alembic upgrade",
		"alembic -c conf/alembic.ini upgrade head; gunicorn":            "alembic -c conf/alembic.ini upgrade",
		"flask db upgrade && gunicorn app":                              "flask db upgrade",
		"npx prisma migrate deploy && node server.js":                   "prisma migrate deploy",
		"npx sequelize-cli db:migrate && node .":                        "sequelize-cli db:migrate",
		"npm run migrate && npm start":                                  "npm run migrate",
		"yarn db:migrate && yarn start":                                 "yarn db:migrate",
		"flyway -url=$JDBC_DATABASE_URL migrate && java -jar app.jar":   "flyway -url=$JDBC_DATABASE_URL migrate",
		"./mvnw flyway:migrate && java -jar target/app.jar":             "flyway:migrate",
		"liquibase --changelog-file=db.xml update && java -jar app.jar": "liquibase --changelog-file=db.xml update",
		"php artisan migrate --force && vendor/bin/heroku-php-apache2":  "php artisan migrate",
		"mix ecto.migrate && mix phx.server":                            "mix ecto.migrate",
		"goose -dir db up && bin/server":                                "goose -dir db up",
		"migrate -path db -database $DATABASE_URL up && bin/server":     "migrate -path db -database $DATABASE_URL up",
		"dotnet ef database update && dotnet run":                       "dotnet ef database update",
		"java -jar app.jar":                                             "",
		"bundle exec puma -C config/puma.rb":                            "",
		"node migrate-users-page.js":                                    "",
		"bin/serve --no-migrate":                                        "",
		"npm start":                                                     "",
		"java -Dspring.flyway.enabled=false -jar app.jar":               "",
		"": "",
	} {
		if got := migrationIn(command); got != want {
			t.Errorf("%q: got %q, want %q", command, got, want)
		}
	}
}

func TestHash(t *testing.T) {
	const line = "standard-1x web=1 worker=1 affinity"
	of := func(line string, opt Options, change func(*policy.Rules, *fleet.App)) string {
		app := fleettest.App(line)
		rules := policy.Default().For(app)
		if change != nil {
			change(&rules, &app)
		}
		return Enable(app, rules, opt).Hash
	}
	base := of(line, Options{}, nil)
	if len(base) != 64 {
		t.Fatalf("got %q, want 64 hex digits", base)
	}
	for name, same := range map[string]string{
		"a deploy":              of(line+" released=10s", Options{}, nil),
		"a failed release":      of(line+" release=failed", Options{}, nil),
		"a crash":               of(line+" crashed=web.1", Options{}, nil),
		"maintenance":           of(line+" maintenance", Options{}, nil),
		"another type's number": of("standard-1x web=1 worker=7 affinity", Options{}, nil),
		"a new name":            of(line, Options{}, func(_ *policy.Rules, a *fleet.App) { a.Name = "store" }),
		"affinity just on":      of("standard-1x web=1 worker=1 affinity=1s", Options{}, nil),
		"affinity of no age":    of("standard-1x web=1 worker=1 affinity=?", Options{}, nil),
		"read later":            of(line, Options{}, func(_ *policy.Rules, a *fleet.App) { a.ReadAt = a.ReadAt.AddDate(0, 0, 1) }),
		"another price":         of(line, Options{}, func(r *policy.Rules, _ *fleet.App) { r.Prices = policy.Prices{"performance-m": 1} }),
	} {
		if same != base {
			t.Errorf("%s: got another hash, want the same", name)
		}
	}
	for name, other := range map[string]string{
		"another app":      of(line, Options{}, func(_ *policy.Rules, a *fleet.App) { a.ID = "11111111-89ab-4cde-8f01-23456789abcd" }),
		"more web dynos":   of("standard-1x web=2 worker=1 affinity", Options{}, nil),
		"larger dynos":     of("standard-2x web=1 worker=1 affinity", Options{}, nil),
		"affinity off":     of("standard-1x web=1 worker=1", Options{}, nil),
		"preboot on":       of(line+" preboot", Options{}, nil),
		"autoscaler on":    of(line+" scaler=2-5", Options{}, nil),
		"its floor":        of(line+" scaler=1-5", Options{}, nil),
		"a scaling add-on": of(line+" addon=judoscale:bronze", Options{}, nil),
		"the price":        of(line, Options{}, func(r *policy.Rules, _ *fleet.App) { r.Prices = policy.Prices{"standard-1x": 1} }),
		"no price":         of(line+" sizes=?", Options{}, nil),
		"the policy":       of(line, Options{}, func(r *policy.Rules, _ *fleet.App) { r.Policy = "another" }),
		"the target":       of(line, Options{}, func(r *policy.Rules, _ *fleet.App) { r.WebDynos = 3 }),
	} {
		if other == base {
			t.Errorf("%s: got the same hash, want another", name)
		}
	}
	resize := of("basic web=1 worker=1", Options{Size: "standard-1x"}, nil)
	if resize == of("basic web=1 worker=0", Options{Size: "standard-1x"}, nil) {
		t.Error("a resize touches every process type: got the same hash when worker's quantity changed, want another")
	}
}
