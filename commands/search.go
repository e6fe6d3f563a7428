package commands

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// appLister gives the list of apps that there are, at once where there is one already.
type appLister interface {
	ReadListed(ctx context.Context) ([]fleet.Listed, error)
}

const (
	// offeredMost is how many apps a search offers: nobody reads more, and Slack drops an
	// answer of 20 kB without a word.
	offeredMost = 50
	// offeredBeside of them are kept for apps that the policy does not cover.
	offeredBeside = 10
	// offeredNear is how many apps a mistyped name offers.
	offeredNear = 8
)

// OfferRequest is what somebody has typed into the search for an app so far.
type OfferRequest struct {
	By    Person
	Typed string
}

// Offer is a group of options below a search.
type Offer struct {
	Label   string
	Choices []Choice
}

// Offer finds the apps that a person may mean by what they have typed so far: those that
// the policy covers first, each by how well its name fits. Who may not read is offered
// nothing, and gets the *Refusal.
func (t Table) Offer(ctx context.Context, req OfferRequest) ([]Offer, error) {
	if err := t.admit(ctx, req.By); err != nil {
		return nil, err
	}
	var apps []fleet.Listed
	var err error
	if t.deps.Listed != nil {
		apps, err = t.deps.Listed.ReadListed(ctx)
	}
	offers := offer(apps, t.deps.Policies.Policy(), req.Typed)
	if len(offers) == 0 {
		offers = asTyped(req.Typed, err == nil && len(apps) > 0)
	}
	return offers, nil
}

// offer ranks a list of apps, which is in order of their names, by what was typed.
func offer(apps []fleet.Listed, pol policy.Policy, typed string) []Offer {
	found := search(apps, typed)
	var covered, beside []fleet.Listed
	for _, app := range found {
		if !app.Archived && pol.InScope(fleet.App{ID: app.ID, Name: app.Name, Team: app.Team}).In {
			covered = append(covered, app)
		} else {
			beside = append(beside, app)
		}
	}
	room := offeredMost - min(len(beside), offeredBeside)
	var offers []Offer
	add := func(label string, apps []fleet.Listed, most int) int {
		if len(apps) == 0 || most == 0 {
			return 0
		}
		shown := apps[:min(len(apps), most)]
		if len(shown) < len(apps) {
			label = fmt.Sprintf("%s: %s of %s, type to find others", label, grouped(len(shown)), grouped(len(apps)))
		}
		o := Offer{Label: label}
		for _, app := range shown {
			o.Choices = append(o.Choices, Choice{Value: string(app.ID), Label: app.Name, Detail: cmp.Or(app.Team, "personal")})
		}
		offers = append(offers, o)
		return len(shown)
	}
	n := add("Apps", covered, room)
	add("Outside the policy's scope", beside, offeredMost-n)
	return offers
}

// asTyped offers to take what was typed as it is: an app that is in no list yet, or any
// where the list can't be read just now.
func asTyped(typed string, listed bool) []Offer {
	ref, err := fleet.ParseRef(typed)
	if err != nil {
		return nil
	}
	label := "No list of apps just now: what you typed"
	if listed {
		label = "No such app in my list: what you typed"
	}
	return []Offer{{Label: label, Choices: []Choice{{Value: ref.String(), Label: brief(ref.String(), 60)}}}}
}

// search finds the apps of a list, which is in order of their names, that somebody may mean
// who has typed that much, best first: the name itself, names that begin with it, that have
// a word that does, that hold it, that hold each of its words; where there is none such,
// names that a slip of the fingers away begin with it.
func search(apps []fleet.Listed, typed string) []fleet.Listed {
	word := strings.ToLower(strings.TrimSpace(typed))
	if ref, err := fleet.ParseRef(typed); err == nil {
		word = ref.String() // from the page in the dashboard, or in quotes
	}
	if word == "" {
		return apps
	}
	id := fleet.ID(word)
	words := strings.FieldsFunc(word, func(r rune) bool { return blank(r) || r == '-' || r == '_' || r == '.' || r == '/' })
	var ranks [5][]fleet.Listed
	for _, app := range apps {
		at := strings.Index(app.Name, word)
		switch {
		case app.Name == word || app.ID == id:
			ranks[0] = append(ranks[0], app)
		case at == 0:
			ranks[1] = append(ranks[1], app)
		case strings.Contains(app.Name, "-"+word):
			ranks[2] = append(ranks[2], app)
		case at > 0:
			ranks[3] = append(ranks[3], app)
		case len(words) > 1 && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(app.Name, w) }):
			ranks[4] = append(ranks[4], app)
		}
	}
	if found := slices.Concat(ranks[:]...); len(found) > 0 {
		return found
	}
	return near(apps, strings.Join(words, "-"))
}

// near finds the apps whose names begin with something that a slip of the fingers could
// have turned into the word, nearest first.
func near(apps []fleet.Listed, word string) []fleet.Listed {
	letters := len([]rune(word))
	if letters < 3 || letters > 60 {
		return nil
	}
	type candidate struct {
		fleet.Listed
		away, over int
	}
	var found []candidate
	for _, app := range apps {
		away, over := levenshtein.ComputeDistance(word, app.Name), 0
		// Of a name that is not typed to its end yet, as much as was typed, and one letter
		// more or less where one was forgotten or doubled.
		for n := letters - 1; n <= letters+1; n++ {
			if n > 2 && n < len(app.Name) {
				if d := levenshtein.ComputeDistance(word, app.Name[:n]); d < away {
					away, over = d, len(app.Name)-n
				}
			}
		}
		if away <= slips(letters) {
			found = append(found, candidate{app, away, over})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Or(a.away-b.away, a.over-b.over) })
	var out []fleet.Listed
	for _, c := range found[:min(len(found), offeredNear)] {
		out = append(out, c.Listed)
	}
	return out
}

// appWord is what could be an app's name or UUID in a text, or the beginning of a host.
var appWord = regexp.MustCompile(`[\p{L}\p{N}_][\p{L}\p{N}_.-]*`)

// mentioned finds the apps of a list that a text names: as a word of its own, as part of
// their address on herokuapp.com or in the dashboard, or by UUID. Each once, in their order.
func mentioned(apps []fleet.Listed, text string) []fleet.Listed {
	byWord := make(map[string]fleet.Listed, 2*len(apps))
	for _, app := range apps {
		byWord[app.Name], byWord[string(app.ID)] = app, app
	}
	var found []fleet.Listed
	for _, word := range appWord.FindAllString(strings.ToLower(text), -1) {
		word = strings.Trim(word, "_.-") // of emphasis, and of a sentence's end
		host, isHost := strings.CutSuffix(word, ".herokuapp.com")
		app, ok := byWord[host]
		if !ok && isHost { // today's hosts end in a random sign: shop-0123456789ab.herokuapp.com
			if i := strings.LastIndexByte(host, '-'); i > 0 {
				app, ok = byWord[host[:i]]
			}
		}
		if ok && !slices.ContainsFunc(found, func(f fleet.Listed) bool { return f.ID == app.ID }) {
			found = append(found, app)
		}
	}
	return found
}
