package watch

import "math"

// upper is the largest share of failures that n requests of which k failed leave possible
// with 95 % confidence: of none that failed 1 - 0.05^(1/n), else the upper end of Clopper
// and Pearson's exact interval, one-sided. 1 where nothing can be said.
func upper(k, n int) float64 {
	switch {
	case n <= 0 || k >= n:
		return 1
	case k <= 0:
		return 1 - math.Pow(0.05, 1/float64(n))
	}
	low, high := float64(k)/float64(n), 1.0
	for range 60 { // halved sixty times, the interval is below what a float64 tells apart
		if mid := (low + high) / 2; atMost(k, n, mid) > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// atMost is the probability that of n requests at most k fail, where each does so with
// probability p. It adds up from the largest term, k itself, since k lies below n*p here.
func atMost(k, n int, p float64) float64 {
	sum := 0.0
	for i := k; i >= 0; i-- {
		term := math.Exp(choose(n, i) + float64(i)*math.Log(p) + float64(n-i)*math.Log1p(-p))
		if sum += term; term < sum*1e-12 {
			break
		}
	}
	return sum
}

// moreThanChance says whether k of n is a larger share than k0 of n0, by Fisher's exact
// test: were both of one kind, so many or more of the failures would fall upon the n in less
// than 5 % of cases.
func moreThanChance(k, n, k0, n0 int) bool {
	if k <= 0 || n <= 0 {
		return false
	}
	if k0 <= 0 || n0 <= 0 { // nothing failed before, as far as is known: any failure is more
		return true
	}
	p, all := 0.0, choose(n+n0, k+k0)
	for i := k; i <= min(n, k+k0); i++ {
		if j := k + k0 - i; j <= n0 {
			p += math.Exp(choose(n, i) + choose(n0, j) - all)
		}
	}
	return p < 0.05
}

// choose is the logarithm of n over k.
func choose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}
