// Package ledger tells who did what: an append-only log in which each entry carries
// the hash of the one before it, so that nobody can change, remove, reorder or insert
// an entry without it showing. It seals, verifies and exports entries. It stores
// none (package store does, in the transaction of the change that is told of), and
// it can't keep anybody from changing them: it detects.
//
// What each part protects from: the chain, from changing one entry. The [Key], which
// is outside the database, from rewriting the chain from there on. The [Head] that
// was told elsewhere, such as in Slack, from cutting off the end, which no chain can
// show by itself.
//
// Invariants: entry n follows entry n-1, the first is 1; the hash covers every field
// and the hash before; what has been sealed verifies for ever, so the encoding never
// changes without a new version of it; once an entry is sealed with a key, all that
// follow are, with that one or another.
package ledger

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bot is the actor of what the bot did of its own accord.
const Bot = "zdd"

// The verbs: what an entry can tell. They are stored and never change.
const (
	Asked        = "asked"         // a ticket was made
	Voted        = "voted"         // one of several approvals that a ticket needs
	Approved     = "approved"      // the approval that decided
	Denied       = "denied"        //
	Cancelled    = "cancelled"     //
	Expired      = "expired"       // nobody decided in time
	Stale        = "stale"         // what was approved, or asked, no longer holds
	Refused      = "refused"       // somebody who may not tried to decide
	Started      = "started"       // a ticket began to be carried out
	Begun        = "begun"         // of a ticket for several apps one's turn came: told of both tickets
	StepIntended = "step-intended" // what was read before a write, and what is about to be written
	StepDone     = "step-done"     // what was read after it
	StepFailed   = "step-failed"   //
	Stopped      = "stopped"       // a surprise, or a cancel, ended it between two steps
	Failed       = "failed"        // it ended in trouble that did not pass
	Finished     = "finished"      // all steps are done
	Resumed      = "resumed"       //
	Undone       = "undone"        //
	Rechecked    = "rechecked"     // the app was looked at again some time after
	PolicyLoaded = "policy-loaded" // the rules changed, or the bot started with them
	Reported     = "reported"      // a night's digest was posted
	Damaged      = "damaged"       // a night found that this chain does not hold; see Damage

	WaiverAsked   = "waiver-asked"   // a waiver was asked for that needs an approval
	Waived        = "waived"         // a waiver began to hold
	WaiverDenied  = "waiver-denied"  //
	Unwaived      = "unwaived"       // a waiver was withdrawn, ended before its time or replaced
	WaiverExpired = "waiver-expired" // its time, or that to decide on it, was over

	WatchAsked   = "watch-asked"   // a deploy is to be watched
	WatchVerdict = "watch-verdict" // what came of it
)

// Verbs lists every verb, in the order in which they usually come.
func Verbs() []string {
	return []string{
		Asked, Voted, Approved, Denied, Cancelled, Expired, Stale, Refused, Started, Begun, StepIntended, StepDone, StepFailed,
		Stopped, Failed, Finished, Resumed, Undone, Rechecked, PolicyLoaded, Reported, Damaged,
		WaiverAsked, Waived, WaiverDenied, Unwaived, WaiverExpired,
		WatchAsked, WatchVerdict,
	}
}

// Entry is one thing that happened. What happened is filled in by who tells of it;
// Seq, KeyID, Prev and Hash by [Key.Seal].
type Entry struct {
	Seq    int64           // 1 for the first
	At     time.Time       // kept to the millisecond, in UTC; the clock of who wrote it, so entries need not be in its order
	Actor  string          // a Slack user id, or Bot
	Verb   string          // one of Verbs
	App    string          // its UUID; empty: about no app
	Name   string          // the app's name then
	Ticket string          // empty: about no ticket
	Detail json.RawMessage // a JSON object, the text as stored; empty means {}. Never holds a secret
	KeyID  string          // of the key that sealed it; empty: none did
	Prev   string          // the Hash of the entry before; empty for the first
	Hash   string          // 64 hex digits
}

// Head is what the entry puts at the end of the chain when it is the last one.
func (e Entry) Head() Head { return Head{Seq: e.Seq, Hash: e.Hash} }

// Check says what is wrong with an entry that is about to be appended. It asks for
// what both databases keep exactly (PostgreSQL takes no NUL and no invalid UTF-8),
// and for texts on one line, so that no name can pass for another entry in a listing.
func (e Entry) Check() error {
	if e.At.IsZero() {
		return errors.New("ledger entry: it has no time")
	}
	if e.Actor == "" {
		return errors.New("ledger entry: it has no actor")
	}
	if !slices.Contains(Verbs(), e.Verb) {
		return fmt.Errorf("ledger entry: %q is not one of its verbs", e.Verb)
	}
	for name, text := range map[string]string{"actor": e.Actor, "app": e.App, "name": e.Name, "ticket": e.Ticket} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("ledger entry %s: its %s %q is not plain text on one line", e.Verb, name, text)
		}
	}
	if len(e.Detail) > 0 && (!json.Valid(e.Detail) || !utf8.Valid(e.Detail) || bytes.TrimSpace(e.Detail)[0] != '{') {
		return fmt.Errorf("ledger entry %s: its detail is not a JSON object", e.Verb)
	}
	return nil
}

