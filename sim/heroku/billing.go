package heroku

import (
	"fmt"
	"strings"
)

// listCents is Heroku's price list, in US cents a month for one dyno (Dev
// Center "Dyno Types"; the CLI's table for Private, Shield and Fir). It is
// kept apart from the sizes that the API lists: the API tells no price for
// spaces, and a fleet may hide or change the others.
func listCents(size string) (int, bool) {
	dollars, ok := map[string]int{
		"basic": 7, "standard-1x": 25, "standard-2x": 50,
		"performance-m": 250, "performance-l": 500, "performance-l-ram": 500, "performance-xl": 750, "performance-2xl": 1500,
		"private-s": 225, "private-m": 450, "private-l": 900, "private-l-ram": 500, "private-xl": 750, "private-2xl": 1500,
		"shield-s": 270, "shield-m": 540, "shield-l": 1080, "shield-l-ram": 600, "shield-xl": 900, "shield-2xl": 1800,
		"dyno-1c-0.5gb": 25, "dyno-2c-1gb": 50, "dyno-1c-4gb": 80, "dyno-2c-8gb": 160, "dyno-4c-16gb": 320, "dyno-8c-32gb": 640,
		"eco": 0, // $5 flat for the account, see ecoCents
	}[strings.ToLower(size)]
	return dollars * 100, ok
}

// ecoCents is what an account pays a month once any app of it runs an Eco dyno.
const ecoCents = 500

// BilledMonthly is the billing truth about one app: the cents a month that its
// formation costs if it runs all month, at list price or at the price that the
// fleet states. It does not look at what GET /dyno-sizes tells. Eco dynos count
// nothing here: their $5 is the account's, see [Server.BilledAccount].
func (s *Server) BilledMonthly(name string) (cents int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, err := s.world.appNamed(name)
	if err != nil {
		return 0, err
	}
	a.settle(s.world.clock())
	return s.world.billed(a)
}

// BilledAccount is the cents a month of all apps, with the flat fee for Eco.
func (s *Server) BilledAccount() (cents int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	eco := false
	for _, a := range s.world.apps {
		a.settle(s.world.clock())
		c, err := s.world.billed(a)
		if err != nil {
			return 0, err
		}
		cents += c
		for _, p := range a.procs {
			eco = eco || p.quantity > 0 && p.size.tier == tierEco
		}
	}
	if eco {
		cents += ecoCents
	}
	return cents, nil
}

func (w *world) billed(a *app) (cents int, err error) {
	for _, p := range a.procs {
		name := p.size.name
		if a.space != nil && a.space.shield {
			name = strings.Replace(name, "Private-", "Shield-", 1)
		}
		each, ok := listCents(name)
		if price, stated := w.prices[strings.ToLower(p.size.name)]; stated && price.known {
			each, ok = price.cents, true
		}
		if !ok {
			return 0, fmt.Errorf("no list price for %s", name)
		}
		cents += each * p.quantity
	}
	return cents, nil
}
