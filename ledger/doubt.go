package ledger

// Damage is what a Damaged entry tells, in its Detail: that the chain did not hold when it
// was verified, and up to where what is told proves nothing any more.
type Damage struct {
	Doubt int64  `json:"doubt"` // see Report
	Why   string `json:"why"`   // Fault.Text
}

// doubter goes through the whole chain, behind its first fault too, and finds up to where
// it can't be relied on: whoever has one entry may ask whether any of those that came
// after it can be gone. That is not so behind the last place where something is amiss.
type doubter struct {
	keys   map[string]Key
	known  []Head
	before Entry // the one read before, fitting or not
	top    int64 // the highest number of those read
	sealed bool  // whether one before was sealed with one of the keys
	cut    bool  // a head that was known is not there: whatever is, may lack what followed it
	breaks int
	doubt  int64
}

// take holds an entry against the one before it, whatever that one is.
func (d *doubter) take(e Entry) {
	key, given := d.keys[e.KeyID]
	switch {
	case given && !key.Fits(e), e.KeyID == "" && d.sealed, !given && d.sealed:
		// A key that nobody gave, behind one that was, may be one that somebody made up, so
		// that the entry's content can't be checked and its place in the chain is kept.
		d.breaks++
		d.doubt = max(d.top, e.Seq)
	case e.Seq != d.before.Seq+1 || e.Prev != d.before.Hash:
		d.breaks++
		d.doubt = d.top
	case !given:
		d.doubt = max(d.top, e.Seq)
	}
	for _, h := range d.known {
		d.cut = d.cut || h.Seq == e.Seq && !h.names(e)
	}
	d.before, d.top, d.sealed = e, max(d.top, e.Seq), d.sealed || given && e.KeyID != ""
}

// end holds the last entry against the heads that tell of more.
func (d *doubter) end(stored Head) {
	for _, h := range d.known {
		d.cut = d.cut || h.Seq > d.top
	}
	if d.cut || stored != d.before.Head() {
		d.breaks++
		d.doubt = d.top
	}
}