// Key seals entries with a secret that is not in the database: who can write there but
// does not have the key can't make an entry that fits. The zero Key seals with a plain
// hash, which detects accidents and careless hands only ("integrity only").
//
// It prints as its id; nothing that prints, logs or encodes it shows the secret.
type Key struct{ keyed *keyed } // a pointer, because fmt prints the fields of a field that it can't call methods on

type keyed struct {
	id     string
	secret []byte
}

// keyIDLen is the length of a key's id in bytes: long enough for two keys of one
// company never to share one.
const keyIDLen = 4

// NewKey makes a key of a secret, at best 32 random bytes in any notation. Spaces
// around it are not part of it, so that a line break at the end of a file or of a
// pasted variable changes nothing. An empty secret makes the zero Key.
func NewKey(secret string) Key {
	secret = strings.TrimSpace(secret)
	if secret == "" {
		return Key{}
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("zdd ledger key id"))
	return Key{&keyed{id: hex.EncodeToString(mac.Sum(nil)[:keyIDLen]), secret: []byte(secret)}}
}

// ID names the key without telling it, as 8 hex digits; the zero Key's is empty. The
// same secret has the same id everywhere.
func (k Key) ID() string {
	if k.keyed == nil {
		return ""
	}
	return k.keyed.id
}

// String is the key's id in words.
func (k Key) String() string {
	if k.keyed == nil {
		return "no ledger key"
	}
	return "ledger key " + k.keyed.id
}

// GoString hides the secret from %#v.
func (k Key) GoString() string { return "ledger.Key{" + strconv.Quote(k.ID()) + "}" }

// LogValue hides the secret from log/slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Seal puts the entry after prev, the zero Head for the first entry. It sets Seq,
// KeyID, Prev and Hash, and brings At and Detail into the form in which they are kept.
// It does not Check.
func (k Key) Seal(prev Head, e Entry) Entry {
	e.At = time.UnixMilli(e.At.UnixMilli()).UTC()
	var compact bytes.Buffer
	switch {
	case len(e.Detail) == 0:
		e.Detail = json.RawMessage("{}")
	case json.Compact(&compact, e.Detail) == nil:
		e.Detail = compact.Bytes()
	}
	e.Seq, e.Prev, e.KeyID = prev.Seq+1, prev.Hash, k.ID()
	e.Hash = k.sum(e)
	return e
}

// Fits says whether this key has sealed the entry as it is.
func (k Key) Fits(e Entry) bool {
	return e.KeyID == k.ID() && hmac.Equal([]byte(e.Hash), []byte(k.sum(e)))
}

// Mark seals a text that is kept beside the ledger, for one purpose: what is marked for
// one does not pass for another. It is 64 hex digits behind the key's id and a dot. As
// with entries, that of the zero Key detects accidents only.
func (k Key) Mark(purpose string, text []byte) string {
	h := sha256.New()
	if k.keyed != nil {
		h = hmac.New(sha256.New, k.keyed.secret)
	}
	for _, field := range [][]byte{[]byte("zdd mark 1"), []byte(purpose), text} {
		h.Write(binary.AppendUvarint(nil, uint64(len(field))))
		h.Write(field)
	}
	return k.ID() + "." + hex.EncodeToString(h.Sum(nil))
}

// Marked says whether the mark is this key's on that text.
func (k Key) Marked(mark, purpose string, text []byte) bool {
	return hmac.Equal([]byte(mark), []byte(k.Mark(purpose, text)))
}

// sum hashes every field but Hash. Each is preceded by its length, so that no two
// entries have one encoding, and the first names the version of the encoding.
func (k Key) sum(e Entry) string {
	var h hash.Hash
	if k.keyed == nil {
		h = sha256.New()
	} else {
		h = hmac.New(sha256.New, k.keyed.secret)
	}
	for _, field := range []string{
		"zdd ledger 1", e.Prev, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(e.At.UnixMilli(), 10),
		e.Actor, e.Verb, e.App, e.Name, e.Ticket, string(e.Detail), e.KeyID,
	} {
		h.Write(binary.AppendUvarint(nil, uint64(len(field))))
		h.Write([]byte(field))
	}
	return hex.EncodeToString(h.Sum(nil))
}
