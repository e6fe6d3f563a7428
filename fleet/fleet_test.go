package fleet

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJVM(t *testing.T) {
	unread := Unknown[[]string](Reason{Kind: Unavailable, Text: "Heroku did not answer"})
	web := func(command string) Value[[]Process] {
		return Known([]Process{{Type: "web", Quantity: 1, Command: command}})
	}
	tests := map[string]struct {
		app  App
		want string // "?" for unknown
	}{
		"java":                     {App{Runtime: "Java"}, "Java"},
		"gradle":                   {App{Runtime: "Gradle"}, "Java (Gradle)"},
		"scala":                    {App{Runtime: "Scala"}, "Scala"},
		"play":                     {App{Runtime: "Play 2.x - Scala"}, "Scala"},
		"clojure":                  {App{Runtime: "Clojure (Leiningen 2)"}, "Clojure"},
		"kotlin":                   {App{Runtime: "Kotlin"}, "Kotlin"},
		"javascript is not java":   {App{Runtime: "JavaScript"}, ""},
		"ruby":                     {App{Runtime: "Ruby"}, ""},
		"node":                     {App{Runtime: "Node.js", Buildpacks: Known([]string{"heroku/nodejs"})}, ""},
		"java behind ruby":         {App{Runtime: "Ruby", Buildpacks: Known([]string{"heroku/java", "heroku/ruby"})}, "Java"},
		"buildpack jvm":            {App{Buildpacks: Known([]string{"heroku/jvm"})}, "Java"},
		"buildpack scala":          {App{Buildpacks: Known([]string{"heroku/scala"})}, "Scala"},
		"buildpack git":            {App{Buildpacks: Known([]string{"https://github.com/heroku/heroku-buildpack-clojure.git"})}, "Clojure"},
		"buildpack at a tag":       {App{Buildpacks: Known([]string{"https://github.com/heroku/heroku-buildpack-java#v70"})}, "Java"},
		"buildpack archive":        {App{Buildpacks: Known([]string{"https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/gradle.tgz"})}, "Java (Gradle)"},
		"buildpack urn":            {App{Buildpacks: Known([]string{"urn:buildpack:heroku/java"})}, "Java"},
		"buildpack of Heroku's":    {App{Buildpacks: Known([]string{"heroku/python"})}, ""},
		"buildpack of their own":   {App{Buildpacks: Known([]string{"https://github.com/acme/secret-sauce"})}, "?"},
		"their own, and java runs": {App{Buildpacks: Known([]string{"https://github.com/acme/x"}), Formation: web("java -jar a.jar")}, "Java"},
		"command":                  {App{Stack: "container", Formation: web("exec java $JAVA_OPTS -cp . Main")}, "Java"},
		"command by path":          {App{Stack: "container", Formation: web("/opt/jdk/bin/java -Xmx1g Main")}, "Java"},
		"sbt":                      {App{Stack: "container", Formation: web("sbt run")}, "Java"},
		"command of a worker":      {App{Stack: "container", Formation: Known([]Process{{Type: "worker", Command: "java -jar a.jar"}})}, "?"},
		"container, script":        {App{Stack: "container", Formation: web("./start.sh")}, "?"},
		"nothing read":             {App{Buildpacks: unread}, "?"},
		"no buildpack":             {App{Buildpacks: Known([]string{})}, "?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := tt.app.JVM()
			got, known := v.Get()
			if !known {
				got = "?"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !known && v.Why().Text == "" {
				t.Error("unknown without a reason")
			}
		})
	}
	if got := (App{Buildpacks: unread}).JVM().Why().Text; got != "Heroku did not answer" {
		t.Errorf("reason: got %q, want that of the buildpacks", got)
	}
}

func TestWebIsTheTypeNamedWeb(t *testing.T) {
	app := App{Formation: Known([]Process{{Type: "webhooks", Quantity: 3}, {Type: "webpack", Quantity: 1}, {Type: "worker", Quantity: 2}})}
	if got, ok := app.Web(); ok {
		t.Errorf("got %v, want none", got)
	}
	app.Formation = Known([]Process{{Type: "webhooks", Quantity: 3}, {Type: "web", Quantity: 1, Size: "Basic"}})
	if got, ok := app.Web(); !ok || got.Quantity != 1 {
		t.Errorf("got %v %v, want the one of quantity 1", got, ok)
	}
	if _, ok := (App{}).Web(); ok {
		t.Error("an unread formation has a web process")
	}
}

