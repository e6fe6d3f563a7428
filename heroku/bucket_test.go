package heroku

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/fleet"
)

func TestBucketStartsFullAndRefills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		for range 100 {
			if p := b.take(t.Context(), 1); p != nil {
				t.Fatal(p)
			}
			b.answered(time.Now(), -1, b.sending())
		}
		if got, want := b.left(time.Now()), 4400; got != want {
			t.Errorf("after 100 calls: got %d, want %d", got, want)
		}
		time.Sleep(time.Minute)
		if got, want := b.left(time.Now()), 4475; got != want {
			t.Errorf("a minute later: got %d, want %d", got, want)
		}
		time.Sleep(time.Hour)
		if got, want := b.left(time.Now()), 4500; got != want {
			t.Errorf("an hour later: got %d, want %d", got, want)
		}
	})
}

func TestBucketLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		for range 3 {
			if p := b.take(t.Context(), 1); p != nil {
				t.Fatal(p)
			}
		}
		b.answered(time.Now(), 1000, b.sending()) // someone else uses the account too; two calls of ours may not be counted yet
		if got, want := b.left(time.Now()), 998; got != want {
			t.Errorf("two calls still under way: got %d, want %d", got, want)
		}
		b.answered(time.Now(), -1, b.sending()) // no header
		b.answered(time.Now(), 997, b.sending())
		if got, want := b.left(time.Now()), 997; got != want {
			t.Errorf("all answered: got %d, want %d", got, want)
		}
		b.told(time.Now(), 4000)
		if got, want := b.left(time.Now()), 4000; got != want {
			t.Errorf("told by the free call: got %d, want %d", got, want)
		}
	})
}

func TestBucketRanks(t *testing.T) {
	tests := map[string]struct {
		left       int
		background bool
		change     bool
		deadline   time.Duration // 0: none
		waits      time.Duration
		refused    bool
	}{
		"plenty, person":                   {left: 4000},
		"plenty, background":               {left: 4000, background: true},
		"person dips into the reserve":     {left: 400},
		"person leaves half of it":         {left: 250, deadline: time.Second, waits: 800 * time.Millisecond},
		"change dips deeper":               {left: 240, change: true},
		"background leaves the reserve":    {left: 500, background: true, deadline: time.Minute, waits: 800 * time.Millisecond},
		"background waits for its reserve": {left: 425, background: true, deadline: 2 * time.Minute, waits: time.Minute + 800*time.Millisecond},
		"background without a deadline":    {left: 0, background: true, waits: 501 * 800 * time.Millisecond},
		"background cannot wait so long":   {left: 425, background: true, deadline: 30 * time.Second, refused: true},
		"person below the floor, no time":  {left: 230, deadline: 5 * time.Second, refused: true},
		"person below the floor, has time": {left: 230, deadline: 20 * time.Second, waits: 21 * 800 * time.Millisecond},
		"change at the floor waits":        {left: 20, change: true, deadline: time.Second, waits: 800 * time.Millisecond},
		"change below the floor, no time":  {left: 0, change: true, deadline: 5 * time.Second, refused: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket(time.Now(), defaultReserve)
				b.told(time.Now(), tt.left)
				ctx := t.Context()
				switch {
				case tt.background:
					ctx = Background(ctx)
				case tt.change:
					ctx = Urgent(ctx)
				}
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				began := time.Now()
				p := b.take(ctx, 1)
				if got := time.Since(began).Round(time.Millisecond); got != tt.waits {
					t.Errorf("waited: got %v, want %v", got, tt.waits)
				}
				switch {
				case (p != nil) != tt.refused:
					t.Errorf("got %v, want refused %v", p, tt.refused)
				case p != nil && (p.Kind != fleet.RateLimited || p.RetryAfter < time.Second || !errors.Is(p, errKeptBack)):
					t.Errorf("got %+v, want rate-limited with a time to come back", p)
				}
			})
		})
	}
}

// A wait ends when Heroku tells that there is more than was thought.
func TestBucketWaitEndsWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), 100)
		done := make(chan time.Duration)
		go func() {
			began := time.Now()
			if p := b.take(Background(t.Context()), 1); p != nil {
				t.Error(p)
			}
			done <- time.Since(began)
		}()
		time.Sleep(10 * time.Second)
		b.told(time.Now(), 4400)
		if got := <-done; got != 10*time.Second {
			t.Errorf("got %v, want 10s", got)
		}
	})
}

func TestBucketWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), 0)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		p := b.take(ctx, 1)
		if p == nil || !errors.Is(p, context.Canceled) {
			t.Errorf("got %v, want cancelled", p)
		}
	})
}

func TestBucketAfter429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.refused(time.Now(), 0, false)
		if got, want := b.waiting(t.Context()), time.Second; got != want {
			t.Errorf("a person, nothing told: got %v, want %v (800 ms, rounded up)", got, want)
		}
		if got := b.waiting(Background(t.Context())); got < 3*time.Minute {
			t.Errorf("background: got %v, want what fills its reserve from half", got)
		}
		b.told(time.Now(), 4000)
		b.refused(time.Now(), 30*time.Second, true)
		if got, want := b.waiting(t.Context()), 30*time.Second; got != want {
			t.Errorf("Retry-After: got %v, want %v", got, want)
		}
		time.Sleep(30 * time.Second)
		if got := b.waiting(t.Context()); got != 0 {
			t.Errorf("after it: got %v, want none", got)
		}
	})
}

// However many wait at once, none is let through below its floor.
func TestBucketCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), defaultReserve)
		began := time.Now()
		done := make(chan struct{})
		for range 75 {
			go func() {
				if p := b.take(Background(t.Context()), 1); p != nil {
					t.Error(p)
				}
				done <- struct{}{}
			}()
		}
		for range 75 {
			<-done
			if left := b.left(time.Now()); left < defaultReserve-1 {
				t.Fatalf("got %d left, want the reserve of %d kept", left, defaultReserve)
			}
		}
		if got := time.Since(began); got < time.Minute {
			t.Errorf("75 calls took %v, want the minute that refills 75", got)
		}
	})
}

// What was taken and not spent is there again, and ends the wait of who waits for it.
func TestBucketGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), defaultReserve+3)
		ctx := Background(t.Context())
		own := new(tally)
		done, err := own.prepay(ctx, b, 3)
		if err != nil {
			t.Fatal(err)
		}
		if !own.pay() {
			t.Error("got nothing to spend, want 3")
		}
		waited := make(chan time.Duration)
		go func() {
			began := time.Now()
			if p := b.take(ctx, 2); p != nil {
				t.Error(p)
			}
			waited <- time.Since(began)
		}()
		time.Sleep(100 * time.Millisecond)
		done()
		if got, want := <-waited, 100*time.Millisecond; got != want {
			t.Errorf("waited %v, want %v", got, want)
		}
		if own.pay() {
			t.Error("got more to spend after all was given back")
		}
	})
}

// Answers that overtake one another must not make the level higher than it is: each
// tells how many were left when its own call was counted.
func TestBucketAnswersOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), 1000)
		sent := make([]int, 3)
		for i := range sent {
			if p := b.take(t.Context(), 1); p != nil {
				t.Fatal(p)
			}
			sent[i] = b.sending()
		}
		for i, tt := range []struct{ told, want int }{ // Heroku counted them in the order 3, 2, 1; the last comes first
			{997, 995}, // two may be uncounted
			{998, 996}, // of which one is answered now: at least so many, and no more than we know of
			{999, 997},
		} {
			b.answered(time.Now(), tt.told, sent[i])
			if got := b.left(time.Now()); got != tt.want {
				t.Errorf("after %d answers: got %d left, want %d", i+1, got, tt.want)
			}
		}
	})
}

// Who can't have all tokens for an app in time is told so at once, and those behind it
// are not held up.
func TestBucketQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(time.Now(), defaultReserve)
		b.told(time.Now(), defaultReserve)
		type end struct {
			who     string
			after   time.Duration
			refused bool
		}
		ends := make(chan end, 4)
		began := time.Now()
		start := func(who string, deadline time.Duration, tokens int) {
			ctx, cancel := context.WithTimeout(Background(t.Context()), deadline)
			go func() {
				defer cancel()
				p := b.take(ctx, tokens)
				ends <- end{who, time.Since(began), p != nil && p.Kind == fleet.RateLimited}
			}()
			time.Sleep(time.Millisecond) // one after the other
		}
		start("first", time.Minute, 2)
		start("second", time.Minute, 1)
		start("no time for so many", 4*time.Second, 10)
		start("no time behind the others", 2*time.Second, 1)
		for _, want := range []end{
			{"no time for so many", 0, true},
			{"first", 1600 * time.Millisecond, false},
			{"no time behind the others", 2 * time.Second, true},
			{"second", 2400 * time.Millisecond, false},
		} {
			got := <-ends
			got.after = got.after.Truncate(100 * time.Millisecond)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	})
}
