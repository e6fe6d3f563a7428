package main

import (
	"slices"
	"testing"

	"example.com/zdd/commands"
)

func TestCompletions(t *testing.T) {
	c := completions{lines: []string{"/zdd enable", "/zdd status", "apps", "as approver"}, apps: []string{"billing", "shop", "shop-staging"}, commands: commands.New(commands.Deps{}).Commands()}
	for typed, want := range map[string][]string{
		"a":                        {"apps", "as approver"},
		"/zdd st":                  {"/zdd status"},
		"/zdd status ":             {"/zdd status billing", "/zdd status shop", "/zdd status shop-staging"},
		"/zdd status sh":           {"/zdd status shop", "/zdd status shop-staging"},
		"/zdd status shop b":       nil, // it takes one
		"@zdd enable bil":          {"@zdd enable billing"},
		"/zdd enable shop b":       {"/zdd enable shop billing"},
		"/zdd enable shop sh":      {"/zdd enable shop shop-staging"}, // not the same again
		"/zdd enable shop size=st": nil,
		"/zdd history s":           {"/zdd history shop", "/zdd history shop-staging"},
		"/zdd approve s":           nil,
		"/zdd nonsense s":          nil,
		"enable s":                 nil,
		"":                         {"/zdd enable", "/zdd status", "apps", "as approver"},
	} {
		if got := c.fitting(typed); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", typed, got, want)
		}
	}
}
