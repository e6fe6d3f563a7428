package ledger

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// shortHash is how many hex digits of a hash are shown to people. 48 bits can't be
// matched by trying while the key is unknown, and are still read out over a phone.
const shortHash = 12

// Head is the end of the chain: who knows it can tell whether the ledger still holds
// everything up to there. The zero Head is that of an empty ledger.
type Head struct {
	Seq  int64
	Hash string // 64 hex digits; of a Head that people copied, at least the first 12
}

// String is the head as people see it: #1234 ab12cd34ef56.
func (h Head) String() string {
	return strings.TrimSpace(fmt.Sprintf("#%d %.*s", h.Seq, shortHash, h.Hash))
}

// names says whether h, which may be short, is that of e.
func (h Head) names(e Entry) bool {
	return h.Seq == e.Seq && len(h.Hash) >= shortHash && strings.HasPrefix(e.Hash, h.Hash)
}

// ParseHead reads what String prints, with the whole hash or any part of it from 12
// digits on. Back quotes, and a missing #, as they come with copying, do no harm.
func ParseHead(text string) (Head, error) {
	bad := func(why string) (Head, error) {
		return Head{}, fmt.Errorf("%q is not a ledger head: %s; copy it as it was printed, like #1234 ab12cd34ef56", text, why)
	}
	words := strings.Fields(strings.Trim(text, "` \t\r\n"))
	if len(words) != 2 {
		return bad("it has to be a number and a hash")
	}
	seq, err := strconv.ParseUint(strings.TrimPrefix(words[0], "#"), 10, 63)
	if err != nil || seq < 1 {
		return bad("its number is not that of an entry")
	}
	hash := strings.ToLower(strings.TrimRight(words[1], "…."))
	if len(hash) < shortHash || len(hash) > hex.EncodedLen(32) || strings.Trim(hash, "0123456789abcdef") != "" {
		return bad(fmt.Sprintf("its hash has to be %d to 64 hex digits", shortHash))
	}
	return Head{Seq: int64(seq), Hash: hash}, nil
}
