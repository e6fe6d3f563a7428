package chat

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// recallMost bounds what a recall remembers; the oldest goes first.
const recallMost = 4096

// recall asks something about an id once at a time, and believes the answer for a
// while. Errors are not remembered.
type recall[T any] struct {
	ttl    time.Duration
	limit  time.Duration // for one question
	flight singleflight.Group
	known  *lru.Cache[string, dated[T]]
}

type dated[T any] struct {
	answer T
	at     time.Time
}

func newRecall[T any](t Timing) *recall[T] {
	known, err := lru.New[string, dated[T]](recallMost)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &recall[T]{ttl: t.People, limit: t.HTTP, known: known}
}

// find is the answer about an id: the remembered one, or that of ask.
func (r *recall[T]) find(ctx context.Context, id string, ask func(context.Context) (T, error)) (T, error) {
	if known, ok := r.known.Get(id); ok && time.Since(known.at) < r.ttl {
		return known.answer, nil
	}
	// The call is everybody's who waits for it, so it must not end with the first one's.
	c := r.flight.DoChan(id, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.limit)
		defer cancel()
		answer, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		r.known.Add(id, dated[T]{answer, time.Now()})
		return answer, nil
	})
	var none T
	select {
	case got := <-c:
		if got.Err != nil {
			return none, got.Err
		}
		return got.Val.(T), nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
