package rollout

import (
	"cmp"
	"slices"
	"time"
)

// handOver is how long before the end that plan.HandOver tells a hand-over began.
const handOver = 6 * time.Minute

// Timing holds every wait and bound of a rollout, but for soak and settle: how long
// those last is in the plan, and was approved with it. Zero fields take their defaults.
type Timing struct {
	// Hurry divides soak and settle. Default 1, and nothing else where visitors are real:
	// only a demo that nobody would watch for that long sets it, and says so.
	Hurry int
	// HandOver is how long after new dynos of an app with preboot began to start its old
	// ones may still serve and its formation be locked. Default what plan.HandOver counts
	// with, 6 min, which is also the most; less is for a Heroku that is hurried itself.
	HandOver time.Duration
	// Blocked is how often a rollout looks whether what stands in its way has gone.
	// Default 30 s: a look is about ten calls of the account's 75 a minute.
	Blocked time.Duration
	// Settle is how often the dynos are looked at while they settle. Default 20 s: a
	// dyno has 60 s to bind its port, so no crash at boot is older than that when it is seen.
	Settle time.Duration
	// SettleMost is how much longer than the plan's wait the dynos may take to come up.
	// Default 30 min: a boot time-out is 3 min at most, and a dyno that crashes is
	// started again after 20.
	SettleMost time.Duration
	// Glance is how often a wait looks whether somebody cancelled it. It asks Heroku
	// nothing. Default 15 s: a person watches for that long.
	Glance time.Duration
	// Fresh is how old a reading may be for a write to stand on it. Default 5 s: it has
	// to cover the transaction that announces the write, and nothing else.
	Fresh time.Duration
	// ReadBack is the first pause before a write is read back once more, doubled each
	// time. Default 1 s.
	ReadBack time.Duration
	// ReadBackMost is how long a write is read back for in one go. Default 10 s: after
	// that it is looked at again later, and other work can have the worker.
	ReadBackMost time.Duration
	// Retry is the shortest pause before trying again in trouble. Default 5 s. The pause
	// grows with the time that the trouble lasts, up to RetryMost.
	Retry time.Duration
	// RetryMost is the longest such pause. Default 2 min: a ticket goes on that soon
	// after Heroku is back.
	RetryMost time.Duration
	// Trouble is how long a rollout may get nowhere before it ends. Default 2 h: an
	// approval is for today's app, and incidents at Heroku mostly pass in that time.
	Trouble time.Duration
	// Looks are when the app is looked at again after the end. Default 2, 15 and 60 min:
	// Heroku's autoscaler acts within a minute or two, scaling add-ons within ten, a
	// pipeline with Terraform within the hour.
	Looks []time.Duration
	// LookLate is how late a look may be before it is given up. Default 30 min.
	LookLate time.Duration
}

func (t Timing) withDefaults() Timing {
	t.Hurry = max(t.Hurry, 1)
	t.HandOver = min(cmp.Or(t.HandOver, handOver), handOver)
	t.Blocked = cmp.Or(t.Blocked, 30*time.Second)
	t.Settle = cmp.Or(t.Settle, 20*time.Second)
	t.SettleMost = cmp.Or(t.SettleMost, 30*time.Minute)
	t.Glance = cmp.Or(t.Glance, 15*time.Second)
	t.Fresh = cmp.Or(t.Fresh, 5*time.Second)
	t.ReadBack = cmp.Or(t.ReadBack, time.Second)
	t.ReadBackMost = cmp.Or(t.ReadBackMost, 10*time.Second)
	t.Retry = cmp.Or(t.Retry, 5*time.Second)
	t.RetryMost = cmp.Or(t.RetryMost, 2*time.Minute)
	t.Trouble = cmp.Or(t.Trouble, 2*time.Hour)
	t.LookLate = cmp.Or(t.LookLate, 30*time.Minute)
	if len(t.Looks) == 0 {
		t.Looks = []time.Duration{2 * time.Minute, 15 * time.Minute, time.Hour}
	}
	t.Looks = slices.Clone(t.Looks)
	return t
}
