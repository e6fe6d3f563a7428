package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Names in a dialog, by which its submission is read.
const (
	dialogAsk  = "zdd_ask" // callback_id
	dialogNote = "note"    // block_id and action_id of its field
)

// Slack's limits on a dialog ("Views", "Input block").
const (
	maxDialogTitle = 24
	maxDialogLabel = 2000
	maxMetadata    = 3000
	// maxNote bounds what can be typed into a dialog, in characters: Slack's own limit on
	// a plain_text_input, and more than anybody reads.
	maxNote = 3000
)

// triggerLife is how long a trigger_id opens a dialog (Slack, "Handling user
// interaction"), less what its way here and back takes.
const triggerLife = 2800 * time.Millisecond

// question is what the value of a button with a dialog says: Slack hands it back with
// the press, maybe to another replica.
type question struct {
	Run      string `json:"run"`
	Title    string `json:"title,omitempty"`
	Label    string `json:"label,omitempty"`
	Yes      string `json:"yes,omitempty"` // label of the button that sends it
	Optional bool   `json:"optional,omitempty"`
}

func questionOf(b commands.Button) string {
	raw, err := json.Marshal(question{b.Run, b.Ask.Title, b.Ask.Label, b.Label, b.Ask.Optional})
	if err != nil { // a struct of strings always encodes
		return ""
	}
	return string(raw)
}

// dialogue is what a dialog's private_metadata keeps: what to run and where to answer.
// The response_url of the press stays in memory, under Key: it is a secret.
type dialogue struct {
	Run     string  `json:"run"`
	Channel string  `json:"channel,omitempty"`
	Thread  string  `json:"thread,omitempty"`
	Pressed Pressed `json:"pressed,omitzero"`
	Key     string  `json:"key"`
	Depth   int     `json:"depth,omitzero"` // of a dialog that was opened from a view: see modalState
}

// openDialog answers a press with a dialog, within the life of its trigger. The press
// has been acknowledged.
func (b *Bot) openDialog(ctx context.Context, r routed, at time.Time) {
	a, q := r.ask, *r.dialog
	a.sight.trigger = r.trigger
	key := newKey()
	d := dialogue{Run: q.Run, Channel: a.channel, Thread: a.thread, Pressed: a.pressed, Key: key}
	if a.sight.id != "" {
		d.Depth = min(a.sight.above().Depth, maxModals)
	}
	raw, err := json.Marshal(d)
	if err == nil && units(string(raw)) > maxMetadata {
		err = fmt.Errorf("the line of %d characters is too long for a dialog", units(q.Run))
	}
	if err == nil {
		b.responses.keep(key, a.response, at)
		_, err = b.openView(ctx, a.sight, at, dialogView(q, string(raw)))
	}
	if err == nil {
		return
	}
	ref := newRef()
	b.log.Warn("a dialog could not be opened", "ref", ref, "user", a.user, "step", "views.open", "err", b.api.redact(err))
	b.suspect(ctx, err)
	answerCtx, cancelAnswer := context.WithTimeout(ctx, b.cfg.Timing.Answer)
	defer cancelAnswer()
	b.deliver(answerCtx, a, sentenceReply(fmt.Sprintf("I could not open the dialog, so nothing was changed. Press again, or type `/zdd %s`. If it stays so, tell whoever runs me this reference: `%s`.", strings.ReplaceAll(q.Run, "`", "'"), ref)), ref)
}

func dialogView(q question, metadata string) slack.ModalViewRequest {
	label := first(strings.TrimSpace(oneLine(q.Label)), "Your words")
	field := slack.NewPlainTextInputBlockElement(nil, dialogNote)
	field.Multiline, field.MaxLength, field.FocusOnLoad = true, maxNote, true
	return slack.ModalViewRequest{
		Type:            slack.VTModal,
		CallbackID:      dialogAsk,
		PrivateMetadata: metadata,
		Title:           plainText(first(strings.TrimSpace(oneLine(q.Title)), "One question"), maxDialogTitle),
		Submit:          plainText(first(strings.TrimSpace(oneLine(q.Yes)), "Send"), maxDialogTitle),
		Close:           plainText("Go back", maxDialogTitle),
		Blocks: slack.Blocks{BlockSet: []slack.Block{
			slack.NewInputBlock(dialogNote, plainText(label, maxDialogLabel), nil, field).WithOptional(q.Optional),
		}},
	}
}
