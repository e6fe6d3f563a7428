package heroku

import (
	"context"
	"errors"
	"iter"

	platform "github.com/heroku/heroku-go/v5"
)

// wholePage asks for the longest page that Heroku gives (Platform API reference,
// "Ranges"). Only lists of a whole account ask for it; the others are short. Which lists
// let themselves be sorted by id is not told of each: one that does not is asked again
// for Heroku's own 200 at a time.
func wholePage() *platform.ListRange { return &platform.ListRange{Field: "id", Max: 1000} }

// Beyond so many pages a list is none: each costs a call of the account's limit.
const (
	mostPages     = 20  // of 200, of what belongs to one app
	mostLongPages = 200 // of 1000, of what belongs to an account
)

var (
	errForm     = errors.New("an answer of a form that is not known")
	errBrokeOff = errors.New("the list says that it goes on, and not where")
	errCircle   = errors.New("the list goes round in a circle")
	errEndless  = errors.New("the list has more pages than there can be")
)

// pages walks a list over all its pages: heroku-go takes a 206 for the whole list and
// drops Next-Range. After an error the walk ends, and what came before it is not the
// whole list. Each page has its own deadline, [Timing.List]; in background work its
// request has, and may be waited for longer.
func pages[T any](ctx context.Context, c *Client, first *platform.ListRange, list func(context.Context, *platform.ListRange) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		ask, asked := "", map[string]bool{"": true}
		most := mostPages
		if first != nil {
			most = mostLongPages
		}
		for {
			x := &exchange{askRange: ask}
			items, err := onePage(withExchange(ctx, x), c, first, list)
			if errors.Is(err, errRange) && first != nil && ask == "" {
				first = nil
				continue
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			switch {
			case !x.partial:
				return
			case x.nextRange == "":
				yield(none, errBrokeOff)
				return
			case asked[x.nextRange]:
				yield(none, errCircle)
				return
			case len(asked) == most:
				yield(none, errEndless)
				return
			}
			ask = x.nextRange
			asked[ask] = true
		}
	}
}

func onePage[T any](ctx context.Context, c *Client, first *platform.ListRange, list func(context.Context, *platform.ListRange) ([]T, error)) ([]T, error) {
	ctx, cancel := within(ctx, c.timing.List)
	defer cancel()
	items, err := list(ctx, first)
	if err == nil && items == nil {
		err = errForm
	}
	return items, err
}

// all collects a list that is short by nature.
func all[T any](items iter.Seq2[T, error]) ([]T, error) {
	out := []T{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}
