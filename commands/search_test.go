package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// appShelf is a list of apps by name, each maybe as team/name.
type appShelf []fleet.Listed

func shelved(names ...string) appShelf {
	var all appShelf
	for _, name := range names {
		team, app, inTeam := strings.Cut(name, "/")
		if !inTeam {
			team, app = "", name
		}
		all = append(all, fleet.Listed{ID: townID(app), Name: app, Team: team})
	}
	slices.SortFunc(all, func(a, b fleet.Listed) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s appShelf) ReadListed(context.Context) ([]fleet.Listed, error) {
	if len(s) == 0 {
		return nil, &fleet.Problem{Kind: fleet.Unavailable}
	}
	return s, nil
}

// labels are those of offers, each group behind its own.
func labels(offers []Offer) string {
	var out []string
	for _, o := range offers {
		var in []string
		for _, c := range o.Choices {
			in = append(in, c.Label)
		}
		out = append(out, o.Label+": "+strings.Join(in, " "))
	}
	return strings.Join(out, "; ")
}

func TestOffer(t *testing.T) {
	pol, err := policy.Parse("zdd.yml", []byte("scope: { exclude: ['*-sandbox'] }\npeople: { readers: [U0REQUESTER] }"))
	if err != nil {
		t.Fatal(err)
	}
	few := shelved("acme/shop", "acme/shop-api", "acme/my-shop", "acme/workshop", "acme/shop-sandbox", "hobby", "acme/checkout", "acme/checkout-api-eu", "acme/api-gateway", "acme/abc")
	for typed, want := range map[string]string{
		"":                      "Apps: abc api-gateway checkout checkout-api-eu hobby my-shop shop shop-api workshop; Outside the policy's scope: shop-sandbox",
		"shop":                  "Apps: shop shop-api my-shop workshop; Outside the policy's scope: shop-sandbox",
		" SHOP ":                "Apps: shop shop-api my-shop workshop; Outside the policy's scope: shop-sandbox",
		"api":                   "Apps: api-gateway checkout-api-eu shop-api",
		"eu api":                "Apps: checkout-api-eu",
		"api_eu":                "Apps: checkout-api-eu",
		"chekcout":              "Apps: checkout checkout-api-eu",
		"checkuot-ap":           "Apps: checkout-api-eu",
		"shpo-sandbox":          "Outside the policy's scope: shop-sandbox",
		"a":                     "Apps: abc api-gateway checkout-api-eu shop-api; Outside the policy's scope: shop-sandbox", // as soon as the first letter
		"zz":                    "",                                                                                         // too short for a name, and to guess
		"zzzzz":                 "No such app in my list: what you typed: zzzzz",
		"what is that?":         "",
		string(townID("hobby")): "Apps: hobby",
		"https://dashboard.heroku.com/apps/checkout/activity": "Apps: checkout checkout-api-eu",
		"<!channel>": "",
	} {
		offers, err := New(Deps{Policies: inForce{pol}, Listed: few}).Offer(t.Context(), OfferRequest{By: member, Typed: typed})
		if got := labels(offers); got != want || err != nil {
			t.Errorf("%q: got %s, %v, want %s", typed, got, err, want)
		}
	}
	for _, who := range []Person{{ID: "U0GUEST", Kind: Guest}, {ID: "U0OTHER", Kind: Member}, {}} {
		offers, err := New(Deps{Policies: inForce{pol}, Listed: few}).Offer(t.Context(), OfferRequest{By: who, Typed: "shop"})
		if _, refused := errors.AsType[*Refusal](err); !refused || offers != nil {
			t.Errorf("%+v: got %v, %v, want a refusal", who, offers, err)
		}
	}
	// Where the list can't be read, what is typed can be taken all the same.
	offers, err := New(Deps{Policies: inForce{pol}, Listed: appShelf{}}).Offer(t.Context(), OfferRequest{By: member, Typed: "shop"})
	if got, want := labels(offers), "No list of apps just now: what you typed: shop"; got != want || err != nil {
		t.Errorf("without a list: got %s, %v, want %s", got, err, want)
	}
}

// manyApps are so many apps with names as companies give them.
func manyApps(n int) appShelf {
	words := []string{"shop", "checkout", "billing", "search", "ledger", "payments", "catalog", "gateway"}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("acme/%s-%s-%05d", words[i%len(words)], words[i/len(words)%len(words)], i))
	}
	return shelved(all...)
}

