package commands

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/fleet"
	"example.com/zdd/watch"
)

// proofs tells the last verdict on the deploys of apps, of those that have any: what was
// proved, beside what is configured. watch.Store does.
type proofs interface {
	Proofs(ctx context.Context, apps []fleet.ID) (map[fleet.ID]watch.Proof, error)
}

// proofsWithin is how long an answer waits for what is only an addition to it.
const proofsWithin = time.Second

// proofOf is the last verdict on one app; told is false where it can't be told.
func proofOf(ctx context.Context, from proofs, app fleet.ID) (p watch.Proof, told bool) {
	if from == nil {
		return watch.Proof{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, proofsWithin)
	defer cancel()
	all, err := from.Proofs(ctx, []fleet.ID{app})
	if err != nil {
		return watch.Proof{}, false
	}
	return all[app], true
}

// proofText is what was proved of an app whose latest release is running; 0: that is not
// known. The zero Proof is that of an app that was never watched.
func proofText(p watch.Proof, running int, now time.Time) string {
	old := func(v int) string {
		if running > v {
			return fmt.Sprintf("; v%d runs now", running)
		}
		return ""
	}
	before := ""
	if p.Proved != nil {
		before = fmt.Sprintf("; v%d was proved %s", p.Proved.Release, ago(now.Sub(p.Proved.At)))
	}
	switch {
	case p.Watch == "":
		return "never watched"
	case p.Verdict == watch.Proved && running > p.Release:
		return fmt.Sprintf("v%d was proved %s (%s)%s", p.Release, ago(now.Sub(p.At)), proofCounts(p), old(p.Release))
	case p.Verdict == watch.Proved:
		return fmt.Sprintf("v%d, %s (%s)", p.Release, ago(now.Sub(p.At)), proofCounts(p))
	case p.Verdict == watch.Failed:
		return fmt.Sprintf("no: v%d failed %s (%s)%s%s", p.Release, ago(now.Sub(p.At)), proofCounts(p), old(p.Release), before)
	case p.Release == 0:
		return fmt.Sprintf("not yet: the last watch, %s, saw no release%s", ago(now.Sub(p.At)), before)
	}
	return fmt.Sprintf("not yet: the watch of v%d, %s, was inconclusive%s", p.Release, ago(now.Sub(p.At)), before)
}

func proofCounts(p watch.Proof) string {
	if p.Failed > 0 {
		return fmt.Sprintf("%s of %s requests failed", grouped(p.Failed), grouped(p.Sent))
	}
	return fmt.Sprintf("%s request%s, none failed", grouped(p.Sent), plural(p.Sent))
}

// provedFact is what watched deploys have shown of an app that was just read; nil: that is
// not told here, or can't be read now, or there is nothing to watch.
func provedFact(ctx context.Context, from proofs, r audit.Report, req Request) Text {
	p, told := proofOf(ctx, from, r.App.ID)
	switch {
	case !told, p.Watch == "" && r.Verdict == audit.VerdictNotApplicable:
		return nil
	case p.Watch == "":
		return Line("never watched: ", Code(spoken(req.Via, "watch "+r.App.Name)), ", said before a deploy, does that")
	}
	return Line(proofText(p, r.App.Release.Or(fleet.Release{}).Version, req.Now), " · ", Code("show "+p.Watch))
}

// Proving is what watched deploys have shown of some apps, beside how they are configured.
type Proving struct {
	Of    map[fleet.ID]watch.Proof // the last verdict on each that has any
	Ready []fleet.ID               // those that are ready by their settings
}

// standings are how the apps stand after the last scan; store does.
type standings interface {
	Standings(ctx context.Context) iter.Seq2[audit.Standing, error]
}

// ReadProving is what a channel is told of, by the policy's `apps`; empty: of the whole fleet.
func ReadProving(ctx context.Context, apps standings, from proofs, channel string) (*Proving, error) {
	p := &Proving{}
	var err error
	if p.Of, err = from.Proofs(ctx, nil); err != nil {
		return nil, fmt.Errorf("read what was proved: %w", err)
	}
	if len(p.Of) == 0 {
		return p, nil // nothing is told then
	}
	for s, err := range apps.Standings(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read which apps are ready: %w", err)
		}
		if s.Gone.IsZero() && s.Verdict == audit.VerdictReady && (channel == "" || s.Channel == channel) {
			p.Ready = append(p.Ready, s.App)
		}
	}
	return p, nil
}

// any says whether any deploy was watched at all: who watches none is told nothing of it.
func (p *Proving) any() bool { return p != nil && len(p.Of) > 0 }

// count is "12 of 40 ready apps proved", and how many of them failed; empty: there is
// nothing to count.
func (p *Proving) count() string {
	if !p.any() || len(p.Ready) == 0 {
		return ""
	}
	proved, failed := 0, 0
	for _, app := range p.Ready {
		switch p.Of[app].Verdict {
		case watch.Proved:
			proved++
		case watch.Failed:
			failed++
		}
	}
	text := fmt.Sprintf("%s of %s ready app%s proved by the last watched deploy", grouped(proved), grouped(len(p.Ready)), plural(len(p.Ready)))
	if failed > 0 {
		text += fmt.Sprintf("; %s failed theirs", grouped(failed))
	}
	return text
}

func (p *Proving) fact() []Fact {
	if text := p.count(); text != "" {
		return []Fact{{"Proved", Line(text)}}
	}
	return nil
}

func (p *Proving) sentence() string {
	if text := p.count(); text != "" {
		return " " + strings.ToUpper(text[:1]) + text[1:] + "."
	}
	return ""
}

// proofWord is a proof in a cell.
func proofWord(p watch.Proof) string {
	switch {
	case p.Watch == "":
		return "never watched"
	case p.Verdict == watch.Proved:
		return fmt.Sprintf("v%d", p.Release)
	case p.Verdict == watch.Failed:
		return fmt.Sprintf("v%d failed", p.Release)
	}
	return "inconclusive"
}