func TestFeature(t *testing.T) {
	app := App{Features: Known(map[string]Feature{Preboot: {Enabled: true}})}
	for name, want := range map[string][2]bool{Preboot: {true, true}, SessionAffinity: {false, true}} {
		if on, known := app.Feature(name); on != want[0] || known != want[1] {
			t.Errorf("%s: got %v %v, want %v", name, on, known, want)
		}
	}
	if on, known := (App{}).Feature(Preboot); on || known {
		t.Errorf("unread: got %v %v, want neither on nor known", on, known)
	}
}

func TestFeatureSince(t *testing.T) {
	made := time.Date(2026, 8, 3, 10, 0, 0, 0, time.UTC)
	untold := Unknown[time.Time](Reason{Kind: NotTold, Text: "null"})
	tests := map[string]struct {
		features Value[map[string]Feature]
		want     string
	}{
		"switched":              {Known(map[string]Feature{Preboot: {Since: Known(made.Add(time.Minute))}}), "10:01"},
		"as the app was made":   {Known(map[string]Feature{Preboot: {Since: Known(made)}}), "10:00"},
		"before there was one":  {Known(map[string]Feature{Preboot: {Since: Known(made.Add(-time.Second))}}), "?Heroku tells a time from before there was the app"},
		"not told":              {Known(map[string]Feature{Preboot: {Since: untold}}), "?null"},
		"not read":              {Known(map[string]Feature{Preboot: {}}), "?Heroku does not tell"},
		"no such feature":       {Known(map[string]Feature{}), "?Heroku does not tell"},
		"the features not read": {Unknown[map[string]Feature](Reason{Kind: Unavailable, Text: "503"}), "?503"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			since := App{CreatedAt: made, Features: tt.features}.FeatureSince(Preboot)
			at, known := since.Get()
			got := at.Format("15:04")
			if !known {
				got = "?" + since.Why().Text
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestSize holds that a size is looked up with the price that is paid for it: of a
// Shield app under the Shield name, though the API prints the Private one.
func TestSize(t *testing.T) {
	catalog := Known(Catalog{
		{Name: "standard-1x", Tier: Standard, Price: Known(Money(2500))},
		{Name: "shield-m", Tier: Shield, Price: Known(Money(54000))},
		{Name: "private-m", Tier: Private, Price: Known(Money(45000))},
		SizeNamed("private-s"),
	})
	shield := func(v Value[bool]) *Space { return &Space{Name: "vault", Shield: v} }
	tests := map[string]struct {
		app        App
		size, want string // "?" and the reason for unknown
	}{
		"priced":                {App{Sizes: catalog}, "Standard-1X", "standard-1x $25.00"},
		"not priced":            {App{Sizes: catalog}, "Private-S", "private-s ?Heroku gives no price for private-s dynos"},
		"unheard of":            {App{Sizes: catalog}, "Quantum-9", "quantum-9 ?Heroku gives no price for quantum-9 dynos"},
		"no catalogue":          {App{}, "Standard-1X", "standard-1x ?Heroku gives no price for standard-1x dynos"},
		"shield pays shield":    {App{Sizes: catalog, Space: shield(Known(true))}, "Private-M", "shield-m $540.00"},
		"private pays private":  {App{Sizes: catalog, Space: shield(Known(false))}, "Private-M", "private-m $450.00"},
		"shield without prices": {App{Space: shield(Known(true))}, "Private-M", "shield-m ?Heroku gives no price for shield-m dynos"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			size := tt.app.Size(tt.size)
			cents, known := size.Price.Get()
			got := size.Name + " " + cents.String()
			if !known {
				got = size.Name + " ?" + size.Price.Why().Text
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMoney(t *testing.T) {
	for cents, want := range map[Money]string{0: "$0.00", 5: "$0.05", 2500: "$25.00", -700: "-$7.00", 123456789: "$1,234,567.89", 100000: "$1,000.00", -5: "-$0.05"} {
		if got := cents.String(); got != want {
			t.Errorf("%d: got %q, want %q", int64(cents), got, want)
		}
	}
}

func TestSizeNamed(t *testing.T) {
	tests := map[string]struct {
		tier               Tier
		preboot, one, auto bool
	}{
		"Eco":             {Eco, false, true, false},
		"Basic":           {Basic, false, true, false},
		"hobby":           {Basic, false, true, false},
		"Standard-1X":     {Standard, true, false, false},
		" standard-2x ":   {Standard, true, false, false},
		"Performance-M":   {Performance, true, false, true},
		"Performance-2XL": {Performance, true, false, true},
		"Private-S":       {Private, false, false, true},
		"Shield-L":        {Shield, false, false, true},
		"dyno-1c-0.5gb":   {FirDyno, false, false, false},
		"Standardish":     {OtherTier, false, false, false},
		"economy":         {OtherTier, false, false, false},
		"":                {OtherTier, false, false, false},
	}
	for name, want := range tests {
		s := SizeNamed(name)
		if s.Tier != want.tier || s.SupportsPreboot() != want.preboot || s.OnePerType() != want.one || s.MayAutoscale() != want.auto {
			t.Errorf("%q: got %v preboot %v one %v auto %v, want %+v", name, s.Tier, s.SupportsPreboot(), s.OnePerType(), s.MayAutoscale(), want)
		}
		if s.Price.IsKnown() || s.Units.IsKnown() {
			t.Errorf("%q: a name alone has a price", name)
		}
	}
}

func TestScalingAddOns(t *testing.T) {
	app := App{AddOns: Known([]AddOn{{Service: "rails-autoscale"}, {Service: "heroku-postgresql"}, {Service: "judoscale"}, {Service: "judoscale"}})}
	if got, want := app.ScalingAddOns(), []string{"judoscale", "rails-autoscale"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestValueJSON(t *testing.T) {
	tests := map[string]struct {
		v    any
		want string
	}{
		"known":      {Known(Money(2500)), `2500`},
		"known zero": {Known(Autoscaler{}), `{"active":false}`},
		"unknown":    {Unknown[Money](Reason{Kind: NotPriced, Text: "no price"}), `{"unknown":{"kind":"not-priced","text":"no price"}}`},
		"zero":       {Value[int]{}, `{"unknown":{"kind":"not-told","text":"not read"}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(tt.v)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %s (%v), want %s", got, err, tt.want)
			}
		})
	}
	whole, err := json.Marshal(App{ID: "x", ReadAt: time.Unix(0, 0).UTC()})
	if err != nil || !strings.Contains(string(whole), `"formation":{"unknown":`) {
		t.Errorf("an app that was not read: got %s (%v), want unknown parts", whole, err)
	}
}

func TestValue(t *testing.T) {
	if got := Known(0).Or(7); got != 0 {
		t.Errorf("a known zero: got %d, want 0", got)
	}
	if got := (Value[int]{}).Or(7); got != 7 {
		t.Errorf("unknown: got %d, want the fallback", got)
	}
	if got := Known(1).Why(); got != (Reason{}) {
		t.Errorf("a known value's reason: got %v, want none", got)
	}
}

func TestProblem(t *testing.T) {
	cause := errors.New("cause")
	p := &Problem{Kind: Unavailable, Op: "read formation", Message: "503 Service Unavailable", RequestID: "r-1", Err: cause}
	if got, want := p.Error(), "read formation: unavailable: 503 Service Unavailable (request r-1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(p, cause) {
		t.Error("the cause is hidden")
	}
	for kind, want := range map[Kind]string{
		NotFound: "Heroku does not show it to this token", Unavailable: "Heroku did not answer (words)", Refused: "words", Locked: "words",
		RateLimited: "the account's API limit is used up",
	} {
		if got := (&Problem{Kind: kind, Message: "words"}).Reason(); got.Kind != kind || got.Text != want {
			t.Errorf("%s: got %+v, want %q", kind, got, want)
		}
	}
}
