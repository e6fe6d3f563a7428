package watch

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestUpper(t *testing.T) {
	for _, tt := range []struct {
		k, n int
		want float64
	}{
		// No failures: 1 - 0.05^(1/n), the rule of three.
		{0, 0, 1}, {0, 1, 0.95}, {0, 100, 0.029513}, {0, 300, 0.009936}, {0, 2400, 0.0012475},
		// Clopper and Pearson: the 0.95 quantile of Beta(k+1, n-k).
		{1, 10, 0.394163}, {5, 100, 0.102253}, {37, 1440, 0.033665}, {10, 10, 1}, {9, 10, 0.994884},
	} {
		if got := upper(tt.k, tt.n); math.Abs(got-tt.want) > 5e-5 {
			t.Errorf("upper(%d, %d): got %.6f, want %.6f", tt.k, tt.n, got, tt.want)
		}
	}
}

// TestUpperCovers draws failures of a known share: the bound is below it in no more than
// 5 % of cases.
func TestUpperCovers(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, share := range []float64{0.002, 0.02, 0.3} {
		below := 0
		const draws, n = 2000, 400
		var bounds [n + 1]float64
		for k := range bounds {
			if float64(k) < n*share*2+20 { // more do not come up
				bounds[k] = upper(k, n)
			}
		}
		for range draws {
			k := 0
			for range n {
				if rng.Float64() < share {
					k++
				}
			}
			if bounds[k] < share {
				below++
			}
		}
		if below > draws*6/100 {
			t.Errorf("of a share of %v the bound is too low in %d of %d cases", share, below, draws)
		}
	}
}

func TestMoreThanChance(t *testing.T) {
	for _, tt := range []struct {
		k, n, k0, n0 int
		want         bool
	}{
		{0, 1440, 0, 240, false},
		{1, 1440, 0, 240, true},   // nothing failed before: one is more
		{1, 1440, 0, 0, true},     // nothing is known of before
		{29, 1440, 5, 240, false}, // two in a hundred, as before
		{8, 1440, 1, 400, false},
		{60, 1440, 2, 240, true},
		{37, 480, 4, 480, true},
		{100, 100, 100, 100, false},
		{20000, 72000, 3, 72000, true},
	} {
		if got := moreThanChance(tt.k, tt.n, tt.k0, tt.n0); got != tt.want {
			t.Errorf("%d of %d after %d of %d: got %v, want %v", tt.k, tt.n, tt.k0, tt.n0, got, tt.want)
		}
	}
}

func TestInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", time.Microsecond: "1 ms", 24*time.Millisecond + 1: "25 ms", 412 * time.Millisecond: "412 ms",
		999*time.Millisecond + 1: "1 s", 8240 * time.Millisecond: "8.2 s", 42 * time.Second: "42 s",
		59*time.Second + 700*time.Millisecond: "1 min", 194 * time.Second: "3 min 14 s", time.Hour: "1 h", 62 * time.Minute: "1 h 2 min",
	} {
		if got := InWords(d); got != want {
			t.Errorf("InWords(%v): got %q, want %q", d, got, want)
		}
	}
}
