package commands_test

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/internal/golden"
)

// What the night found of the ledger, on a night that has nothing else to tell: an alarm
// makes it no quiet one, in the fleet's channel alone.
func TestDigestTellsOfTheLedger(t *testing.T) {
	const head = "#1245 ab12cd34ef56"
	broken := audit.Chain{
		State: audit.ChainBroken, Entries: 1300, Head: "#1233 0123456789ab", Against: "#1240 9f8e7d6c5b4a",
		Why: "#1234 is missing: #1235 comes after #1233.", Doubt: 1250, Breaks: 2,
	}
	cut := broken
	cut.Why, cut.Doubt, cut.Breaks, cut.Against = "#7 and all after it are missing: the ledger was cut off, its head was known as #12 <@U1>`x`.", 0, 1, ""
	for name, c := range map[string]struct {
		chain audit.Chain
		view  commands.View
		loud  bool
	}{
		"digest-ledger-broken":   {broken, commands.View{Head: head}, true},
		"digest-ledger-cut":      {cut, commands.View{Head: head}, true},
		"digest-ledger-unread":   {audit.Chain{State: audit.ChainUnread, Why: "It could not be read to its end; my log says why."}, commands.View{Head: head}, true},
		"digest-ledger-unproven": {audit.Chain{State: audit.ChainUnproven, Why: "up to #12 it is sealed with a key that I was not given (`ZDD_LEDGER_FORMER_KEYS`)."}, commands.View{Head: head}, false},
		"digest-ledger-whole":    {audit.Chain{State: audit.ChainWhole, Entries: 1245}, commands.View{Head: head}, false},
		"digest-ledger-channel":  {broken, commands.View{Head: head, Channel: "C0DATA", Home: "C0OPS"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := sunday(t, audit.Counts{Ready: 10})
			d.Chain = &c.chain
			got := told(t, d, c.view)
			golden.Check(t, "testdata/"+name+".golden", got)
			if loud := strings.Contains(got, "The ledger of who did what") || strings.Contains(got, "I could not verify the ledger"); loud != c.loud {
				t.Errorf("it is said at the top: %t, want %t", loud, c.loud)
			}
		})
	}
}

// The head that the small print tells is found again in what Slack keeps of it.
func TestHeadTold(t *testing.T) {
	d := sunday(t, audit.Counts{Ready: 10})
	parent, _ := commands.DigestView(d, commands.View{Head: "#1245 ab12cd34ef56"})
	posted := chat.Blocks(parent)[0]
	text, err := json.Marshal(posted.Blocks)
	if err != nil {
		t.Fatal(err)
	}
	if head, found := commands.HeadTold(string(text)); !found || head != "#1245 ab12cd34ef56" {
		t.Errorf("got %q, %t in\n%s", head, found, text)
	}
	for _, text := range []string{"", "ledger #12", "ledger `#12 ab12cd34ef56`", "ledger `#12 ab12`, which `bot ledger verify --head` checks", "head `#12 ab12cd34ef56`, which `bot ledger verify --head` checks"} {
		if head, found := commands.HeadTold(text); found {
			t.Errorf("%q: got %q, want none", text, head)
		}
	}
	two := "ledger `#1 aaaaaaaaaaaa`, which `bot ledger verify --head` checks. ledger `#2 bbbbbbbbbbbb`, which `bot ledger verify --head` checks."
	if head, _ := commands.HeadTold(two); head != "#2 bbbbbbbbbbbb" {
		t.Errorf("got %q, want the last one", head)
	}
}
