package ledger

import (
	"crypto/hmac"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Verdict is what a verification comes to.
type Verdict string

// The verdicts, best first.
const (
	Whole         Verdict = "whole"          // every entry is sealed with a key that was given, and in its place
	IntegrityOnly Verdict = "integrity only" // all fit, but some are sealed without a key: who could write the database could have rewritten those
	CouldNotTell  Verdict = "could not tell" // some are sealed with a key that was not given
	Broken        Verdict = "broken"         // see Fault
)

// FaultKind is how an entry does not fit.
type FaultKind string

// The kinds of faults.
const (
	Altered   FaultKind = "altered"   // its content is not what was sealed
	Missing   FaultKind = "missing"   // it is not there
	Misplaced FaultKind = "misplaced" // it is there, but not in its place: moved, doubled or put in
	Replaced  FaultKind = "replaced"  // sound in itself, it or one before it is not what a later entry or a head was written after
)

// Fault is the first place where the chain does not hold.
type Fault struct {
	Seq  int64 // the first entry that does not fit
	Kind FaultKind
	Text string // a sentence for a person
}

// Report is what Verify found.
type Report struct {
	Entries   int64    // how many were read
	Head      Head     // of the last entry that fitted those before it
	Keyless   int64    // how many are sealed without a key
	Unchecked int64    // how many are sealed with a key that was not given; only their order was checked
	FirstOpen int64    // the first of those
	KeyIDs    []string // the ids of the keys that were not given
	Known     int      // how many of the known heads are in the chain
	Fault     *Fault   // nil: none
	// Breaks is in how many places the chain does not hold, of which Fault is the first.
	// There may be one without a Fault: an entry sealed with a key that was not given, behind
	// one that was, which somebody may have made up.
	Breaks int
	// Doubt is the number of the entry up to which none proves what came after it, because
	// some of that may be gone, or can't be checked; 0: each does. An entry behind it does, if
	// it fits its own key.
	Doubt int64
}

// Verdict sums the report up.
func (r Report) Verdict() Verdict {
	switch {
	case r.Fault != nil:
		return Broken
	case r.Unchecked > 0:
		return CouldNotTell
	case r.Keyless > 0:
		return IntegrityOnly
	}
	return Whole
}

// String is the report for a person, in sentences.
func (r Report) String() string {
	var b strings.Builder
	verdict := r.Verdict()
	fmt.Fprintf(&b, "%s: ", verdict)
	switch verdict {
	case Broken:
		b.WriteString(r.Fault.Text)
		if r.Fault.Kind != Replaced && r.Head.Seq > 0 {
			fmt.Fprintf(&b, " Everything up to #%d fits.", r.Head.Seq)
		}
	case CouldNotTell:
		fmt.Fprintf(&b, "from #%d on, %d of %d entries are sealed with a key that was not given (id %s). Give the key that the bot had then and verify again.",
			r.FirstOpen, r.Unchecked, r.Entries, strings.Join(r.KeyIDs, ", "))
	case IntegrityOnly:
		fmt.Fprintf(&b, "all %d entries fit, the head is %s; but %d of them are sealed without a key, and who can write the database could have rewritten those.",
			r.Entries, r.Head, r.Keyless)
	case Whole:
		fmt.Fprintf(&b, "all %d entries fit, the head is %s.", r.Entries, r.Head)
	}
	if r.Known > 0 {
		fmt.Fprintf(&b, " Known heads that are in it: %d.", r.Known)
	}
	return b.String()
}

// Verify reads the ledger from its first entry, in order, and names the first one that
// was altered, removed, moved or put in. Where keyless entries were rewritten from some
// point on, hashes included, all that shows is that they lead somewhere else: the
// fault then names the last of them.
//
// stored is the head as the database has it, read in one moment with the entries (see
// store's VerifyLedger). keys are all that ever sealed: the current and the former
// ones. known are heads that were told elsewhere: only they can show that the end was
// cut off together with the stored head, or that everything was written anew.
//
// An error is one of reading; the report then covers what was read before.
func Verify(entries iter.Seq2[Entry, error], stored Head, keys []Key, known ...Head) (Report, error) {
	v := verifier{stored: stored, keys: map[string]Key{}, known: known}
	for _, k := range keys {
		v.keys[k.ID()] = k
	}
	v.keys[""] = Key{}
	doubts := doubter{keys: v.keys, known: known}
	for e, err := range entries {
		if err != nil {
			return v.Report, fmt.Errorf("read the ledger after #%d: %w", v.last.Seq, err)
		}
		v.Entries++
		doubts.take(e)
		if v.Fault == nil {
			v.take(e)
		} else if v.Fault.Kind == Missing && v.Fault.Seq == e.Seq {
			// It was not removed, but moved: say so.
			*v.Fault = Fault{e.Seq, Misplaced, fmt.Sprintf("#%d is not in its place: it was moved behind #%d.", e.Seq, v.seen)}
		}
		v.seen = e.Seq
	}
	if v.Fault == nil {
		v.end()
	}
	doubts.end(stored)
	v.Breaks, v.Doubt = doubts.breaks, doubts.doubt
	return v.Report, nil
}

type verifier struct {
	Report
	stored Head
	keys   map[string]Key // by id; that of no key is always there
	known  []Head
	last   Entry // the last one that fitted; the zero Entry before the first
	open   bool  // whether last could not be checked
	sealed bool  // whether one before was sealed with one of the keys
	seen   int64 // the number of the entry read before, fitting or not
}

func (v *verifier) fault(seq int64, kind FaultKind, format string, args ...any) {
	v.Fault = &Fault{seq, kind, fmt.Sprintf(format, args...)}
}

// take holds the next entry against the one before it.
func (v *verifier) take(e Entry) {
	next := v.last.Seq + 1
	switch {
	case e.Seq > next && next <= v.stored.Seq:
		v.fault(next, Missing, "#%d is missing: #%d comes after #%d.", next, e.Seq, v.last.Seq)
		return
	case e.Seq < next:
		v.fault(e.Seq, Misplaced, "#%d is not in its place: it comes after #%d.", e.Seq, v.last.Seq)
		return
	case e.Seq > v.stored.Seq:
		v.fault(e.Seq, Misplaced, "#%d comes after the stored head %s: it was put in, or the head was set back.", e.Seq, v.stored)
		return
	}
	key, given := v.keys[e.KeyID]
	switch {
	case e.KeyID == "" && v.sealed:
		v.fault(e.Seq, Altered, "#%d was altered or put in: it is sealed without a key, and one before it is sealed with one.", e.Seq)
		return
	case given && !hmac.Equal([]byte(e.Hash), []byte(key.sum(e))):
		v.fault(e.Seq, Altered, "#%d was altered: its content does not fit its hash.", e.Seq)
		return
	case e.Prev == v.last.Hash:
	case next == 1:
		v.fault(e.Seq, Misplaced, "#1 is not the first entry of a ledger: it was written after another one.")
		return
	case !given && !v.open:
		v.fault(e.Seq, Altered, "#%d was altered or put in: it does not follow #%d.", e.Seq, v.last.Seq)
		return
	default:
		v.fault(v.last.Seq, Replaced, "#%d, or one before it, was replaced: #%d was written after another entry.", v.last.Seq, e.Seq)
		return
	}
	for _, h := range v.known {
		switch {
		case h.names(e):
			v.Known++
		case h.Seq == e.Seq:
			v.fault(e.Seq, Replaced, "#%d, or one before it, was replaced: it was known as %s, and is %s now.", e.Seq, h, e.Head())
			return
		}
	}
	if !given {
		if v.Unchecked++; v.Unchecked == 1 {
			v.FirstOpen = e.Seq
		}
		if !slices.Contains(v.KeyIDs, e.KeyID) {
			v.KeyIDs = append(v.KeyIDs, e.KeyID)
		}
	}
	if e.KeyID == "" {
		v.Keyless++
	}
	v.last, v.open, v.Head = e, !given, e.Head()
	v.sealed = v.sealed || given && e.KeyID != ""
}

// end holds what was read against the heads that tell of more.
func (v *verifier) end() {
	longest := v.stored
	for _, h := range v.known {
		if h.Seq > longest.Seq {
			longest = h
		}
	}
	switch next := v.last.Seq + 1; {
	case longest.Seq >= next && longest != v.stored:
		v.fault(next, Missing, "#%d and all after it are missing: the ledger was cut off, its head was known as %s.", next, longest)
	case longest.Seq >= next:
		v.fault(next, Missing, "#%d and all after it are missing: the ledger was cut off, its stored head is %s.", next, longest)
	case v.stored != v.last.Head():
		v.fault(v.last.Seq, Replaced, "#%d, or one before it, was replaced: the stored head is %s, not %s.", v.last.Seq, v.stored, v.last.Head())
	}
}
