package approval

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/plan"
	"example.com/zdd/policy"
)

func TestParseID(t *testing.T) {
	for text, want := range map[string]string{
		"T-12": "T-12", "t-12": "T-12", "t12": "T-12", "12": "T-12", "#12": "T-12", "`T-12`": "T-12", " T-012 ": "T-12",
		"": "", "T-": "", "T-0": "", "T--1": "", "-1": "", "T#1": "", "T-1x": "", "shop": "", "T-99999999999999999999": "", "T-1 T-2": "",
	} {
		if got, ok := ParseID(text); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", text, got, ok, want)
		}
	}
}

// TestCheckChange holds every pair of states.
func TestCheckChange(t *testing.T) {
	may := map[State]string{
		Pending: "approved denied cancelled expired stale", Approved: "running cancelled stale failed", Running: "done stopped failed",
	}
	states := []State{Pending, Approved, Running, Denied, Cancelled, Expired, Stale, Done, Stopped, Failed}
	for _, from := range states {
		if from.Final() != (may[from] == "") {
			t.Errorf("%s: got final %v", from, from.Final())
		}
		for _, to := range append(states, "", "lost") {
			want := from == to || to != "" && strings.Contains(" "+may[from]+" ", " "+string(to)+" ")
			if got := CheckChange(Ticket{ID: "T-1", State: from}, Ticket{ID: "T-1", State: to}); (got == nil) != want {
				t.Errorf("%s → %s: got %v, want it allowed: %v", from, to, got, want)
			}
		}
	}
	for name, change := range map[string]func(*Ticket){
		"id": func(t *Ticket) { t.ID = "T-2" }, "rev": func(t *Ticket) { t.Rev = 9 }, "origin": func(t *Ticket) { t.Origin = "x" },
		"requester": func(t *Ticket) { t.Requester = "U9" }, "app": func(t *Ticket) { t.Plan.App = "x" }, "plan": func(t *Ticket) { t.Plan.Hash = "x" },
		"age": func(t *Ticket) { t.CreatedAt = time.Now() },
	} {
		after := Ticket{}
		change(&after)
		if err := CheckChange(Ticket{}, after); err == nil {
			t.Errorf("another %s is allowed", name)
		}
	}
}

func TestBeyond(t *testing.T) {
	limits := policy.Limits{WebDynos: 3, MonthlyIncrease: 50_00}
	scale := func(from, to int) plan.Step {
		return plan.Step{From: state("web", from), To: state("web", to)}
	}
	for name, c := range map[string]struct {
		step plan.Step
		cost fleet.Value[fleet.Money]
		want string
	}{
		"within":          {scale(1, 3), fleet.Known(fleet.Money(50_00)), ""},
		"dynos":           {scale(1, 4), fleet.Known(fleet.Money(0)), "`limits.web_dynos`"},
		"down, from more": {scale(9, 5), fleet.Known(fleet.Money(-1)), ""},
		"workers":         {plan.Step{From: state("worker", 1), To: state("worker", 9)}, fleet.Known(fleet.Money(0)), ""},
		"money":           {scale(1, 2), fleet.Known(fleet.Money(50_01)), "`limits.monthly_increase`"},
		"unknown":         {scale(1, 2), fleet.Value[fleet.Money]{}, ""},
		"unknown so far":  {costing(scale(1, 2), 50_01), fleet.Value[fleet.Money]{}, "as far as prices are known"},
		"no more so far":  {costing(scale(1, 2), 50_00), fleet.Value[fleet.Money]{}, ""},
	} {
		p := plan.Plan{Steps: []plan.Step{c.step}}
		p.Cost.Difference = c.cost
		got := beyond(limits, Ticket{Plan: p})
		if (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.Text, c.want) {
			t.Errorf("%s: got %v, want %q", name, got, c.want)
		}
	}
}

