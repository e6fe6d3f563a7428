package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// Money is US cents a month.
type Money int64

// String prints dollars and cents, such as $25.00 or -$7.00.
func (m Money) String() string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	whole, group := fmt.Sprint(int64(m)/100), ""
	for len(whole) > 3 {
		whole, group = whole[:len(whole)-3], ","+whole[len(whole)-3:]+group
	}
	return fmt.Sprintf("%s$%s%s.%02d", sign, whole, group, int64(m)%100)
}

// Tier is a family of dyno sizes that follow the same rules.
type Tier string

// The tiers (Dev Center, "Dyno Types"; Fir: "Heroku Generations").
const (
	Eco         Tier = "eco"
	Basic       Tier = "basic"
	Standard    Tier = "standard"
	Performance Tier = "performance"
	Private     Tier = "private"
	Shield      Tier = "shield"
	FirDyno     Tier = "fir"
	OtherTier   Tier = "other" // a size this program has never heard of: judge nothing by it
)

// Size is a dyno size.
type Size struct {
	Name  string         // lower case, as people type it: standard-1x
	Tier  Tier           //
	Price Value[Money]   // list price of one dyno a month; Eco is flat per account and so not priced per dyno
	Units Value[float64] // dyno units a month, what Enterprise teams pay in
}

// SizeNamed is the size of that name with nothing known of its price.
func SizeNamed(name string) Size {
	name = strings.ToLower(strings.TrimSpace(name))
	s := Size{
		Name:  name,
		Tier:  OtherTier,
		Price: Unknown[Money](Reason{Kind: NotPriced, Text: "Heroku gives no price for " + name + " dynos"}),
		Units: Unknown[float64](Reason{Kind: NotPriced, Text: "Heroku gives no dyno units for " + name + " dynos"}),
	}
	for _, t := range []Tier{Standard, Performance, Private, Shield} {
		if strings.HasPrefix(name, string(t)+"-") {
			s.Tier = t
		}
	}
	switch {
	case name == "eco" || name == "basic":
		s.Tier = Tier(name)
	case name == "hobby": // Basic's name until 2022, still seen in old records
		s.Tier = Basic
	case strings.HasPrefix(name, "dyno-"):
		s.Tier = FirDyno
	}
	return s
}

// SupportsPreboot says whether apps on this size can preboot: Standard and
// Performance on the Common Runtime (Dev Center, "Preboot").
func (s Size) SupportsPreboot() bool { return s.Tier == Standard || s.Tier == Performance }

// OnePerType says whether Heroku allows no more than one dyno of a process type at
// this size (Dev Center, "Eco Dynos" and "Basic Dynos").
func (s Size) OnePerType() bool { return s.Tier == Eco || s.Tier == Basic }

// MayAutoscale says whether Heroku's own autoscaling exists for this size:
// Performance, Private and Shield, not Fir (Dev Center, "Scaling Your Dyno Formation").
func (s Size) MayAutoscale() bool {
	return s.Tier == Performance || s.Tier == Private || s.Tier == Shield
}

// Catalog is what Heroku offers. The zero Catalog knows no price.
type Catalog []Size

// Find returns the size of that name; with no known price when it is not in c.
func (c Catalog) Find(name string) Size {
	want := SizeNamed(name)
	if i := slices.IndexFunc(c, func(s Size) bool { return s.Name == want.Name }); i >= 0 {
		return c[i]
	}
	return want
}

// shielded maps the Private name under which the API prints a Shield app's size to
// the Shield size that it is and that is paid for.
func (c Catalog) shielded(s Size) Size {
	if rest, ok := strings.CutPrefix(s.Name, "private-"); ok {
		return c.Find("shield-" + rest)
	}
	return s
}
