package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/ledger"
	"example.com/zdd/secret"
)

// chainWork goes through the ledger each night, and holds it against the newest head that a
// digest has told: in Slack, where whoever writes the database can't change it, and as the
// nights keep it.
type chainWork struct {
	state chainStore
	key   ledger.Key
	keys  []ledger.Key // that ever sealed, key among them
	// told finds the newest head that is told in Slack; see chat.Bot.ToldHead. Nil: digests are
	// told nowhere.
	told  func(ctx context.Context) (head string, at time.Time, found bool, err error)
	pause time.Duration // before Slack is asked again
	now   func() time.Time
	log   *slog.Logger
}

// chainStore is what it reads and writes; state is one.
type chainStore interface {
	VerifyLedger(ctx context.Context, keys []ledger.Key, known ...ledger.Head) (ledger.Report, error)
	LastEntry(ctx context.Context, verb string) (e ledger.Entry, found bool, err error)
	Nights(ctx context.Context, since time.Time, limit int) ([]audit.Night, error)
	AppendLedger(ctx context.Context, tx *sql.Tx, key ledger.Key, entries ...ledger.Entry) (ledger.Head, error)
}

const (
	// toldTries and toldPause are for how long Slack is asked what was told where it does not
	// answer: four minutes, so that the night's ten are left for the ledger itself.
	toldTries = 5
	toldPause = time.Minute
	// chainNights is how many nights are looked through for the last that saw the ledger whole.
	chainNights = 10
)

// Verify is audit.Chains'.
func (w chainWork) Verify(ctx context.Context) (audit.Chain, error) {
	last, at, found, err := w.damage(ctx)
	if err != nil {
		return audit.Chain{}, err
	}
	known, gap, err := w.known(ctx, at)
	if err != nil {
		return audit.Chain{}, err
	}
	report, err := w.state.VerifyLedger(ctx, w.keys, known...)
	if err != nil {
		return audit.Chain{}, err
	}
	c := audit.Chain{State: audit.ChainWhole, Entries: report.Entries, Head: report.Head.String(), Doubt: last.Doubt, Breaks: report.Breaks}
	if len(known) > 0 {
		c.Against = known[0].String()
	}
	switch verdict := report.Verdict(); {
	case report.Fault != nil:
		c.State, c.Why = audit.ChainBroken, report.Fault.Text
	case report.Breaks > 0:
		c.State, c.Why = audit.ChainBroken, fmt.Sprintf("#%d is sealed with a key that I was not given, and entries before it with one that I have.", report.Doubt)
	case verdict == ledger.CouldNotTell:
		c.State, c.Why = audit.ChainUnproven, fmt.Sprintf("up to #%d it is sealed with a key that I was not given (`ZDD_LEDGER_FORMER_KEYS`).", report.Doubt)
	case verdict == ledger.IntegrityOnly:
		c.State, c.Why = audit.ChainUnproven, fmt.Sprintf("%d of its first entries are sealed without a key.", report.Keyless)
	case gap != "":
		c.State, c.Why = audit.ChainUnproven, gap
	}
	if c.State != audit.ChainBroken {
		return c, nil
	}
	c.New = !found || report.Doubt > last.Doubt
	c.Doubt = max(last.Doubt, report.Doubt)
	w.log.ErrorContext(ctx, "the ledger is broken", "err", c.Why)
	return c, nil
}

// Record is audit.Chains'. What is made before such an entry counts no more; see approval.
func (w chainWork) Record(ctx context.Context, tx *sql.Tx, c audit.Chain) error {
	if !c.New {
		return nil
	}
	detail, err := json.Marshal(ledger.Damage{Doubt: c.Doubt, Why: c.Why})
	if err != nil {
		return err
	}
	_, err = w.state.AppendLedger(ctx, tx, w.key, ledger.Entry{At: w.now(), Actor: ledger.Bot, Verb: ledger.Damaged, Detail: detail})
	return err
}

