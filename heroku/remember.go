package heroku

import (
	"context"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"example.com/zdd/fleet"
)

// remembered keeps one answer for a while, and lets one caller at a time ask for it
// anew: the others wait for that answer, each no longer than its own context. The
// asking is done by a caller and under its context, not by a goroutine left behind
// (as x/sync/singleflight would have it), so a failure is the asker's own and the
// next in line asks again.
type remembered[T any] struct {
	turn chan struct{} // holds one token: whoever has it may read and write v and at
	v    *T
	at   *time.Time
}

func newRemembered[T any]() remembered[T] {
	r := remembered[T]{turn: make(chan struct{}, 1), v: new(T), at: new(time.Time)}
	r.turn <- struct{}{}
	return r
}

// recall returns the answer if it is younger than age, and asks otherwise.
func (r remembered[T]) recall(ctx context.Context, age time.Duration, ask func(context.Context) (T, error)) (T, error) {
	var none T
	select {
	case <-r.turn:
		defer func() { r.turn <- struct{}{} }()
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	if !r.at.IsZero() && time.Since(*r.at) < age {
		return *r.v, nil
	}
	v, err := ask(ctx)
	if err != nil {
		return none, err
	}
	*r.v, *r.at = v, time.Now()
	return v, nil
}

// pipelineName is a pipeline's name, which couplings may leave out, and when it was read.
type pipelineName struct {
	name string
	at   time.Time
}

func newPipelineNames() *lru.Cache[fleet.ID, pipelineName] {
	const most = 1024 // pipelines; beyond that the oldest are asked for again
	names, err := lru.New[fleet.ID, pipelineName](most)
	if err != nil {
		panic(err) // only a size below 1 is an error
	}
	return names
}

// notices logs what is missing once for each kind of problem, however often it turns
// out to be so.
type notices struct{ said sync.Map }

func (n *notices) once(ctx context.Context, log *slog.Logger, message string, p *fleet.Problem) {
	if _, already := n.said.LoadOrStore(message+string(p.Kind), true); !already {
		log.WarnContext(ctx, message, "err", p)
	}
}
