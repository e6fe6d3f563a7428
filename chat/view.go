package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Slack's limits on a view ("Views").
const (
	maxViewBlocks = 100
	maxModals     = 3 // of one person, one on the other
)

// viewAnswer is the callback_id of a modal that shows an answer.
const viewAnswer = "zdd_answer"

// sight is a view whose button was pressed, and what opens another one from there. A press
// in a view has no channel and no response_url: its answer is shown in a modal.
type sight struct {
	id      string // view_id; empty: it was no view's button
	home    bool   // the Home tab; else a modal
	hash    string // of the view as it was pressed
	depth   int    // of a modal: how many there are, this one included
	trigger string // trigger_id
	label   string // of the button
}

// Screen is a modal in which an answer is shown. The zero Screen is none.
type Screen struct {
	ID string `json:"id,omitzero"` // view_id
	// External is the external_id of a modal that is opened only after the request was
	// accepted: with it any replica finds the modal.
	External string `json:"external,omitzero"`
	Depth    int    `json:"depth,omitzero"` // how many modals there are, this one included
	// Acked says that an acknowledgement changes it, which Slack may carry out a moment later.
	Acked bool `json:"acked,omitzero"`
	// Told says that whoever closes the modal wants the answer all the same, as a direct
	// message: something was changed.
	Told bool `json:"told,omitzero"`
}

func (s Screen) none() bool { return s.ID == "" && s.External == "" }

// modalState is what the private_metadata of every modal of ours keeps.
type modalState struct {
	Depth int `json:"depth,omitzero"` // see Screen
}

// depthOf is how many modals there are, by the private_metadata of the uppermost. Modals of
// an older version count as one.
func depthOf(metadata string) int {
	var s modalState
	_ = json.Unmarshal([]byte(metadata), &s) // unreadable: an older version's
	return min(max(s.Depth, 1), maxModals)
}

// above is the place of a modal that is opened from a view, or from a message.
func (s sight) above() Screen {
	if s.id == "" || s.home {
		return Screen{Depth: 1}
	}
	return Screen{Depth: s.depth + 1}
}

// openView opens a modal over what is before the person, within the life of the trigger, and
// says where it is. Over a modal it is pushed, so that closing it leads back; where there
// are as many as Slack allows it takes the place of the uppermost.
func (b *Bot) openView(ctx context.Context, s sight, at time.Time, view slack.ModalViewRequest) (Screen, error) {
	ctx, cancel := context.WithDeadline(ctx, at.Add(triggerLife))
	defer cancel()
	place := s.above()
	call := b.api.slack.OpenViewContext
	if place.Depth > 1 {
		call = b.api.slack.PushViewContext
	}
	if place.Depth > maxModals {
		place = Screen{ID: s.id, Depth: maxModals}
		return place, b.changeView(ctx, place, "", view)
	}
	tried := false
	err := b.api.retry(ctx, repeatable, func(ctx context.Context) error {
		res, err := call(ctx, s.trigger, view)
		if tried && slackCode(err) == "exchanged_trigger_id" {
			return nil // the first attempt did it, and its answer was lost
		}
		tried = true
		if err == nil && res != nil {
			place.ID = res.ID
		}
		return err
	})
	if place.ID == "" { // its answer was lost
		place.External = view.ExternalID
	}
	return place, err
}

// changeView puts another content into a modal. With a hash it does so only where the modal
// is as it was then; Slack answers hash_conflict otherwise, and not_found where it was
// closed.
func (b *Bot) changeView(ctx context.Context, s Screen, hash string, view slack.ModalViewRequest) error {
	external := s.External
	if s.ID != "" {
		external = ""
	}
	return b.api.retry(ctx, repeatable, func(ctx context.Context) error {
		_, err := b.api.slack.UpdateViewContext(ctx, view, external, hash, s.ID)
		return err
	})
}

// openingTakes is how long after a request a modal may still be about to open: then it is
// not closed yet, but not there.
const openingTakes = triggerLife + time.Second

// show shows an answer in its modal, and says whether nothing more is to be told. Whoever
// has closed it meanwhile wants no answer, unless something was changed.
func (b *Bot) show(ctx context.Context, a ask, reply commands.Reply) bool {
	if a.screen.Acked && !pause(ctx, ackTakes-time.Since(a.at)) {
		return false
	}
	for {
		view := answerView(reply, a.screen, a.line)
		err := b.changeView(ctx, a.screen, "", view)
		if refusedView(err) {
			err = b.changeView(ctx, a.screen, "", modal(a.screen, "zdd", sections(plainAtoms(reply.Summary)))) // the point without the form beats no answer
		}
		switch code := slackCode(err); {
		case err == nil:
			return true
		case code == "not_found" && time.Since(a.at) < openingTakes:
			if !pause(ctx, 300*time.Millisecond) {
				return false
			}
			continue
		case code == "not_found" && !a.screen.Told:
			return true
		case code != "not_found":
			b.log.Warn("an answer could not be shown in its modal", "ref", newRef(), "user", a.user, "step", "views.update", "err", b.api.redact(err))
			b.suspect(ctx, err)
		}
		return false
	}
}

