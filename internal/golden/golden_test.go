package golden

import "testing"

func TestDiffer(t *testing.T) {
	for name, tt := range map[string]struct {
		got, want string
		line      int
		a, b      string
	}{
		"the same":   {"a\nb\n", "a\nb\n", 0, "", ""},
		"a line":     {"a\nx\nc", "a\nb\nc", 2, "x", "b"},
		"one more":   {"a\nb\n", "a\n", 2, "b", ""},
		"one less":   {"a", "a\nb", 2, "(the end)", "b"},
		"no newline": {"a", "a\n", 2, "(the end)", ""},
		"nothing":    {"", "a", 1, "", "a"},
	} {
		if line, a, b := differ(tt.got, tt.want); line != tt.line || a != tt.a || b != tt.b {
			t.Errorf("%s: got line %d, %q and %q; want %d, %q and %q", name, line, a, b, tt.line, tt.a, tt.b)
		}
	}
}
