package commands

import (
	"fmt"
	"regexp"
	"strings"

	"example.com/zdd/audit"
)

// chainAlarm says at a digest's top that the record of who did what does not hold, or could
// not be looked through. In the message about the whole fleet only: whoever owns a few apps
// can do nothing about it.
func (m digestMessage) chainAlarm() []Item {
	c := m.Chain
	if c == nil || m.view.Channel != "" {
		return nil
	}
	var text Text
	switch c.State {
	case audit.ChainBroken:
		text = Line(Bold("The ledger of who did what is broken"), ": ", Prose(proseSafe(strings.TrimSuffix(c.Why, "."))+"."))
		if c.Breaks > 1 {
			text = append(text, Line(fmt.Sprintf(" It does not hold in %d places.", c.Breaks))...)
		}
		text = append(text, Line(" Somebody has written to my database, or an older one was put in its place.")...)
		if c.Doubt > 0 {
			text = append(text, Line(" Tickets and waivers that were asked for up to entry ", Code(fmt.Sprintf("#%d", c.Doubt)),
				" count no more, because it can't be told whether they have ended: ask for those that are still needed anew.")...)
		}
		text = append(text, Line(" Next: find out who can write there, run ", Code(verifyLine(c)), ", and compare with an export or a backup from before. docs/security.md, “When the ledger is broken”, goes through it.")...)
	case audit.ChainUnread:
		text = Line(Bold("I could not verify the ledger of who did what."), " ", Prose(proseSafe(c.Why)), " I try again tomorrow; ", Code("bot ledger verify"), " does it now.")
	default:
		return nil
	}
	return []Item{{Mark: MarkHazard, Text: text}}
}

// chainInShort is the same for a notification.
func (m digestMessage) chainInShort() string {
	if m.Chain != nil && m.Chain.State == audit.ChainBroken && m.view.Channel == "" {
		return "the ledger is broken; "
	}
	return ""
}

// chainNote is what the ledger was not held against, for the small print. That it was held
// against everything is not said: it is so each night.
func (m digestMessage) chainNote() Text {
	if m.Chain == nil || m.Chain.State != audit.ChainUnproven || m.view.Channel != "" {
		return nil
	}
	return Line(" It holds as far as I could see: ", Prose(m.Chain.Why))
}

// toldHead is what footer says of the ledger, as it is in a message of Slack's.
const toldHead = "ledger `(#[0-9]+ [0-9a-f]{12,64})`, which `bot ledger verify --head` checks"

// HeadTold finds the head of the ledger in the small print of a digest, as Slack has it; the
// last one, because the small print comes last.
func HeadTold(text string) (head string, found bool) {
	all := regexp.MustCompile(toldHead).FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return "", false
	}
	return all[len(all)-1][1], true
}

// verifyLine is what to run to see the same.
func verifyLine(c *audit.Chain) string {
	if c.Against == "" {
		return "bot ledger verify"
	}
	return "bot ledger verify --head '" + c.Against + "'"
}
