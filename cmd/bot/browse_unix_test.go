//go:build unix

package main

import "testing"

func TestOpener(t *testing.T) {
	for name, tt := range map[string]struct {
		system string
		env    map[string]string
		want   string
	}{
		"a desktop":              {"linux", map[string]string{"DISPLAY": ":0"}, "xdg-open"},
		"a desktop with Wayland": {"linux", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, "xdg-open"},
		"a server":               {"linux", nil, ""},
		"over ssh -X":            {"linux", map[string]string{"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}, ""},
		"a Mac":                  {"darwin", nil, "open"},
		"a Mac over ssh":         {"darwin", map[string]string{"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}, ""},
	} {
		if got := opener(tt.system, func(key string) string { return tt.env[key] }); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
