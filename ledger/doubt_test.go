package ledger

import (
	"fmt"
	"slices"
	"testing"
)

func TestDoubt(t *testing.T) {
	both := []Key{oldKey, newKey}
	for name, c := range map[string]struct {
		chain  string
		keys   []Key
		change func(all []Entry, stored *Head) []Entry
		known  func(all []Entry) []Head
		doubt  int64
		breaks int
	}{
		"whole":                                 {"oonn", both, nil, nil, 0, 0},
		"the old key is not given":              {"oonn", []Key{newKey}, nil, nil, 2, 0},
		"no key was set at first":               {"--oo", both, nil, nil, 0, 0},
		"altered":                               {"ooooo", both, func(all []Entry, _ *Head) []Entry { all[1].Ticket = "W-9"; return all }, nil, 2, 1},
		"removed":                               {"ooooo", both, func(all []Entry, _ *Head) []Entry { return slices.Delete(all, 2, 3) }, nil, 2, 1},
		"removed in two places":                 {"oooooo", both, func(all []Entry, _ *Head) []Entry { return slices.Delete(slices.Delete(all, 4, 5), 1, 2) }, nil, 4, 2},
		"the first removed":                     {"oooo", both, func(all []Entry, _ *Head) []Entry { return all[1:] }, nil, 0, 1},
		"altered, under a key that was made up": {"ooooo", both, func(all []Entry, _ *Head) []Entry { all[2].KeyID, all[2].Ticket = "deadbeef", "W-9"; return all }, nil, 3, 1},
		"re-computed without a key from some point on": {"ooooo", both, func(all []Entry, stored *Head) []Entry {
			for i := 2; i < len(all); i++ {
				all[i] = Key{}.Seal(all[i-1].Head(), entry(9))
			}
			*stored = headOf(all)
			return all
		}, nil, 5, 3},
		"cut off, and the head set back; nobody knows": {"oooo", both, func(all []Entry, stored *Head) []Entry { *stored = headOf(all[:2]); return all[:2] }, nil, 0, 0},
		"cut off, and the head was told": {"oooo", both, func(all []Entry, stored *Head) []Entry { *stored = headOf(all[:2]); return all[:2] },
			func(all []Entry) []Head { return []Head{{3, all[2].Hash[:12]}} }, 2, 1},
		"cut off, and grown over what was told": {"oooo", both, func(all []Entry, stored *Head) []Entry {
			all = all[:2]
			for i := range 3 {
				all = append(all, oldKey.Seal(headOf(all), entry(20+i)))
			}
			*stored = headOf(all)
			return all
		}, func(all []Entry) []Head { return []Head{{3, all[2].Hash[:12]}} }, 5, 1},
		"put in behind the head": {"oooo", both, func(all []Entry, _ *Head) []Entry { return append(all, oldKey.Seal(headOf(all), entry(9))) }, nil, 5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			all := chain(keys(c.chain)...)
			stored := headOf(all)
			var known []Head
			if c.known != nil {
				known = c.known(all)
			}
			if c.change != nil {
				all = c.change(slices.Clone(all), &stored)
			}
			if r := verify(t, all, stored, c.keys, known...); r.Doubt != c.doubt || r.Breaks != c.breaks {
				t.Errorf("got a doubt up to #%d and %d breaks, want #%d and %d: %s", r.Doubt, r.Breaks, c.doubt, c.breaks, r)
			}
		})
	}
}

// TestBehindTheDoubtNothingIsGone does every kind of damage, one and two of them: whatever
// entry is still there, fits its key, and is behind Report.Doubt has everything behind it that
// was written after it.
func TestBehindTheDoubtNothingIsGone(t *testing.T) {
	for _, letters := range []string{"oooooo", "--oonn", "onnnno"} {
		was := chain(keys(letters)...)
		whole := map[string]bool{}
		for _, e := range was {
			whole[fmt.Sprintf("%+v", e)] = true
		}
		check := func(what string, damaged []Entry) {
			r := verify(t, damaged, headOf(was), []Key{oldKey, newKey})
			there := map[int64]bool{}
			for _, e := range damaged {
				if whole[fmt.Sprintf("%+v", e)] {
					there[e.Seq] = true
				}
			}
			for _, e := range damaged {
				if e.KeyID == "" || !there[e.Seq] || e.Seq <= r.Doubt {
					continue
				}
				for _, after := range was[e.Seq:] {
					if !there[after.Seq] {
						t.Fatalf("%s, %s: #%d is gone or altered, and #%d is believed, behind #%d: %s", letters, what, after.Seq, e.Seq, r.Doubt, r)
					}
				}
			}
		}
		texts := []string{"x", "", was[0].Hash}
		for kind := range 16 {
			for i := range was {
				for j := range was {
					text := texts[(kind+i+j)%len(texts)]
					one, first := damage(was, kind, i, j, text)
					if first == 0 {
						continue
					}
					check(fmt.Sprintf("kind %d at %d and %d", kind, i, j), one)
					for again := range 16 {
						if len(one) < 2 {
							continue
						}
						if two, first := damage(one, again, j, i, text); first != 0 {
							check(fmt.Sprintf("kind %d at %d and %d, then kind %d", kind, i, j, again), two)
						}
					}
				}
			}
		}
	}
}
