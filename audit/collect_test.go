package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/zdd/fleet"
	"example.com/zdd/policy"
)

func TestCollect(t *testing.T) {
	w := hamlet(12)
	for _, h := range w.apps {
		switch h.name {
		case "app-00", "app-01":
			h.team = "data"
		case "app-02":
			h.stage = "staging"
		case "app-03":
			h.stage = "production"
		}
	}
	for name, tt := range map[string]struct {
		want     Want
		coverage string
	}{
		"all":              {Want{}, `12 seen, 11 in scope, 11 judged, out map[staging:1], unread map[], gaps []`},
		"a team":           {Want{Team: "Data"}, `2 seen, 2 in scope, 2 judged, out map[], unread map[], gaps []`},
		"a stage":          {Want{Stage: "production"}, `1 seen, 1 in scope, 1 judged, out map[], unread map[], gaps []`},
		"one out of scope": {Want{Stage: "staging"}, `1 seen, 1 in scope, 1 judged, out map[], unread map[], gaps []`},
		"in no pipeline":   {Want{Stage: "none", Team: "acme"}, `8 seen, 8 in scope, 8 judged, out map[], unread map[], gaps []`},
		"nobody's":         {Want{Team: "labs"}, `0 seen, 0 in scope, 0 judged, out map[], unread map[], gaps []`},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, w)
			c := &Collector{Heroku: d.heroku, Policy: policy.Default}
			var heard []int
			f, err := c.Collect(t.Context(), tt.want, func(done, of int) {
				if heard = append(heard, done); of != f0(tt.coverage) {
					t.Errorf("%d of %d", done, of)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			d.wantCoverage(f.Coverage, tt.coverage)
			for i, n := range heard {
				if i != n {
					t.Errorf("heard %v", heard)
					break
				}
			}
			if len(heard) != len(f.Standings)+1 || len(f.Standings) != f.Coverage.InScope || !slices.IsSortedFunc(f.Standings, byName) {
				t.Errorf("heard %d, %d standings", len(heard), len(f.Standings))
			}
			if f.Counts.NotReady != f.Coverage.Judged || f.Calls != 4+2*f.Coverage.Judged {
				t.Errorf("got %+v, %d calls", f.Counts, f.Calls)
			}
			for _, s := range f.Standings {
				if s.News.Kind != "" {
					t.Errorf("%s: news %+v", s.Name, s.News)
				}
			}
		})
	}
}

// Who does not wait to the end is told what was not read.
func TestCollectCut(t *testing.T) {
	for name, tt := range map[string]struct {
		cut  *fleet.Problem // nil: ctx ends
		word string
	}{
		"nobody waits any more": {nil, "out of time"},
		"the limit is used up":  {&fleet.Problem{Kind: fleet.RateLimited}, "API limit"},
		"the token is refused":  {&fleet.Problem{Kind: fleet.Unauthorized}, "token refused"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, hamlet(300))
			ctx, end := context.WithCancel(t.Context())
			defer end()
			var mu sync.Mutex
			reads := 0
			d.heroku.setting = func(time.Time, fleet.App) outcome {
				mu.Lock()
				defer mu.Unlock()
				if reads++; reads <= 20 {
					return outcome{}
				}
				if tt.cut == nil {
					end()
					return outcome{cut: &fleet.Problem{Kind: fleet.Unavailable, Err: ctx.Err()}}
				}
				return outcome{cut: tt.cut}
			}
			f, err := (&Collector{Heroku: d.heroku, Policy: policy.Default}).Collect(ctx, Want{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			c := f.Coverage
			if c.InScope != 300 || c.Judged != 20 || c.Unread[tt.word] != 280 || !c.Partial() || f.Counts.Unknown != 280 || len(f.Standings) != 300 {
				t.Errorf("got %+v, %+v, %d standings", c, f.Counts, len(f.Standings))
			}
		})
	}
}

func TestCollectNothing(t *testing.T) {
	d := newDesk(t, hamlet(1))
	d.heroku.lists = func(time.Time) error { return &fleet.Problem{Kind: fleet.Unauthorized} }
	_, err := (&Collector{Heroku: d.heroku, Policy: policy.Default}).Collect(t.Context(), Want{}, nil)
	if p, ok := errors.AsType[*fleet.Problem](err); !ok || p.Kind != fleet.Unauthorized {
		t.Errorf("got %v", err)
	}
}

// f0 is the count in scope of a coverage as wantCoverage writes it.
func f0(coverage string) (n int) {
	var seen int
	_, _ = fmt.Sscanf(coverage, "%d seen, %d in scope", &seen, &n)
	return n
}
