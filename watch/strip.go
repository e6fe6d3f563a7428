package watch

import "time"

// Cell is a stretch of a watch, as a strip or a chart shows it.
type Cell struct {
	At       time.Time
	Lasts    time.Duration
	Due      int
	OK       int
	Bad      int
	Own      int
	Slowest  time.Duration // of those that were answered well
	Mark     Mark
	Release  bool // one was made in it
	Switched bool // the app first told the new version in it
}

// Mark is what a cell comes to in one sign.
type Mark string

// The marks, the worst last.
const (
	MarkNone Mark = ""     // nothing is known of it: not yet, or nothing was due
	MarkGood Mark = "good" // all that was sent was answered well
	MarkSlow Mark = "slow" // and one of it took longer than Slow
	MarkOwn  Mark = "own"  // what was sent says nothing of the app: our network, or maintenance mode
	MarkBad  Mark = "bad"  // some of it failed
	MarkDown Mark = "down" // all of it did
)

// Slow is what a visitor takes for waiting: a second interrupts their thought (Nielsen).
const Slow = time.Second

// StripStep is how long a cell of a running watch is.
const StripStep = 10 * time.Second

// Strip draws a watch as n cells: of a running one the last n stretches of [StripStep], the
// one that now is in being the last; of one that has ended all of it. A stretch before the
// watch began has no mark.
func (w Watch) Strip(n int, now time.Time) []Cell {
	if n <= 0 || w.Began.IsZero() {
		return nil
	}
	began := w.Began.Truncate(time.Second)
	step := StripStep
	var from time.Time
	if w.State == Ended && w.Ended.After(began) {
		seconds := int64((w.Ended.Sub(began) + time.Second - 1) / time.Second)
		step = time.Duration((seconds+int64(n)-1)/int64(n)) * time.Second // whole seconds, as they are counted
		from = began
		n = int((seconds + int64(step/time.Second) - 1) / int64(step/time.Second))
	} else {
		// Cells keep their place from one picture to the next: they are counted from the beginning.
		from = began.Add(step * (now.Sub(began)/step + 1 - time.Duration(n)))
	}
	cells := make([]Cell, n)
	for i := range cells {
		cells[i] = Cell{At: from.Add(time.Duration(i) * step), Lasts: step}
	}
	cell := func(at time.Time) *Cell {
		i := at.Sub(from) / step
		if at.Before(from) || int(i) >= n {
			return nil
		}
		return &cells[i]
	}
	for _, s := range w.Seconds {
		if c := cell(time.Unix(s.At, 0)); c != nil {
			c.Due, c.OK, c.Bad, c.Own = c.Due+s.Due, c.OK+s.OK, c.Bad+s.Bad, c.Own+s.Own
			c.Slowest = max(c.Slowest, s.Slowest)
		}
	}
	for i := range cells {
		cells[i].Mark = cells[i].mark()
	}
	for _, in := range w.Windows {
		if c := cell(in.From.Add(early)); c != nil {
			c.Release = true
		}
	}
	if c := cell(w.Switch); c != nil && !w.Switch.IsZero() {
		c.Switched = true
	}
	return cells
}

func (c Cell) mark() Mark {
	switch {
	case c.Due == 0:
		return MarkNone
	case c.Bad > 0 && c.OK == 0:
		return MarkDown
	case c.Bad > 0:
		return MarkBad
	case c.OK == 0:
		return MarkOwn
	case c.Slowest > Slow:
		return MarkSlow
	}
	return MarkGood
}