// TestBeyondTogether: the limit of web dynos is each app's, that of the cost the total's,
// in which nothing makes up for anything.
func TestBeyondTogether(t *testing.T) {
	limits := policy.Limits{WebDynos: 3, MonthlyIncrease: 50_00}
	part := func(name string, to int, cost fleet.Value[fleet.Money]) Part {
		p := plan.Plan{Name: name, Steps: []plan.Step{{From: state("web", 1), To: state("web", to)}}}
		p.Cost.Difference, p.Steps[0].Cost.Difference = cost, cost
		return Part{Plan: p}
	}
	unknown := fleet.Value[fleet.Money]{}
	for name, c := range map[string]struct {
		parts []Part
		want  string // empty: within
	}{
		"within":             {[]Part{part("a", 3, fleet.Known(fleet.Money(25_00))), part("b", 3, fleet.Known(fleet.Money(25_00)))}, ""},
		"dynos of one":       {[]Part{part("a", 2, fleet.Known(fleet.Money(0))), part("b", 4, fleet.Known(fleet.Money(0)))}, "`b` would run 4 web dynos"},
		"money":              {[]Part{part("a", 2, fleet.Known(fleet.Money(25_00))), part("b", 2, fleet.Known(fleet.Money(25_01)))}, "Together this would cost $50.01 a month more"},
		"money made up for":  {[]Part{part("a", 2, fleet.Known(fleet.Money(50_01))), part("b", 2, fleet.Known(fleet.Money(-25_00)))}, "Together this would cost $50.01 a month more"},
		"unknown, and money": {[]Part{part("a", 2, fleet.Known(fleet.Money(50_01))), part("b", 2, unknown)}, "as far as prices are known (of b: "},
		"unknown":            {[]Part{part("a", 2, fleet.Known(fleet.Money(50_00))), part("b", 2, unknown)}, ""},
	} {
		got := beyond(limits, Ticket{Parts: c.parts})
		if (got == nil) != (c.want == "") || got != nil && !strings.Contains(got.Text, c.want) {
			t.Errorf("%s: got %v, want %q", name, got, c.want)
		}
	}
}

// TestQuorumTogether: whatever apps are asked for together, and whatever was spent on them
// before, they need at least as many approvals as each needs, none of them fewer with
// more apps, and the order is none of the matter.
func TestQuorumTogether(t *testing.T) {
	rules := policy.Approval{Quorum: []policy.Quorum{{Above: 50_00, Approvals: 2}, {Above: 150_00, Approvals: 3}, {Above: 300_00, Approvals: 4}}}
	random := rand.New(rand.NewPCG(6, 1))
	cost := func() fleet.Value[fleet.Money] {
		if random.IntN(12) == 0 {
			return fleet.Value[fleet.Money]{}
		}
		return fleet.Known(fleet.Money(random.IntN(9)-2) * 25_00)
	}
	priced := func(app int) plan.Plan {
		c := cost()
		p := plan.Plan{App: fleet.ID(rune('a' + app)), Steps: []plan.Step{{From: state("web", 1), To: state("web", 2)}}}
		p.Cost.Difference, p.Steps[0].Cost.Difference = c, c
		return p
	}
	needs := map[int]int{}
	for range 3000 {
		var batch Ticket
		for app := range 2 + random.IntN(4) {
			batch.Parts = append(batch.Parts, Part{Plan: priced(app)})
		}
		var spent []Ticket
		for range random.IntN(4) {
			spent = append(spent, Ticket{ID: "T-1", State: Approved, Plan: priced(random.IntN(6))})
		}
		got := quorumOf(rules, batch, spent)
		needs[got.need]++
		var sum fleet.Money
		known, most := true, 0
		for _, one := range batch.singles() {
			its := quorumOfOne(rules, one, slices.DeleteFunc(slices.Clone(spent), func(o Ticket) bool { return o.Plan.App != one.Plan.App }))
			most = max(most, its.need)
			if adds, ok := one.Plan.Cost.Difference.Get(); !ok || adds > 0 {
				v, ok := its.sum.Get()
				sum, known = sum+v, known && ok
			}
		}
		if got.need < most {
			t.Fatalf("%d approvals for all, and %d for one of them", got.need, most)
		}
		if v, ok := got.sum.Get(); got.need > 0 && (ok != known || ok && v != sum) {
			t.Fatalf("got a sum of %s, want %s, known: %v", amount(got.sum), sum, known)
		}
		if got.need > 0 && (got.need > 1) != (got.why != "") {
			t.Fatalf("%d approvals because %q", got.need, got.why)
		}
		turned := batch
		turned.Parts = slices.Clone(batch.Parts)
		slices.Reverse(turned.Parts)
		if other := quorumOf(rules, turned, spent); other.need != got.need {
			t.Fatalf("%d approvals, and %d the other way round", got.need, other.need)
		}
		fewer := batch
		fewer.Parts = batch.Parts[1:]
		if less := quorumOf(rules, fewer, spent); less.need > got.need {
			t.Fatalf("%d approvals for all, and %d for fewer", got.need, less.need)
		}
	}
	for need := range 5 {
		if needs[need] == 0 {
			t.Errorf("nothing needed %d approvals", need)
		}
	}
}

