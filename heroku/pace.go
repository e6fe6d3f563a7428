package heroku

import (
	"sync"
	"time"
)

// pace is how fast Heroku answers of late.
type pace struct {
	mu      sync.Mutex
	average time.Duration // zero: nothing was answered yet
}

// supposedPace is what an answer takes as long as none came: the API answers most
// questions about one app in a tenth to a third of a second.
const supposedPace = 250 * time.Millisecond

func (p *pace) answered(took time.Duration) {
	const weight = 16 // the newest answer counts for so much of the average: about what is under way at once
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.average == 0 {
		p.average = took
		return
	}
	p.average += (took - p.average) / weight
}

func (p *pace) now() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.average == 0 {
		return supposedPace
	}
	return p.average
}

// Expect is how long so many calls of background work take from now on, as far as it is
// known: what the account's limit lets through above the reserve, and what Heroku
// answers with as many under way as may be, whichever is slower. [Client.ReadRate] sets
// right what is known of the limit.
func (c *Client) Expect(calls int) time.Duration {
	parallel := cap(c.inner.lanes)
	turns := (calls + parallel - 1) / parallel
	return max(c.inner.bucket.lasts(time.Now(), calls), time.Duration(turns)*c.inner.pace.now())
}
