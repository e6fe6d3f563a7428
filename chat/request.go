package chat

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"example.com/zdd/commands"
	"example.com/zdd/secret"
)

// WorkCommand is the kind of the job that carries out an accepted request; its key is
// the request's id. [Bot.Perform] is its handler.
const WorkCommand = "command"

// Accepted is a request to change something, as it is stored before it is acknowledged.
// It holds no response_url: that is a secret, and stays in memory.
type Accepted struct {
	ID      string       `json:"id"`   // of the delivery
	Kind    string       `json:"kind"` // the envelope's type
	Line    string       `json:"line"`
	Note    string       `json:"note,omitzero"` // what was typed into a dialog, as it was typed: escape it
	Via     commands.Via `json:"via"`
	User    string       `json:"user"`
	Team    string       `json:"team,omitzero"`
	Teams   []string     `json:"teams,omitempty"` // every team that the delivery names as the person's
	Channel string       `json:"channel,omitzero"`
	Thread  string       `json:"thread,omitzero"`
	Pressed Pressed      `json:"pressed,omitzero"` // the message whose button it was
	Screen  Screen       `json:"screen,omitzero"`  // where the answer is shown, of a press in a view
	At      time.Time    `json:"at"`
}

// Pressed is a message whose button was pressed.
type Pressed struct {
	Channel   string `json:"channel,omitzero"`
	TS        string `json:"ts,omitzero"`
	Ephemeral bool   `json:"ephemeral,omitzero"` // only the presser saw it, and nobody can change it but by its response_url
	Ticket    string `json:"ticket,omitzero"`    // the ticket that it is about, by its own word; empty: none
	Target    string `json:"target,omitzero"`    // as in Post
	Copy      int64  `json:"copy,omitzero"`      // of a digest's message, which copy it is; 0: there are no copies
}

// oldest is how old an accepted request may be when it is carried out. It is longer than
// a restart of the bot or a maintenance of its database takes. After that nobody expects
// it any more: what is done then should be what somebody wants then.
const oldest = 15 * time.Minute

// ErrNoRequest says that there is no request of that id, or no more, or that it is not as
// the bot has written it.
var ErrNoRequest = errors.New("no such request")

// requests keeps what was accepted until it is carried out.
type requests interface {
	// AcceptRequest stores the request, that its delivery was seen, and the job WorkCommand for
	// it, in one transaction. It reports true exactly once for each id; a delivery that
	// was seen before is stored no more. What it stored it forgets after a day.
	AcceptRequest(ctx context.Context, a Accepted) (first bool, err error)
	// Request reads an accepted request; ErrNoRequest.
	Request(ctx context.Context, id string) (Accepted, error)
}

// Job is what the handlers need of a job of the queue (jobs.Job is one).
type Job interface {
	ID() string // kind:key
	// Step does one thing in the outside world under the job's lease, and records it in a
	// transaction that renews the lease; either may be nil.
	Step(ctx context.Context, do func(ctx context.Context) error, record func(ctx context.Context, tx *sql.Tx) error) error
	// Later is an error that has the job run again then, which counts as no failure.
	Later(at time.Time, why string) error
}

// jobKey is what follows the kind in a job's id.
func jobKey(j Job) string {
	_, key, _ := strings.Cut(j.ID(), ":")
	return key
}

// responseLife is how long a response_url works (Slack, "Handling user interaction").
const responseLife = 30 * time.Minute

// addressesMost bounds the response_urls that are kept.
const addressesMost = 4096

// addresses keeps response_urls in memory, for as long as they work: they are secrets,
// and written nowhere.
type addresses struct{ all *lru.Cache[string, address] }

type address struct {
	url secret.Text
	at  time.Time
}

func newAddresses() addresses {
	all, err := lru.New[string, address](addressesMost)
	if err != nil { // only for a size below one
		panic(err)
	}
	return addresses{all}
}

func (a addresses) keep(key string, url secret.Text, at time.Time) {
	if !url.IsZero() {
		a.all.Add(key, address{url, at})
	}
}

// find returns nothing where there is none, or none that still works.
func (a addresses) find(key string) secret.Text {
	if kept, ok := a.all.Get(key); ok && time.Since(kept.at) < responseLife {
		return kept.url
	}
	return secret.Text{}
}

// newKey is a name that nobody guesses.
func newKey() string { return rand.Text() }

// accepted is what is stored of a request.
func (r routed) accepted(env envelope, at time.Time) Accepted {
	a := r.ask
	return Accepted{
		ID: r.ids[0], Kind: known(env.Type, typeSlash, typeInteract, typeEvents), Line: a.line, Note: a.note, Via: a.via,
		User: a.user, Team: a.team, Teams: a.teams, Channel: a.channel, Thread: a.thread, Pressed: a.pressed, Screen: a.screen, At: at,
	}
}

func (a Accepted) ask() ask {
	return ask{line: a.Line, note: a.Note, via: a.Via, user: a.User, team: a.Team, teams: a.Teams, channel: a.Channel, thread: a.Thread, pressed: a.Pressed, screen: a.Screen, at: a.At}
}