// damage is what the newest night that found the ledger broken has written down, and when.
func (w chainWork) damage(ctx context.Context) (d ledger.Damage, at time.Time, found bool, err error) {
	e, found, err := w.state.LastEntry(ctx, ledger.Damaged)
	if err != nil || !found {
		return ledger.Damage{}, time.Time{}, false, err
	}
	if !w.key.Fits(e) || json.Unmarshal(e.Detail, &d) != nil {
		return ledger.Damage{Doubt: e.Seq}, time.Time{}, true, nil
	}
	return d, e.At, true, nil
}

// known are the heads to hold the ledger against: of what was told since it was last written
// down that it is broken, the newest in Slack first, and then the newest of the nights. gap
// says why nothing of Slack's is among them, though there should be.
func (w chainWork) known(ctx context.Context, since time.Time) (heads []ledger.Head, gap string, err error) {
	nights, err := w.state.Nights(ctx, time.Time{}, chainNights)
	if err != nil {
		return nil, "", err
	}
	add := func(text string, at time.Time) {
		if head, err := ledger.ParseHead(text); err == nil && at.After(since) { // an empty ledger's head is none
			heads = append(heads, head)
		}
	}
	text, at, seen, err := w.toldInSlack(ctx)
	switch {
	case errors.Is(err, chat.ErrHeadUnseen):
		gap = "I may not read my own messages in the channel of the digest, so that I can't see there whether its end is gone (`channels:history` or `groups:history`, and an invitation)."
	case err != nil && ctx.Err() != nil:
		return nil, "", context.Cause(ctx)
	case err != nil:
		w.log.WarnContext(ctx, "the ledger is not held against what was told in slack", "err", err)
		gap = "Slack did not tell me which head I told there last, so that I can't see whether its end is gone."
	case seen:
		add(text, at)
	}
	posted := false
	for _, n := range nights {
		posted = posted || !n.Posted.IsZero()
		if c := n.Chain; c != nil && (c.State == audit.ChainWhole || c.State == audit.ChainUnproven) {
			add(c.Head, c.At)
			break
		}
	}
	if w.told != nil && err == nil && !seen && posted {
		gap = "I did not find the head that I told last among the newest thousand messages of the digest's channel, so that I can't see there whether its end is gone."
	}
	return heads, gap, nil
}

// toldInSlack asks Slack, and again while it is away or wants fewer questions.
func (w chainWork) toldInSlack(ctx context.Context) (head string, at time.Time, found bool, err error) {
	if w.told == nil {
		return "", time.Time{}, false, nil
	}
	for try := 1; ; try++ {
		head, at, found, err = w.told(ctx)
		if err == nil || errors.Is(err, chat.ErrHeadUnseen) || try == toldTries {
			return head, at, found, err
		}
		pause := time.NewTimer(w.pause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return "", time.Time{}, false, context.Cause(ctx)
		case <-pause.C:
		}
	}
}

// ledgerKeys are the keys that the environment names: the one that seals first, then the
// former ones.
func (c config) ledgerKeys() (keys []ledger.Key) {
	for _, key := range append([]secret.Text{c.ledgerKey}, c.formerKeys...) {
		if !key.IsZero() {
			keys = append(keys, ledger.NewKey(key.Reveal()))
		}
	}
	return keys
}

// chains is what the nights verify the ledger with; nil without a key: then nothing is
// changed, and nothing could be proved.
func (n *nightWork) chains(timing audit.ScanTiming) audit.Chains {
	if n.cfg.ledgerKey.IsZero() {
		return nil
	}
	w := chainWork{state: n.state, key: ledger.NewKey(n.cfg.ledgerKey.Reveal()), keys: n.cfg.ledgerKeys(), pause: cmp.Or(min(timing.Retry, toldPause), toldPause), now: n.now, log: n.log}
	if home := n.pol.Nightly.Channel; home != "" {
		w.told = func(ctx context.Context) (string, time.Time, bool, error) { return n.told(ctx, home) }
	}
	return w
}
