package heroku

import (
	"cmp"
	"crypto/sha256"
	"slices"
	"time"
)

// start makes a dyno that begins at from and is up one boot later.
func (a *app) start(from time.Time, p *proc, num int, r *release) *dyno {
	d := &dyno{id: a.mint("dyno", a.id), typ: p.typ, command: a.command(p.typ), num: num, size: p.size, release: r}
	a.boots(d, from)
	a.dynos = append(a.dynos, d)
	return d
}

// boots begins a life of a dyno.
func (a *app) boots(d *dyno, from time.Time) {
	d.from, d.crashedAt, d.breaksAt, d.crashes = from, time.Time{}, time.Time{}, a.bootCrash
	d.readyAt = from.Add(a.timing.boot)
	d.upAt = d.readyAt
	if d.typ == "web" {
		if a.code.bind != bindReady {
			d.upAt = from.Add(min(a.timing.boot, earlyBind))
		}
		if d.upAt.Sub(from) > a.timing.timeout { // R10: it is killed, and counts as crashed
			d.upAt, d.crashes = from.Add(a.timing.timeout), true
		}
	}
	d.routedAt = d.upAt
}

// running are the dynos of a type that no end is set for, by number.
func (a *app) running(typ string) []*dyno {
	var ds []*dyno
	for _, d := range a.dynos {
		if d.typ == typ && d.hiddenAt.IsZero() {
			ds = append(ds, d)
		}
	}
	slices.SortFunc(ds, func(x, y *dyno) int { return cmp.Compare(x.num, y.num) })
	return ds
}

// scale moves a process type to a quantity: new dynos start, the highest
// numbers stop.
func (a *app) scale(now time.Time, p *proc, quantity int) {
	if p.quantity != quantity {
		p.quantity, p.updatedAt, a.updatedAt = quantity, now, now
	}
	r := a.current(now)
	if r == nil {
		return
	}
	have := a.running(p.typ)
	for n := len(have); n < quantity; n++ {
		a.start(now, p, n+1, r)
	}
	for _, d := range have[min(quantity, len(have)):] {
		d.hiddenAt, d.goneAt = now, now
	}
}

// resize changes the size of a process type, which restarts its dynos at once:
// preboot does not cover it (Dev Center, "Preboot").
func (a *app) resize(now time.Time, p *proc, size dynoSize) {
	if p.size.name == size.name {
		return
	}
	p.size, p.updatedAt, a.updatedAt = size, now, now
	a.restartType(now, p)
}

// restartType stops every dyno of a type and starts it anew: an interruption.
func (a *app) restartType(now time.Time, p *proc) {
	r := a.current(now)
	for _, d := range a.running(p.typ) {
		d.hiddenAt, d.goneAt = now, now
		a.start(now, p, d.num, r)
	}
}

// roll moves every dyno to the current release, in the way of its runtime:
// under preboot the web dynos hand over, in a space a quarter of them at a
// time is replaced, otherwise all stop and start.
func (a *app) roll(at time.Time) {
	handover, had := a.preboots(), len(a.dynos)
	for _, p := range a.procs {
		switch {
		case p.typ == "web" && handover:
			a.handOver(at, p)
		case p.typ == "web" && a.space != nil:
			a.rollInQuarters(at, p)
		default:
			a.restartType(at, p)
		}
		a.scale(at, p, p.quantity) // a first release starts what the formation asks for
	}
	for i, d := range a.dynos[had:] {
		if a.code.crash == crashHandOver && d.typ == "web" {
			d.breaksAt = d.routedAt.Add(earlyBreak + time.Duration(i)*time.Second)
		}
	}
}

func (a *app) handOver(at time.Time, p *proc) {
	for _, d := range a.running(p.typ) {
		a.relieve(at, p, d)
	}
	a.lockedUntil = latest(a.lockedUntil, at.Add(a.timing.handover()))
}

// relieve starts a successor of a dyno, which takes over after preboot's window.
func (a *app) relieve(at time.Time, p *proc, d *dyno) {
	d.hiddenAt, d.goneAt = at, at.Add(a.timing.handover())
	fresh := a.start(at, p, d.num, a.current(at))
	fresh.routedAt = latest(fresh.upAt, at.Add(a.timing.switches()))
}

// rollInQuarters stops and changes a quarter of the dynos at a time, rounded up, while the
// others serve: a single one is interrupted (Dev Center, "Rolling Deploys").
func (a *app) rollInQuarters(at time.Time, p *proc) {
	r := a.current(at)
	old := a.running(p.typ)
	step := max(1, (len(old)+3)/4)
	from, next := at, at
	for i, d := range old {
		if i%step == 0 {
			from = next
		}
		d.hiddenAt, d.goneAt = from, from
		next = a.start(from, p, d.num, r).upAt
	}
}

// recycle restarts the web dynos whose time has come: Heroku does so once a day, each at a
// time of its own (Dev Center, "Dyno Restarts").
func (a *app) recycle(now time.Time) {
	if a.cycle <= 0 {
		return
	}
	for _, d := range a.running("web") { // what nobody saw of a long past is not lived again
		if each := a.cycles(d).Sub(d.from); now.Sub(d.from) >= 3*each {
			a.boots(d, d.from.Add(now.Sub(d.from).Truncate(each)-each))
		}
	}
	for {
		var first *dyno
		for _, d := range a.running("web") {
			if first == nil || a.cycles(d).Before(a.cycles(first)) {
				first = d
			}
		}
		if first == nil || now.Before(a.cycles(first)) {
			return
		}
		a.replace(a.cycles(first), a.proc("web"), first)
	}
}

// cycles is when a dyno is restarted: after its time and up to 15 % of that more, as a day
// and up to 216 minutes.
func (a *app) cycles(d *dyno) time.Time {
	return d.from.Add(a.cycle + time.Duration(share(d.id)*0.15*float64(a.cycle)))
}

// replace restarts one dyno: with preboot on by relieving it, otherwise by stopping it.
// Whether that locks the formation is in no source: assumed not.
func (a *app) replace(at time.Time, p *proc, d *dyno) {
	if p.typ == "web" && a.preboots() {
		a.relieve(at, p, d)
		return
	}
	d.hiddenAt, d.goneAt = at, at
	a.start(at, p, d.num, a.current(at))
}

// share is a number from 0 to 1 that goes with an id.
func share(id string) float64 {
	sum := sha256.Sum256([]byte(id))
	return float64(sum[0]) / 255
}

// nextDue is when something happens to an app by itself after now; zero: nothing that is
// known yet.
func (a *app) nextDue(now time.Time) time.Time {
	var next time.Time
	due := func(at time.Time) {
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, r := range a.releases {
		if !r.rolled {
			due(r.doneAt)
		}
	}
	for _, d := range a.dynos {
		for _, at := range []time.Time{d.from, d.upAt, d.routedAt, d.breaksAt, d.hiddenAt, d.goneAt} {
			due(at)
		}
		if !d.crashedAt.IsZero() {
			due(d.crashedAt.Add(a.timing.cooldown))
		}
		if a.cycle > 0 && d.typ == "web" && d.hiddenAt.IsZero() {
			due(a.cycles(d))
		}
	}
	if s := a.scaler; s != nil && s.active {
		if web := a.proc("web"); web != nil {
			due(latest(web.updatedAt, s.since).Add(a.timing.autoscale))
		}
	}
	return next
}
