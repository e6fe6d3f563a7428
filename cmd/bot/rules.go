package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/commands"
	"example.com/zdd/jobs"
	"example.com/zdd/ledger"
	"example.com/zdd/policy"
)

// workAnnounce is the job that tells people of a policy that changed; its key is the
// number of the ledger's entry.
const workAnnounce = "announce"

// rulesEntry is what the ledger holds of a policy that was read.
type rulesEntry struct {
	Digest  string            `json:"digest"`
	Changes []ruleChange      `json:"changes,omitempty"` // since the one before
	InForce map[string]string `json:"in_force"`          // every key
}

// ruleChange is one key of the policy that changed.
type ruleChange struct {
	Key  string `json:"key"`
	From string `json:"from"`
	To   string `json:"to"`
}

// recordRules writes into the ledger which policy is in force from now on, if it is
// another one than before, and has people told where it moves who may do what: the
// policy is a file, and whoever can deploy the bot can change it.
func recordRules(ctx context.Context, state state, key ledger.Key, pol policy.Policy, now time.Time) error {
	last, found, err := state.LastEntry(ctx, ledger.PolicyLoaded)
	if err != nil {
		return err
	}
	var before rulesEntry
	if found {
		if err := json.Unmarshal(last.Detail, &before); err != nil {
			return fmt.Errorf("read the policy that was in force: %w", err)
		}
		if before.Digest == pol.Digest() {
			return nil
		}
	}
	after := rulesEntry{Digest: pol.Digest(), InForce: map[string]string{}}
	for _, line := range pol.Describe() {
		after.InForce[line.Key] = line.Value
	}
	if found {
		after.Changes = changedRules(before.InForce, after.InForce)
	}
	detail, err := json.Marshal(after)
	if err != nil {
		return err
	}
	return state.Tx(ctx, func(tx *sql.Tx) error {
		head, err := state.AppendLedger(ctx, tx, key, ledger.Entry{At: now, Actor: ledger.Bot, Verb: ledger.PolicyLoaded, Detail: detail})
		if err != nil || !slices.ContainsFunc(after.Changes, tellsPeople) {
			return err
		}
		return state.EnqueueJob(ctx, tx, jobs.Spec{Kind: workAnnounce, Key: strconv.FormatInt(head.Seq, 10), At: now})
	})
}

func changedRules(before, after map[string]string) []ruleChange {
	all := maps.Clone(before)
	maps.Copy(all, after)
	var changes []ruleChange
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if before[key] != after[key] {
			changes = append(changes, ruleChange{key, before[key], after[key]})
		}
	}
	return changes
}

// tellsPeople says whether a change moves who may do what.
func tellsPeople(c ruleChange) bool {
	switch section, _, _ := strings.Cut(c.Key, "."); section {
	case "people", "approval", "limits":
		return true
	case "waivers":
		return c.From != "" // else the program before had none
	}
	return false
}

// announceRules is the handler of workAnnounce. It tells the approval channel of before as
// much as that of now: who moves the channel along with the rules must not do it unseen.
// After a crash it may tell twice, which is better than not at all.
func (e *engine) announceRules(ctx context.Context, j *jobs.Job, state state, pol policy.Policy) error {
	seq, err := strconv.ParseInt(j.Key, 10, 64)
	if err != nil {
		return j.GiveUp(err)
	}
	for entry, err := range state.Ledger(ctx, seq) {
		if err != nil {
			return err
		}
		var rules rulesEntry
		if err := json.Unmarshal(entry.Detail, &rules); err != nil {
			return j.GiveUp(err)
		}
		channels := []string{pol.Approval.Channel}
		for _, c := range rules.Changes {
			if c.Key == "approval.channel" {
				channels = append(channels, c.From)
			}
		}
		reply := rulesReply(entry, rules)
		if slices.ContainsFunc(rules.Changes, func(c ruleChange) bool { return strings.HasPrefix(c.Key, "waivers.") }) {
			held, err := e.waived.Outlasting(ctx)
			if err != nil {
				return err
			}
			if len(held) > 0 {
				reply.Parts = append(reply.Parts, commands.Note{Text: outlasting(held)})
			}
		}
		slices.Sort(channels)
		var failed error
		for _, channel := range slices.Compact(channels) {
			if channel == "" {
				continue // the doctor says that changes are told nowhere else
			}
			failed = errors.Join(failed, j.Step(ctx, func(ctx context.Context) error {
				return e.bot.Announce(ctx, channel, reply)
			}, nil))
		}
		if failed != nil && time.Since(entry.At) > announceFor {
			return j.GiveUp(failed)
		}
		return failed
	}
	return j.GiveUp(errors.New("the ledger has no such entry"))
}

// announceFor is how long a channel that can't be posted in is tried again.
const announceFor = time.Hour

func rulesReply(entry ledger.Entry, rules rulesEntry) commands.Reply {
	var items []commands.Item
	for _, c := range rules.Changes {
		if tellsPeople(c) {
			items = append(items, commands.Item{Text: commands.Line(commands.Code(c.Key), ": ", commands.Code(either(c.From)), " → ", commands.Code(either(c.To)))})
		}
	}
	return commands.Reply{
		Public:  true,
		Summary: "The policy changed: " + strconv.Itoa(len(items)) + " of the rules on who may do what",
		Parts: []commands.Part{
			commands.Heading{Text: "The policy changed"},
			commands.Para{Text: commands.Line("The bot was started with other rules on who may ask, who may approve, or how much. Tickets that were asked for under the old rules can't be approved any more.")},
			commands.List{Items: items},
			commands.Note{Text: commands.Line("Policy ", commands.Code(rules.Digest[:min(12, len(rules.Digest))]), ", in force since ", commands.At(entry.At), ". Ledger ", commands.Code(entry.Head().String()), ".")},
		},
	}
}

// outlasting says of waivers that hold that a stricter policy ends none of them.
func outlasting(held []policy.Waiver) commands.Text {
	const named = 10 // the others are in the list
	text := commands.Line("A waiver that holds goes on until its end. Under the new rules nobody could have ")
	for i, w := range held[:min(len(held), named)] {
		if i > 0 {
			text = append(text, commands.Line(", ")...)
		}
		text = append(text, commands.Line(commands.Code(w.ID))...)
	}
	if more := len(held) - named; more > 0 {
		text = append(text, commands.Line(fmt.Sprintf(" and %d more", more))...)
	}
	return append(text, commands.Line(" like that. ", commands.Code("/zdd waivers"), " lists what holds, and ", commands.Code("/zdd unwaive"), " ends it.")...)
}

func either(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}