// begin opens the modal of an answer to a press in a view, with a word on what is being
// done. Where it can't be opened the answer comes as a direct message.
func (b *Bot) begin(ctx context.Context, a *ask, at time.Time) {
	if a.sight.id == "" || a.sight.trigger == "" {
		return
	}
	place := a.sight.above()
	place.Depth = min(place.Depth, maxModals)
	screen, err := b.openView(ctx, a.sight, at, waitingView(place, a.sight.label, sentenceReading))
	if err != nil {
		b.log.Warn("a modal could not be opened", "ref", newRef(), "user", a.user, "step", "views.open", "err", b.api.redact(err))
		b.suspect(ctx, err)
		return
	}
	a.screen, a.at = screen, at
}

// screenFor is where the answer to a press in a view is shown that changes something: in the
// modal of the button, which has done its work, or in one that is opened once the request is
// stored.
func screenFor(s sight) Screen {
	switch {
	case s.id == "":
		return Screen{}
	case s.home:
		return Screen{External: newKey(), Depth: 1, Told: true}
	}
	return Screen{ID: s.id, Depth: s.depth, Told: true}
}

// await shows that a request to change something was accepted, in the place of its answer.
// Where that fails the answer comes as a direct message.
func (b *Bot) await(ctx context.Context, a ask, at time.Time) {
	var err error
	view := waitingView(a.screen, a.sight.label, sentenceChanging)
	switch {
	case a.screen.none() || a.sight.id == "":
		return
	case a.screen.ID != "":
		ctx, cancel := context.WithDeadline(ctx, at.Add(triggerLife))
		defer cancel()
		err = b.changeView(ctx, a.screen, a.sight.hash, view)
		if slackCode(err) == "hash_conflict" { // the answer is there already
			return
		}
	default:
		_, err = b.openView(ctx, a.sight, at, view)
	}
	if err != nil {
		b.log.Warn("a modal could not be opened", "ref", newRef(), "user", a.user, "step", "views.open", "err", b.api.redact(err))
		b.suspect(ctx, err)
	}
}

const (
	sentenceReading  = "Reading…"
	sentenceChanging = "Taking care of it… The answer appears here. If you close this, it comes as a direct message."
)

// waitingView is a modal whose answer is still to come. A Screen with an External id is
// found by it.
func waitingView(s Screen, title, sentence string) slack.ModalViewRequest {
	view := modal(s, title, sections(plainAtoms(sentence)))
	view.ExternalID = s.External
	return view
}

// modal is a modal of ours that shows blocks.
func modal(s Screen, title string, blocks []slack.Block) slack.ModalViewRequest {
	raw, err := json.Marshal(modalState{Depth: s.Depth})
	if err != nil { // a struct of a number always encodes
		raw = nil
	}
	closing := "Close"
	if s.Depth > 1 {
		closing = "Back"
	}
	return slack.ModalViewRequest{
		Type: slack.VTModal, CallbackID: viewAnswer, PrivateMetadata: string(raw), ExternalID: s.External,
		Title:  plainText(first(strings.TrimSpace(oneLine(title)), "zdd"), maxDialogTitle),
		Close:  plainText(closing, maxDialogTitle),
		Blocks: slack.Blocks{BlockSet: blocks},
	}
}

// answerView is an answer as a modal; line is what to type for the same in a conversation.
func answerView(reply commands.Reply, s Screen, line string) slack.ModalViewRequest {
	parts, title := reply.Parts, "zdd"
	if len(parts) > 0 {
		if h, ok := parts[0].(commands.Heading); ok && units(strings.TrimSpace(oneLine(h.Text))) <= maxDialogTitle {
			parts, title = parts[1:], h.Text
		}
	}
	blocks := viewBlocks(parts, maxViewBlocks, fmt.Sprintf("More of this did not fit here: type %s for all of it.", strings.TrimSpace("/zdd "+shorten(oneLine(line), 200))))
	if len(blocks) == 0 {
		blocks = sections(plainAtoms(first(strings.TrimSpace(oneLine(reply.Summary)), "Done.")))
	}
	return modal(s, title, blocks)
}

// viewBlocks renders parts for a view, in blocks that views may hold: tables and charts as
// text, because Slack shows those in messages only (docs.slack.dev, "Table block", "Data
// visualization block"), and no button that shares, because there is no channel. There are
// at most so many; where that is not all, the last one is more.
func viewBlocks(parts []commands.Part, most int, more string) []slack.Block {
	var blocks []slack.Block
	var buttons int
	for _, part := range parts {
		if row, ok := part.(commands.Buttons); ok {
			kept := slices.DeleteFunc(slices.Clone(row.Row), func(b commands.Button) bool { return b.Share != "" })
			if len(kept) == 0 {
				continue
			}
			part = commands.Buttons{Row: kept}
		}
		rendered, _ := oldBlocks(partBlocks(part, &buttons))
		blocks = append(blocks, rendered...)
	}
	if len(blocks) > most {
		blocks = append(blocks[:most-1:most-1], note(more))
	}
	return blocks
}

// refusedView says that Slack does not take a view as it is.
func refusedView(err error) bool {
	return refusedBlocks(err) || slackCode(err) == "invalid_arguments" || slackCode(err) == "view_too_large"
}
