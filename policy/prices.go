package policy

import (
	"example.com/zdd/fleet"
)

// Prices are what the contract says a dyno costs a month, by size, where Heroku's
// list price is wrong or missing. The nil Prices changes nothing.
type Prices map[string]fleet.Money

// Of is what one dyno of that size costs the app a month: the contract's price, else
// the list price. It is unknown, with the reason, where neither tells. Eco dynos have
// no price of their own: one subscription pays for all of an account.
func (p Prices) Of(app fleet.App, size string) fleet.Value[fleet.Money] {
	s := app.Size(size)
	if why, doubtful := shieldDoubt(app, s); doubtful {
		return fleet.Unknown[fleet.Money](why)
	}
	if price, ok := p[s.Name]; ok {
		return fleet.Known(price)
	}
	switch {
	case s.Tier == fleet.Eco:
		return fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: "Eco dynos are paid by one flat subscription for the whole account"})
	case s.Price.IsKnown():
		return s.Price
	case !app.Sizes.IsKnown():
		return fleet.Unknown[fleet.Money](app.Sizes.Why())
	}
	return s.Price
}

// Units is how many dyno units a dyno of that size takes a month, what Enterprise
// teams pay in.
func (p Prices) Units(app fleet.App, size string) fleet.Value[float64] {
	s := app.Size(size)
	if why, doubtful := shieldDoubt(app, s); doubtful {
		return fleet.Unknown[float64](why)
	}
	if !s.Units.IsKnown() && !app.Sizes.IsKnown() {
		return fleet.Unknown[float64](app.Sizes.Why())
	}
	return s.Units
}

// shieldDoubt says that a size's price can't be told: the API prints the sizes of
// Shield apps as Private ones, which cost a sixth less, and it was not read which
// kind of space this is.
func shieldDoubt(app fleet.App, s fleet.Size) (fleet.Reason, bool) {
	if app.Space == nil || s.Tier != fleet.Private || app.Space.Shield.IsKnown() {
		return fleet.Reason{}, false
	}
	return fleet.Reason{Kind: fleet.NotTold, Text: "whether its space is a Shield space could not be read, and Shield dynos cost more"}, true
}