// take stores a request that changes something. Who is told that it was not accepted is
// told the truth: should the database have kept it all the same, it is not carried out here.
func (b *Bot) take(ctx context.Context, env envelope, r routed, at time.Time) (isNew bool, err error) {
	if len(r.ids) == 0 {
		return false, errors.New("the envelope has no id")
	}
	if b.cfg.Requests == nil {
		return false, errors.New("nothing to store requests with")
	}
	// Before the job can run, so that it can answer.
	response := r.ask.response
	if response.IsZero() {
		response = b.responses.find(r.key) // of the press that opened the dialog
	}
	b.responses.keep(r.ids[0], response, at)
	request := r.accepted(env, at)
	isNew, err = b.written(ctx, env, b.cfg.Timing.Record, func(ctx context.Context) (bool, error) { return b.cfg.Requests.AcceptRequest(ctx, request) })
	if err != nil {
		b.refused.Add(request.ID, struct{}{})
	}
	return isNew, err
}

// Perform is the handler of WorkCommand: it runs the line of an accepted request as the
// person who said it, and answers them. Slack is asked again who they are. It may run
// several times for one request, whose id tells the command that it is the same.
//
// Where Slack or the database does not answer it is tried again, for Timing.Patience
// after the request; then the person is told. So they are where the bot was away and the
// request is too old by now: it is left alone.
func (b *Bot) Perform(ctx context.Context, job Job) error {
	id := jobKey(job)
	if _, known := b.Self(); !known { // and so everybody would seem to be of another workspace
		return job.Later(time.Now().Add(time.Second), "slack has not said yet who the bot is")
	}
	if b.cfg.Requests == nil {
		return errors.New("nothing to read requests with")
	}
	if b.refused.Contains(id) {
		b.log.Warn("a request is left alone that was stored although its person was told that it was not", "ref", id)
		return nil
	}
	request, err := b.cfg.Requests.Request(ctx, id)
	if errors.Is(err, ErrNoRequest) {
		b.log.Error("a request is gone before it was carried out", "ref", id, "err", b.api.redact(err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("read request %s: %w", id, err)
	}
	start := time.Now()
	a := request.ask()
	a.response = b.responses.find(id)
	command, _, _ := b.cfg.Commands.Find(a.line)
	var got result
	err = job.Step(ctx, func(ctx context.Context) (err error) {
		got, err = b.carryOut(ctx, job, request, command)
		return err
	}, nil)
	if err != nil {
		return err
	}
	// A private message whose button did its work is replaced by the answer: nobody
	// shall press it again.
	a.replace = got.done && command.Changes && a.pressed.Ephemeral && !got.reply.Public
	err = job.Step(ctx, func(ctx context.Context) error {
		answer, cancel := context.WithTimeout(ctx, b.cfg.Timing.Answer)
		defer cancel()
		if !b.deliver(answer, a, got.reply, got.ref) && ctx.Err() != nil {
			return context.Cause(ctx) // the bot stops: it is answered after the restart
		}
		b.tidy(answer, a.pressed)
		b.homes.acted(a.user)
		return nil
	}, nil)
	b.metrics.work.WithLabelValues(first(command.Name, "none")).Observe(time.Since(start).Seconds())
	return err
}

// carryOut runs an accepted request once. An error has it run again.
func (b *Bot) carryOut(ctx context.Context, job Job, request Accepted, command commands.Command) (result, error) {
	work, cancel := context.WithTimeout(ctx, b.cfg.Timing.Work)
	defer cancel()
	patient := time.Since(request.At) < b.cfg.Timing.Patience
	a := request.ask()
	who, err := b.who(work, a)
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	if err != nil {
		if patient && passing(err) {
			return result{}, job.Later(time.Now().Add(b.cfg.Timing.Again), "slack does not say who asked")
		}
		return b.unknown(ctx, a, err), nil
	}
	if who.Kind == commands.Machine && (a.via == commands.Mention || a.via == commands.Direct) {
		return result{}, nil
	}
	if time.Since(request.At) > oldest {
		b.log.Warn("a request is left alone because it is too old", "ref", request.ID, "command", command.Name, "user", a.user)
		return result{reply: tooOld(request)}, nil
	}
	if reply, old := b.outdated(work, a.pressed); old {
		return result{reply: reply}, nil
	}
	reply, err := b.run(work, a, command, commands.Request{By: who, Via: a.via, Now: time.Now(), Origin: request.ID, Channel: a.channel, Note: a.note})
	if ctx.Err() != nil { // the bot stops, or lost the job: whoever has it next answers
		return result{}, context.Cause(ctx)
	}
	_, refused := errors.AsType[*commands.Refusal](err)
	_, broke := errors.AsType[*panicked](err)
	if err != nil && !refused && !broke && patient {
		return result{}, fmt.Errorf("%s for %s: %s", first(command.Name, "a line"), a.user, b.api.redact(err))
	}
	return b.settled(a, command, reply, err), nil
}

// tooOld answers somebody whose request was accepted, and found again long after. It may
// have been begun before.
func tooOld(request Accepted) commands.Reply {
	text := commands.Line("You asked for ", commands.Code(shorten(oneLine(request.Line), 200)), " ", commands.At(request.At),
		", and I was away since. What is older than 15 minutes I leave alone, because a lot may have changed: so I did nothing about it now. ",
		"Should I have begun it before I went away, ", commands.Code("pending"), " and ", commands.Code("history"), " tell. If you still want it, ask again.")
	return commands.Reply{Summary: text.String(), Parts: []commands.Part{commands.Para{Text: text}}}
}

// passing says whether an error of Slack's may be gone in a moment: not what Slack
// itself has answered.
func passing(err error) bool {
	return slackCode(err) == "" && !absent(err) || retryAfter(err) > 0 || slackCode(err) == "internal_error" || slackCode(err) == "ratelimited"
}
