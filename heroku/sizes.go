package heroku

import (
	"context"
	"encoding/json"
	"math"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// readSizes reads what Heroku offers, with prices; kept for [Timing.SizesAge]. It asks
// as a person would, whoever asks first: it is one call an hour that all wait for.
func (c *Client) readSizes(ctx context.Context) (fleet.Catalog, error) {
	return c.sizes.recall(ranked(ctx, person), c.timing.SizesAge, func(ctx context.Context) (fleet.Catalog, error) {
		// Each row by itself: heroku-go decodes the list whole and fails on the first
		// fractional compute, and one odd row must not cost the prices of the others.
		var rows []json.RawMessage
		rows, err := all(pages(ctx, c, nil, func(ctx context.Context, lr *platform.ListRange) ([]json.RawMessage, error) {
			var page []json.RawMessage
			err := c.api.Get(ctx, &page, "/dyno-sizes", nil, lr)
			return page, err
		}))
		if err != nil {
			return nil, err
		}
		catalog := fleet.Catalog{}
		for _, row := range rows {
			if size, ok := sizeOf(row); ok {
				catalog = append(catalog, size)
			}
		}
		return catalog, nil
	})
}

// sizeOf reads one row of /dyno-sizes. A cost that is null (Private, Shield and Fir),
// not monthly or not above zero is no price: nothing on Heroku is free, and the $5 of
// Eco are an account's, not a dyno's.
func sizeOf(row json.RawMessage) (fleet.Size, bool) {
	var raw struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(row, &raw) != nil || raw.Name == "" {
		return fleet.Size{}, false
	}
	size := fleet.SizeNamed(raw.Name)
	var cost struct {
		Cost *struct {
			Cents *float64 `json:"cents"`
			Unit  string   `json:"unit"` // "month", or "monthly" in older answers
		} `json:"cost"`
	}
	if json.Unmarshal(row, &cost) == nil && cost.Cost != nil && cost.Cost.Cents != nil {
		monthly := cost.Cost.Unit == "month" || cost.Cost.Unit == "monthly"
		const dearest = 1e9 // cents; beyond it is no price but an accident
		if cents := math.Round(*cost.Cost.Cents); monthly && cents > 0 && cents < dearest {
			size.Price = fleet.Known(fleet.Money(cents))
		}
	}
	if size.Tier == fleet.Eco {
		size.Price = fleet.Unknown[fleet.Money](fleet.Reason{Kind: fleet.NotPriced, Text: "Eco is paid for by the account, $5 a month for all its Eco dynos, not by the dyno"})
	}
	var units struct {
		Precise *float64 `json:"precise_dyno_units"`
		Whole   *float64 `json:"dyno_units"` // gone from the API, still sent by older servers
	}
	if json.Unmarshal(row, &units) == nil {
		for _, u := range []*float64{units.Whole, units.Precise} { // the precise one wins
			if u != nil && *u > 0 {
				size.Units = fleet.Known(*u)
			}
		}
	}
	return size, true
}