func TestOfferOfThousands(t *testing.T) {
	offers := offer(manyApps(10_000), policy.Default(), "shop")
	if len(offers) != 1 || len(offers[0].Choices) != offeredMost || !strings.HasPrefix(offers[0].Label, "Apps: 50 of 2,349, ") {
		t.Errorf("got %d groups, the first %s of %d", len(offers), offers[0].Label, len(offers[0].Choices))
	}
	for _, o := range offers {
		for _, c := range o.Choices {
			if c.Value == "" || !strings.Contains(c.Label, "shop") {
				t.Errorf("got %+v", c)
			}
		}
	}
	pol := policy.Default()
	pol.Scope.Exclude = []string{"shop-*"} // then the others keep their places
	offers = offer(manyApps(10_000), pol, "shop")
	if len(offers) != 2 || len(offers[0].Choices) != offeredMost-offeredBeside || len(offers[1].Choices) != offeredBeside {
		t.Errorf("got %v", labels(offers))
	}
}

// BenchmarkOffer is what one more letter in a search takes.
func BenchmarkOffer(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		apps := manyApps(n)
		for _, typed := range []string{"", "shop", "search-ledger-0", "serach-ldeger", "nothing-like-it"} {
			b.Run(fmt.Sprintf("%d/%s", n, typed), func(b *testing.B) {
				for b.Loop() {
					offer(apps, policy.Default(), typed)
				}
			})
		}
	}
}

func TestMentioned(t *testing.T) {
	apps := shelved("shop", "shop-api", "billing", "api", "my-app-2")
	for text, want := range map[string]string{
		"is shop down?":                     "shop",
		"*Shop*, _billing_ and `shop-api`.": "shop billing shop-api",
		"shop shop SHOP":                    "shop",
		"shopping at the workshop":          "",
		"shop_worker shops":                 "",
		"<https://dashboard.heroku.com/apps/billing/metrics|billing>": "billing",
		"https://shop-0123456789ab.herokuapp.com/cart is slow":        "shop",
		"shop-api.herokuapp.com":                                      "shop-api",
		"deploy " + string(townID("my-app-2")):                        "my-app-2",
		"shop/api: 500s":                                              "shop api",
		"…shop…":                                                      "shop",
		"":                                                            "",
		"магазин shоp (with a Cyrillic о)":                            "",
		"fix(shop): retry; billing-worker is fine":                    "shop",
	} {
		var got []string
		for _, app := range mentioned(apps, text) {
			got = append(got, app.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestFindApps(t *testing.T) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("acme/service-%02d", i))
	}
	table := New(Deps{Policies: inForce{policy.Default()}, Listed: shelved(append(all, "shop")...)})
	find := func(text string) Found {
		t.Helper()
		found, err := table.FindApps(t.Context(), FoundRequest{By: member, Text: text, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := find("nothing of ours"); got.Line != "" || got.Reply.Summary != "" {
		t.Errorf("none: got %+v", got)
	}
	if got := find("shop!"); got.Line != "status shop" {
		t.Errorf("one: got %+v", got)
	}
	got := find(strings.ReplaceAll(strings.Join(all, " "), "acme/", ""))
	list, _ := got.Reply.Parts[2].(List)
	note, _ := got.Reply.Parts[3].(Note)
	if got.Reply.Summary != "This message names 25 apps. Which one?" || len(list.Items) != foundMost || list.Items[0].Button.Run != "status "+string(townID("service-00")) || !strings.HasPrefix(note.Text.String(), "And 5 more.") {
		t.Errorf("many: got %+v", got)
	}
	if _, err := table.FindApps(t.Context(), FoundRequest{By: Person{Kind: Guest}, Text: "shop"}); err == nil {
		t.Error("a guest was told which apps there are")
	}
	if _, err := New(Deps{Policies: inForce{policy.Default()}, Listed: appShelf{}}).FindApps(t.Context(), FoundRequest{By: member, Text: "shop"}); err == nil || !strings.Contains(err.Error(), "could not read the list") {
		t.Errorf("without a list: got %v", err)
	}
}
