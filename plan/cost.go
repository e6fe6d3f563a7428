package plan

import (
	"fmt"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

// Cost is what something costs a month, before and after. Each part is known or
// unknown by itself: the difference can be known where the whole is not.
type Cost struct {
	Now        fleet.Value[fleet.Money] `json:"now"`
	Then       fleet.Value[fleet.Money] `json:"then"`
	Difference fleet.Value[fleet.Money] `json:"difference"`
	Units      Units                    `json:"units"` // what Enterprise teams pay in
}

// Units is the same in dyno units a month.
type Units struct {
	Now        fleet.Value[float64] `json:"now"`
	Then       fleet.Value[float64] `json:"then"`
	Difference fleet.Value[float64] `json:"difference"`
}

// costOf prices a change from one set of process types to another.
func costOf(app fleet.App, prices policy.Prices, from, to []Process) Cost {
	var c Cost
	c.Now = sum(from, func(size string) fleet.Value[fleet.Money] { return prices.Of(app, size) })
	c.Then = sum(to, func(size string) fleet.Value[fleet.Money] { return prices.Of(app, size) })
	c.Difference = difference(c.Now, c.Then)
	c.Units.Now = sum(from, func(size string) fleet.Value[float64] { return prices.Units(app, size) })
	c.Units.Then = sum(to, func(size string) fleet.Value[float64] { return prices.Units(app, size) })
	c.Units.Difference = minus(c.Units.Then, c.Units.Now)
	return c
}

// wholeCost prices a plan: now and then of the whole app, and the difference as the sum
// of its steps, which is known even where a process type that no step touches has no price.
func wholeCost(app fleet.App, prices policy.Prices, steps []Step) Cost {
	c := costOf(app, prices, processes(app), processes(After(app, steps...)))
	c.Difference, c.Units.Difference = fleet.Known(fleet.Money(0)), fleet.Known(0.0)
	for _, s := range steps {
		c.Difference = plus(c.Difference, s.Cost.Difference)
		c.Units.Difference = plus(c.Units.Difference, s.Cost.Units.Difference)
	}
	if !c.Difference.IsKnown() && c.Then.IsKnown() {
		c.Difference = difference(c.Now, c.Then)
	}
	return c
}

// Raise is what the plan adds to the cost a month as far as that can be told, to be held
// against a limit: the difference, or, where that is not known, what the steps are known
// to add, with what a step's dynos will cost in its place where only what they cost now
// has no price. Mostly that is Eco dynos, of which all that an account has cost $5 together. What lowers the cost then takes nothing off, and what has no price counts as 0.
func (p Plan) Raise() fleet.Money {
	if more, known := p.Cost.Difference.Get(); known {
		return more
	}
	var sum fleet.Money
	for _, s := range p.Steps {
		more, known := s.Cost.Difference.Get()
		if !known {
			more = s.Cost.Then.Or(0)
		}
		sum += max(more, 0)
	}
	return sum
}

// TooDear says in a sentence that the plan raises the cost beyond the limit; empty: it
// does not, as far as can be told.
func (p Plan) TooDear(limit fleet.Money) string {
	more, about := p.Raise(), ""
	if more <= limit {
		return ""
	}
	if !p.Cost.Difference.IsKnown() {
		about = fmt.Sprintf(", as far as prices are known (%s)", p.Cost.Difference.Why().Text)
	}
	return fmt.Sprintf("This would cost %s a month more%s, and `limits.monthly_increase` in the policy allows %s. Chat can't lift that.", more, about, limit)
}

// difference is what it costs more. Where only what it costs now is not known, as of
// Eco dynos, the reason says what it will be.
func difference(now, then fleet.Value[fleet.Money]) fleet.Value[fleet.Money] {
	will, known := then.Get()
	if why := now.Why(); known && !now.IsKnown() {
		return fleet.Unknown[fleet.Money](fleet.Reason{Kind: why.Kind, Text: fmt.Sprintf("it will cost %s a month; %s", will, why.Text)})
	}
	return minus(then, now)
}

type number interface{ ~int64 | ~float64 }

// sum adds up what processes take; those at quantity 0 take nothing, whatever their size.
func sum[T number](processes []Process, one func(size string) fleet.Value[T]) fleet.Value[T] {
	var total T
	for _, p := range processes {
		if p.Quantity == 0 {
			continue
		}
		price := one(p.Size)
		v, known := price.Get()
		if !known {
			return price
		}
		total += v * T(p.Quantity)
	}
	return fleet.Known(total)
}

func plus[T number](a, b fleet.Value[T]) fleet.Value[T] {
	x, known := a.Get()
	if !known {
		return a
	}
	y, known := b.Get()
	if !known {
		return b
	}
	return fleet.Known(x + y)
}

func minus[T number](a, b fleet.Value[T]) fleet.Value[T] {
	y, known := b.Get()
	if !known {
		return b
	}
	return plus(a, fleet.Known(-y))
}
