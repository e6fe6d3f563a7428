package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	oldKey = NewKey("old")
	newKey = NewKey("new")
)

// chain makes a ledger with one entry sealed by each of the keys.
func chain(keys ...Key) []Entry {
	var all []Entry
	var head Head
	for i, k := range keys {
		all = append(all, k.Seal(head, entry(i)))
		head = all[i].Head()
	}
	return all
}

// keys is a key for each letter: - none, o the old one, n the new one.
func keys(letters string) []Key {
	var all []Key
	for _, l := range letters {
		all = append(all, map[rune]Key{'-': {}, 'o': oldKey, 'n': newKey}[l])
	}
	return all
}

func read(entries []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func headOf(entries []Entry) Head {
	if len(entries) == 0 {
		return Head{}
	}
	return entries[len(entries)-1].Head()
}

func verify(t testing.TB, entries []Entry, stored Head, keys []Key, known ...Head) Report {
	t.Helper()
	r, err := Verify(read(entries), stored, keys, known...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestVerify(t *testing.T) {
	both := []Key{oldKey, newKey}
	for name, c := range map[string]struct {
		chain string // a letter for each entry's key
		keys  []Key
		// change damages the chain, or the stored head.
		change func(all []Entry, stored *Head) []Entry
		known  func(all []Entry) []Head
		want   string // the report begins so
	}{
		"empty": {"", both, nil, nil, "whole: all 0 entries fit, the head is #0."},
		"whole": {"ooo", both, nil, nil, "whole: all 3 entries fit, the head is #3 "},
		"the key changed, twice": {"onno", both, nil, nil,
			"whole: all 4 entries fit"},
		"the key changed, the old one is not given": {"oon", []Key{newKey}, nil, nil,
			"could not tell: from #1 on, 2 of 3 entries are sealed with a key that was not given (id " + oldKey.ID() + ")."},
		"no key is given": {"oon", nil, nil, nil,
			"could not tell: from #1 on, 3 of 3 entries are sealed with a key that was not given (id " + oldKey.ID() + ", " + newKey.ID() + ")."},
		"no key":            {"---", nil, nil, nil, "integrity only: all 3 entries fit, the head is #3 "},
		"the key came late": {"--o", both, nil, nil, "integrity only: all 3 entries fit"},
		"known heads": {"ooo", both, nil,
			func(all []Entry) []Head { return []Head{{3, all[2].Hash[:12]}, all[0].Head()} }, "whole: all 3 entries fit"},

		"the key went": {"oo-o", both, nil, nil,
			"broken: #3 was altered or put in: it is sealed without a key, and one before it is sealed with one. Everything up to #2 fits."},
		"altered": {"oooo", both, func(all []Entry, _ *Head) []Entry { all[1].Actor = "U9"; return all }, nil,
			"broken: #2 was altered: its content does not fit its hash. Everything up to #1 fits."},
		"altered, with the hash of no key": {"oooo", both,
			func(all []Entry, _ *Head) []Entry {
				all[1] = Key{}.Seal(all[0].Head(), entry(9))
				return all
			}, nil, "broken: #2 was altered or put in: it is sealed without a key"},
		"altered, with a key of one's own": {"oooo", both,
			func(all []Entry, _ *Head) []Entry {
				all[1] = NewKey("mine").Seal(all[0].Head(), entry(9))
				return all
			}, nil, "broken: #2, or one before it, was replaced: #3 was written after another entry."},
		"the last one altered, with a key of one's own, head and all": {"oooo", both,
			func(all []Entry, stored *Head) []Entry {
				all[3] = NewKey("mine").Seal(all[2].Head(), entry(9))
				*stored = all[3].Head()
				return all
			}, nil, "could not tell: from #4 on, 1 of 4 entries are sealed with a key that was not given (id " + NewKey("mine").ID() + ")"},
		"put under another key's id": {"oooo", both, func(all []Entry, _ *Head) []Entry { all[1].KeyID = newKey.ID(); return all }, nil,
			"broken: #2 was altered"},
		"without a key, rewritten from some point on": {"----o", both,
			func(all []Entry, _ *Head) []Entry {
				for i := 1; i < 4; i++ {
					all[i] = Key{}.Seal(all[i-1].Head(), entry(9))
				}
				return all
			}, nil, "broken: #4, or one before it, was replaced: #5 was written after another entry."},
		"without a key, all of it rewritten": {"----", both,
			func(_ []Entry, stored *Head) []Entry {
				all := chain(keys("---")...)
				all[2] = Key{}.Seal(all[1].Head(), entry(9))
				*stored = all[2].Head()
				return all
			},
			func(all []Entry) []Head { return []Head{{3, all[2].Hash[:12]}, {2, all[1].Hash[:12]}} },
			"broken: #3, or one before it, was replaced: it was known as #3 "},
		"removed": {"oooo", both, func(all []Entry, _ *Head) []Entry { return slices.Delete(all, 1, 3) }, nil,
			"broken: #2 is missing: #4 comes after #1. Everything up to #1 fits."},
		"the first removed": {"oooo", both, func(all []Entry, _ *Head) []Entry { return all[1:] }, nil, "broken: #1 is missing: #2 comes after #0."},
		"moved": {"oooo", both, func(all []Entry, _ *Head) []Entry { all[1], all[3] = all[3], all[1]; return all }, nil,
			"broken: #2 is not in its place: it was moved behind #3. Everything up to #1 fits."},
		"doubled": {"oooo", both, func(all []Entry, _ *Head) []Entry { return slices.Insert(all, 2, all[0]) }, nil,
			"broken: #1 is not in its place: it comes after #2."},
		"put in at the end": {"oooo", both, func(all []Entry, _ *Head) []Entry { return append(all, oldKey.Seal(headOf(all), entry(9))) }, nil,
			"broken: #5 comes after the stored head #4 "},
		"put in far behind": {"oooo", both,
			func(all []Entry, _ *Head) []Entry {
				return append(all, oldKey.Seal(Head{99, headOf(all).Hash}, entry(9)))
			},
			nil, "broken: #100 comes after the stored head #4 "},
		"cut off": {"oooo", both, func(all []Entry, _ *Head) []Entry { return all[:2] }, nil,
			"broken: #3 and all after it are missing: the ledger was cut off, its stored head is #4 "},
		"cut off, head and all": {"oooo", both, func(all []Entry, stored *Head) []Entry { *stored = headOf(all[:2]); return all[:2] }, nil,
			"whole: all 2 entries fit"}, // no chain shows that
		"cut off, head and all, but the head is known": {"oooo", both,
			func(all []Entry, stored *Head) []Entry { *stored = headOf(all[:2]); return all[:2] },
			func(all []Entry) []Head { return []Head{{3, all[2].Hash[:12]}} },
			"broken: #3 and all after it are missing: the ledger was cut off, its head was known as #3 "},
		"emptied": {"oooo", both, func(all []Entry, stored *Head) []Entry { *stored = Head{}; return nil },
			func(all []Entry) []Head { return []Head{all[3].Head()} }, "broken: #1 and all after it are missing"},
		"the beginning of another ledger": {"ooo", both,
			func(all []Entry, _ *Head) []Entry {
				all[0] = oldKey.Seal(Head{0, all[2].Hash}, entry(0))
				return all
			}, nil, "broken: #1 is not the first entry of a ledger"},
		"the stored head": {"ooo", both, func(all []Entry, stored *Head) []Entry { stored.Hash = all[0].Hash; return all }, nil,
			"broken: #3, or one before it, was replaced: the stored head is #3 "},
		"two ledgers under one key": {"ooo", both,
			func(all []Entry, _ *Head) []Entry {
				all[1] = oldKey.Seal(all[0].Head(), entry(9))
				return all
			}, nil, "broken: #2, or one before it, was replaced: #3 was written after another entry."},
	} {
		t.Run(name, func(t *testing.T) {
			all := chain(keys(c.chain)...)
			stored := headOf(all)
			var known []Head
			if c.known != nil {
				known = c.known(all)
			}
			if c.change != nil {
				all = c.change(all, &stored)
			}
			r := verify(t, all, stored, c.keys, known...)
			if got := r.String(); !strings.HasPrefix(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if r.Entries != int64(len(all)) {
				t.Errorf("got %d entries, want %d", r.Entries, len(all))
			}
			if r.Fault == nil && r.Known != len(known) {
				t.Errorf("got %d known heads, want %d", r.Known, len(known))
			}
		})
	}
}

func TestVerifyReadError(t *testing.T) {
	all := chain(keys("ooo")...)
	gone := errors.New("connection lost")
	r, err := Verify(func(yield func(Entry, error) bool) {
		_ = yield(all[0], nil) && yield(all[1], nil) && yield(Entry{}, gone)
	}, headOf(all), keys("o"))
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "after #2") || r.Entries != 2 {
		t.Errorf("got %v, %d entries, want the error after #2", err, r.Entries)
	}
}

// damage does one thing to a ledger of at least two entries, chosen by kind at the
// place i, and returns the first entry that is not as it was. Whoever does it has no
// key. It returns 0 if what it chose to do changes nothing.
func damage(all []Entry, kind, i, j int, text string) (damaged []Entry, first int64) {
	all = slices.Clone(all)
	i, j = i%len(all), j%len(all)
	e := &all[i]
	before, at := fmt.Sprintf("%+v", *e), int64(i+1)
	switch kind % 16 {
	case 0:
		e.Actor = text
	case 1:
		e.Verb = text
	case 2:
		e.App = text
	case 3:
		e.Name = text
	case 4:
		e.Ticket = text
	case 5:
		e.Detail = json.RawMessage(text)
	case 6:
		e.At = e.At.Add(time.Duration(len(text)) * time.Millisecond)
	case 7:
		e.KeyID = text
	case 8:
		e.Prev = text
	case 9:
		e.Hash = text
	case 10: // removed; at the end that is a truncation, which the head shows
		return slices.Delete(all, i, i+1), at
	case 11: // all from here on cut off
		return all[:i], at
	case 12: // two change places
		if i == j {
			return nil, 0
		}
		all[i], all[j] = all[j], all[i]
		return all, int64(min(i, j) + 1)
	case 13: // two change places, and take the numbers of their places
		if i == j {
			return nil, 0
		}
		all[i], all[j] = all[j], all[i]
		all[i].Seq, all[j].Seq = all[j].Seq, all[i].Seq
		return all, int64(min(i, j) + 1)
	case 14: // an old one copied behind a later one
		return slices.Insert(all, max(i, j)+1, all[min(i, j)]), int64(min(i, j) + 1)
	case 15: // an old one copied behind a later one, with the number of its place
		e := all[min(i, j)]
		e.Seq = int64(max(i, j) + 2)
		return slices.Insert(all, max(i, j)+1, e), e.Seq
	}
	if fmt.Sprintf("%+v", *e) == before {
		return nil, 0
	}
	return all, at
}

// named is the entry that the report calls the first that is not good.
func named(r Report) int64 {
	switch {
	case r.Unchecked > 0 && (r.Fault == nil || r.FirstOpen < r.Fault.Seq):
		return r.FirstOpen
	case r.Fault != nil:
		return r.Fault.Seq
	}
	return 0
}

func checkDamage(t testing.TB, all []Entry, kind, i, j int, text string) {
	t.Helper()
	damaged, first := damage(all, kind, i, j, text)
	if first == 0 {
		return
	}
	r := verify(t, damaged, headOf(all), []Key{oldKey, newKey})
	if got := named(r); got != first {
		t.Errorf("kind %d at %d and %d, text %q: got #%d, want #%d: %s", kind%16, i%len(all)+1, j%len(all)+1, text, got, first, r)
	}
}

// TestDamageIsNamed does every kind of damage at every place of ledgers with and
// without keys.
func TestDamageIsNamed(t *testing.T) {
	for _, letters := range []string{"oooooo", "------", "--oonn", "onnnno"} {
		all := chain(keys(letters)...)
		for kind := range 16 {
			for i := range all {
				for j := range all {
					for _, text := range []string{"", "x", all[j].Hash, all[j].KeyID, all[j].Actor, `{}`} {
						checkDamage(t, all, kind, i, j, text)
					}
				}
			}
		}
	}
}

// TestLongLedger does damage at random places of a long ledger.
func TestLongLedger(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	all := chain(slices.Concat(slices.Repeat(keys("-"), 100), slices.Repeat(keys("o"), 700), slices.Repeat(keys("n"), 700))...)
	if r := verify(t, all, headOf(all), keys("on"), all[300].Head(), Head{1400, all[1399].Hash[:12]}); r.Verdict() != IntegrityOnly || r.Keyless != 100 || r.Known != 2 {
		t.Fatalf("got %s", r)
	}
	for range 100 {
		checkDamage(t, all, rng.IntN(16), rng.IntN(len(all)), rng.IntN(len(all)), fmt.Sprint(rng.IntN(4)))
	}
}

func FuzzDamage(f *testing.F) {
	for kind := range 16 {
		f.Add(uint8(1), uint8(2), uint8(3), uint8(kind), uint8(2), uint8(1), "x")
	}
	f.Fuzz(func(t *testing.T, without, olds, news, kind, i, j uint8, text string) {
		all := slices.Concat(slices.Repeat(keys("-"), int(without%8)), slices.Repeat(keys("o"), int(olds%8)), slices.Repeat(keys("n"), int(news%8)))
		if len(all) > 1 {
			checkDamage(t, chain(all...), int(kind), int(i), int(j), text)
		}
	})
}
