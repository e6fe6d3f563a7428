package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"example.com/zdd/fleet"
)

// Together sums up the plans of several apps that are decided on as one, each of which
// is carried out by itself. It is no app's, so it has no App and no Steps: whoever
// carries something out, or explains it, takes the plans themselves. The cost is the
// sum; a part of it that one of the plans does not know is unknown, and says of which
// app. The hash changes when one of theirs does, or their order. ReadAt is the time of
// the oldest reading.
//
// No plans make a plan of nothing: it has a hash that no others have.
func Together(plans []Plan) Plan {
	sum := Plan{Outcome: Ready, Name: names(plans)}
	c := &sum.Cost
	c.Now, c.Then, c.Difference = fleet.Known(fleet.Money(0)), fleet.Known(fleet.Money(0)), fleet.Known(fleet.Money(0))
	c.Units.Now, c.Units.Then, c.Units.Difference = fleet.Known(0.0), fleet.Known(0.0), fleet.Known(0.0)
	h := sha256.New()
	fmt.Fprintf(h, "together 1 %d\n", len(plans))
	for i, p := range plans {
		fmt.Fprintf(h, "%q %q\n", p.App, p.Hash)
		c.Now, c.Then, c.Difference = plus(c.Now, of(p, p.Cost.Now)), plus(c.Then, of(p, p.Cost.Then)), plus(c.Difference, of(p, p.Cost.Difference))
		units := p.Cost.Units
		c.Units.Now, c.Units.Then = plus(c.Units.Now, of(p, units.Now)), plus(c.Units.Then, of(p, units.Then))
		c.Units.Difference = plus(c.Units.Difference, of(p, units.Difference))
		if i == 0 || p.ReadAt.Before(sum.ReadAt) {
			sum.ReadAt = p.ReadAt
		}
	}
	sum.Hash = hex.EncodeToString(h.Sum(nil))
	return sum
}

// of says of which app it is that something is not known.
func of[T number](p Plan, v fleet.Value[T]) fleet.Value[T] {
	if v.IsKnown() {
		return v
	}
	why := v.Why()
	return fleet.Unknown[T](fleet.Reason{Kind: why.Kind, Text: "of " + p.Name + ": " + why.Text})
}

// names is "shop and 2 more".
func names(plans []Plan) string {
	switch len(plans) {
	case 0:
		return "no app"
	case 1:
		return plans[0].Name
	}
	return fmt.Sprintf("%s and %d more", plans[0].Name, len(plans)-1)
}

// TooDearTogether says in a sentence that the plans together raise the cost beyond the
// limit; empty: they do not, as far as can be told. What one of them saves makes no room
// for another: each is carried out by itself, or not at all.
func TooDearTogether(plans []Plan, limit fleet.Money) string {
	var more fleet.Money
	about := ""
	for _, p := range plans {
		more += max(p.Raise(), 0)
		if why := of(p, p.Cost.Difference).Why(); about == "" && why.Text != "" {
			about = fmt.Sprintf(", as far as prices are known (%s)", why.Text)
		}
	}
	if more <= limit {
		return ""
	}
	return fmt.Sprintf("Together this would cost %s a month more%s, and `limits.monthly_increase` in the policy allows %s. Chat can't lift that; fewer apps at a time cost less.", more, about, limit)
}
