package plan

import (
	"testing"

	"example.com/zdd/fleet"
)

// TestUnreadOf: why something could not be read is said once for all that have it in common,
// and may hold brackets of its own.
func TestUnreadOf(t *testing.T) {
	slow := fleet.Reason{Kind: fleet.Unavailable, Text: "Heroku did not answer (timed out)"}
	barred := fleet.Reason{Kind: fleet.Forbidden, Text: "this token may not read it"}
	for want, parts := range map[string][]unreadPart{
		"Of `search` I could not read the features: Heroku did not answer (timed out)":                                                        {{"the features", slow}},
		"Of `search` I could not read the features and the add-ons: Heroku did not answer (timed out)":                                        {{"the features", slow}, {"the add-ons", slow}},
		"Of `search` I could not read the features and its dynos: Heroku did not answer (timed out); the add-ons: this token may not read it": {{"the features", slow}, {"the add-ons", barred}, {"its dynos", slow}},
	} {
		if got := unreadOf("search", parts...); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
