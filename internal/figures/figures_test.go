package figures_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"example.com/zdd/internal/figures"
)

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, c := range []struct {
		name string
		all  []time.Duration
		part float64
		want time.Duration
	}{
		{"of none", nil, .5, 0},
		{"of one", []time.Duration{7}, .99, 7},
		{"the median of two is the lesser", []time.Duration{9, 3}, .5, 3},
		{"p50 of a hundred", hundred, .5, 50},
		{"p99 of a hundred", hundred, .99, 99},
		{"the whole", hundred, 1, 100},
		{"a very small part", hundred, .0001, 1},
	} {
		if got := figures.Quantile(c.all, c.part); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Microsecond:  "1.23 ms",
		12340 * time.Microsecond: "12.3 ms",
		1234 * time.Millisecond:  "1234 ms",
		0:                        "0.00 ms",
	} {
		if got := figures.Millis(d); got != want {
			t.Errorf("%d: got %q, want %q", d, got, want)
		}
	}
}

// A section is rewritten and nothing else is; a new one comes to the end.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const page = "# Page\n<!-- figures: a -->\nold\n<!-- end of a -->\nbetween\n<!-- figures: b -->\nb's\n<!-- end of b -->\nlast\n"
	for _, c := range []struct{ name, section, want string }{
		{"replaced", "a", "# Page\n<!-- figures: a -->\nnew\n<!-- end of a -->\nbetween\n<!-- figures: b -->\nb's\n<!-- end of b -->\nlast\n"},
		{"added", "c", page + "\n<!-- figures: c -->\nnew\n<!-- end of c -->\n"},
	} {
		write(page)
		if err := figures.Write(file, c.section, "new\n"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
	write("<!-- figures: a -->\nwhat people wrote and must not lose\n")
	if err := figures.Write(file, "a", "new\n"); err == nil {
		t.Error("a section without an end: got no error, want one")
	}
}