// TestFingerprintOfBefore: tickets that were asked for before there were any for several
// apps are those that the ledger tells of still.
func TestFingerprintOfBefore(t *testing.T) {
	at := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	old := Ticket{ID: "T-1", Wish: plan.Wish{Verb: plan.ToEnable}, Requester: "U1", Team: "T1", Policy: "p", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}
	old.Plan = plan.Plan{App: "x", Name: "shop", Outcome: plan.Ready, Hash: "0123", ReadAt: at}
	const want = "fe7b07d05f684270e7d9add3ee6d4aa866a493ead4cb7ff28e0a951e50a1094d" // as version 32b1971 made it
	if got := fingerprint(old); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, change := range map[string]func(*Ticket){
		"part": func(t *Ticket) { t.Of = "T-2" }, "batch": func(t *Ticket) { t.Parts = []Part{{}} },
	} {
		other := old
		change(&other)
		if fingerprint(other) == want {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	begun := old
	begun.Parts = []Part{{}, {}}
	now := begun
	now.Parts = []Part{{Ticket: "T-2", State: Running, Doing: "x", Outcome: "y", EndedAt: at}, {}}
	if fingerprint(begun) != fingerprint(now) {
		t.Error("a batch that gets on is another one")
	}
}

// costing has a step cost that much, of which only what it cost before is not known.
func costing(s plan.Step, then fleet.Money) plan.Step {
	s.Cost.Then = fleet.Known(then)
	return s
}

func state(kind string, n int) plan.State {
	return plan.State{Processes: []plan.Process{{Type: kind, Size: "standard-1x", Quantity: n}}}
}

// TestIncreases adds up tickets of one step each.
func TestIncreases(t *testing.T) {
	at := time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC)
	ticket := func(s State, cents fleet.Money, p Progress) Ticket {
		step := plan.Step{From: state("web", 1), To: state("web", 2)}
		step.Cost.Difference = fleet.Known(cents)
		out := Ticket{ID: "T-1", State: s, Plan: plan.Plan{Steps: []plan.Step{step}}, Progress: []Progress{p}}
		out.Plan.Cost.Difference = fleet.Known(cents)
		return out
	}
	unknown := func(t Ticket) Ticket {
		t.Plan.Cost.Difference, t.Plan.Steps[0].Cost.Difference = fleet.Value[fleet.Money]{}, fleet.Value[fleet.Money]{}
		return t
	}
	follows := ticket(Approved, 2500, Progress{})
	follows.ID, follows.Follows = "T-2", "T-1"
	ended := func(id, follows string, s State, p Progress) Ticket {
		t := ticket(s, 2500, p)
		t.ID, t.Follows = id, follows
		return t
	}
	rest := follows // what is left once the lost write is seen to have taken effect
	rest.Plan.Steps, rest.Plan.Cost.Difference = []plan.Step{{Kind: plan.Settle}}, fleet.Known(fleet.Money(0))
	undoes := follows
	undoes.Wish, undoes.Plan.Cost.Difference = plan.Wish{Verb: plan.ToUndo}, fleet.Known(fleet.Money(-2500))
	sent := Progress{Intended: at}
	done := Progress{Intended: at, Done: at}
	for name, c := range map[string]struct {
		spent []Ticket
		want  string
	}{
		"none":                      {nil, "$0.00"},
		"approved":                  {[]Ticket{ticket(Approved, 2500, Progress{})}, "$25.00"},
		"done and running":          {[]Ticket{ticket(Done, 2500, done), ticket(Running, 5000, sent)}, "$75.00"},
		"a decrease takes none off": {[]Ticket{ticket(Done, 2500, done), ticket(Done, -2500, done)}, "$25.00"},
		"unknown":                   {[]Ticket{ticket(Done, 2500, done), unknown(ticket(Done, 0, done))}, "unknown"},
		"stopped before":            {[]Ticket{ticket(Stopped, 2500, Progress{})}, "$0.00"},
		"stopped before, unknown":   {[]Ticket{unknown(ticket(Stopped, 0, Progress{}))}, "$0.00"},
		"stopped after, unknown":    {[]Ticket{unknown(ticket(Stopped, 0, done))}, "unknown"},
		"stopped after":             {[]Ticket{ticket(Stopped, 2500, done)}, "$25.00"},
		"effect unknown":            {[]Ticket{ticket(Failed, 2500, sent)}, "$25.00"},
		"another counts it":         {[]Ticket{ticket(Failed, 2500, sent), follows}, "$25.00"},
		"another undoes it":         {[]Ticket{ticket(Failed, 2500, sent), undoes}, "$25.00"},
		"lost, and took effect":     {[]Ticket{ticket(Failed, 2500, sent), rest}, "$25.00"},
		"lost, resumed, not begun":  {[]Ticket{ticket(Failed, 2500, sent), ended("T-2", "T-1", Stopped, Progress{})}, "$25.00"},
		"lost, resumed, late":       {[]Ticket{ticket(Failed, 2500, sent), ended("T-2", "T-1", Stopped, Progress{Done: at, Already: true})}, "$25.00"},
		"lost twice":                {[]Ticket{ended("T-2", "T-1", Failed, sent), ticket(Failed, 2500, sent)}, "$25.00"},
		"lost twice, then done":     {[]Ticket{ended("T-3", "T-2", Done, done), ended("T-2", "T-1", Failed, sent), ticket(Failed, 2500, sent)}, "$25.00"},
		"lost, idle, then done":     {[]Ticket{ended("T-3", "T-2", Done, done), ended("T-2", "T-1", Failed, Progress{}), ticket(Failed, 2500, sent)}, "$25.00"},
		"done, and resumed":         {[]Ticket{ticket(Stopped, 2500, done), follows}, "$50.00"},
		"it was so already":         {[]Ticket{ticket(Stopped, 2500, Progress{Done: at, Already: true})}, "$0.00"},
		"denied":                    {[]Ticket{ticket(Denied, 2500, Progress{})}, "$0.00"},
	} {
		if got := amount(increases(c.spent, Ticket{ID: "T-9"})); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	// What is being judged counts what it takes over from a ticket, and that not.
	if got := amount(increases([]Ticket{ticket(Failed, 2500, sent)}, ended("", "T-1", Pending, Progress{}))); got != "$0.00" {
		t.Errorf("with the ticket that is judged: got %s, want $0.00", got)
	}
}

func TestVoices(t *testing.T) {
	for name, c := range map[string]struct {
		approvers []string
		self      bool
		n         int
		known     bool
	}{
		"nobody":            {nil, false, 0, true},
		"oneself":           {nil, true, 1, true},
		"only oneself":      {[]string{"U1"}, false, 0, true},
		"oneself, allowed":  {[]string{"U1"}, true, 1, true},
		"others":            {[]string{"U1", "U2", "U3"}, false, 2, true},
		"others, and self":  {[]string{"U1", "U2", "U3"}, true, 3, true},
		"a group":           {[]string{"S1"}, false, 0, false},
		"others, not asked": {[]string{"U2"}, true, 1, true},
	} {
		pol := policy.Default()
		pol.People.Approvers, pol.Approval.SelfApproval = c.approvers, c.self
		if n, known := voices(pol, "U1"); n != c.n || known != c.known {
			t.Errorf("%s: got %d, %v, want %d, %v", name, n, known, c.n, c.known)
		}
	}
}
