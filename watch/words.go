package watch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// count is a number with its noun: no requests, one request, 2,400 requests.
func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun + "s"
	case 1:
		return "one " + noun
	}
	return number(n) + " " + noun + "s"
}

// was is a count with what became of it; one is for a single one, where that differs.
func was(n int, noun, many string, one ...string) string {
	if n == 1 && len(one) > 0 {
		return count(n, noun) + " " + one[0]
	}
	return count(n, noun) + " " + many
}

// number writes thousands apart: 2,400.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// times is how often: once, twice, 5 times.
func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return number(n) + " times"
}

// share is a part of a whole, of requests.
func share(k, n int) string { return fmt.Sprintf("%s of %s", number(k), count(n, "request")) }

// InWords is a duration as a person says it: 412 ms, 8.2 s, 3 min 14 s, 1 h 2 min. All that
// tells of a watch says it so, so that one figure reads the same wherever it stands.
func InWords(d time.Duration) string {
	switch ms := Milliseconds(d); {
	case ms < 1000:
		return strconv.FormatInt(ms, 10) + " ms"
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Minute-time.Second/2:
		return strconv.FormatFloat(d.Round(time.Second).Seconds(), 'f', 0, 64) + " s"
	case d < time.Hour-time.Second/2:
		d = d.Round(time.Second)
		return parts(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	}
	d = d.Round(time.Minute)
	return parts(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
}

// Milliseconds is a duration in whole ones, rounded up: nothing is told to be shorter than
// it was.
func Milliseconds(d time.Duration) int64 {
	return int64(math.Ceil(float64(d) / float64(time.Millisecond)))
}

func parts(large int, of string, small int, in string) string {
	s := strconv.Itoa(large) + " " + of
	if small > 0 {
		s += " " + strconv.Itoa(small) + " " + in
	}
	return s
}

// trimmed is a sentence as part of another one.
func trimmed(s string) string { return strings.TrimRight(strings.TrimSpace(s), ".") }

func capital(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// listed are parts of a sentence: a, b and c.
func listed(all []string) string {
	if n := len(all); n > 1 {
		return strings.Join(all[:n-1], ", ") + " and " + all[n-1]
	}
	return strings.Join(all, "")
}
