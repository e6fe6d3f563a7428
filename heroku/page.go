package heroku

import (
	"context"
	"errors"
	"iter"

	platform "github.com/heroku/heroku-go/v5"
)

// wholePage asks for the longest page that Heroku gives (Platform API reference,
// "Ranges"). Only lists of apps ask for it; the other lists take Heroku's 200 at a
// time, because not every one of them lets itself be sorted by id.
func wholePage() *platform.ListRange { return &platform.ListRange{Field: "id", Max: 1000} }

var (
	errForm     = errors.New("an answer of a form that is not known")
	errBrokeOff = errors.New("the list says that it goes on, and not where")
)

// pages walks a list over all its pages: heroku-go takes a 206 for the whole list and
// drops Next-Range. After an error the walk ends, and what came before it is not the
// whole list. Each page has its own deadline, [Timing.List].
func pages[T any](ctx context.Context, c *Client, first *platform.ListRange, list func(context.Context, *platform.ListRange) ([]T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		ask := ""
		for {
			x := &exchange{askRange: ask}
			items, err := onePage(withExchange(ctx, x), c, first, list)
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
			case x.nextRange == "" || x.nextRange == ask:
				yield(none, errBrokeOff)
				return
			}
			ask = x.nextRange
		}
	}
}

func onePage[T any](ctx context.Context, c *Client, first *platform.ListRange, list func(context.Context, *platform.ListRange) ([]T, error)) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timing.List)
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
