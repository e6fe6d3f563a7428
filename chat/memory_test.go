package chat

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/watch"
)

// memory is what a database keeps: deliveries, requests, jobs, tickets and the records
// of messages. It outlives bots; it can be gone, hang, or be slow.
type memory struct {
	mu        sync.Mutex
	ids       map[string]bool
	requests  map[string]Accepted
	jobs      map[string]*task
	tickets   map[string]approval.Ticket
	posts     map[string]Post // by ticket and target
	nights    map[string]audit.Night
	bulletins map[string]audit.Bulletin
	standings map[fleet.ID]audit.Standing
	deploys   map[string]watch.Watch
	ledger    []string // what was recorded of digests
	fuse      *fuse
	gone      error
	hang      bool
	slow      time.Duration
	lie       bool // what is accepted is kept, and an error told
}

func newMemory() *memory {
	return &memory{ids: map[string]bool{}, requests: map[string]Accepted{}, jobs: map[string]*task{}, tickets: map[string]approval.Ticket{}, posts: map[string]Post{}, nights: map[string]audit.Night{}, bulletins: map[string]audit.Bulletin{}, fuse: &fuse{left: -1}}
}

func (m *memory) set(f func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// fetch is what a memory has under a key, unless it is away.
func fetch[K comparable, V any](ctx context.Context, m *memory, key K, of func(m *memory) map[K]V) (v V, found bool, err error) {
	if err := m.away(ctx); err != nil {
		return v, false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, found = of(m)[key]
	return v, found, nil
}

// away says how the database fails just now.
func (m *memory) away(ctx context.Context) error {
	m.mu.Lock()
	hang, gone, slow := m.hang, m.gone, m.slow
	m.mu.Unlock()
	time.Sleep(slow)
	if m.fuse.blown() {
		return errCrash
	}
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return gone
}

func (m *memory) Record(ctx context.Context, id, kind string, at time.Time) (bool, error) {
	if err := m.away(ctx); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	isNew := !m.ids[id]
	m.ids[id] = true
	return isNew, nil
}

func (m *memory) AcceptRequest(ctx context.Context, a Accepted) (bool, error) {
	if err := m.away(ctx); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids[a.ID] {
		return false, nil
	}
	m.ids[a.ID] = true
	m.requests[a.ID] = a
	m.jobs[WorkCommand+":"+a.ID] = &task{id: WorkCommand + ":" + a.ID, at: time.Now()}
	if m.lie {
		return false, errors.New("commit: connection reset")
	}
	return true, nil
}

func (m *memory) Request(ctx context.Context, id string) (Accepted, error) {
	if err := m.away(ctx); err != nil {
		return Accepted{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.requests[id]
	if !ok {
		return Accepted{}, ErrNoRequest
	}
	return a, nil
}

func (m *memory) Ticket(ctx context.Context, id string) (approval.Ticket, error) {
	if err := m.away(ctx); err != nil {
		return approval.Ticket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tickets[id]
	if !ok {
		return approval.Ticket{}, approval.ErrNoTicket
	}
	return t, nil
}

func (m *memory) Posts(ctx context.Context, ticket string) ([]Post, error) {
	if err := m.away(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Post
	for _, key := range slices.Sorted(maps.Keys(m.posts)) {
		if p := m.posts[key]; p.Ticket == ticket {
			out = append(out, p)
		}
	}
	return out, nil
}

func (m *memory) SavePost(ctx context.Context, _ *sql.Tx, p Post) error {
	if err := m.away(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := p.Ticket + " " + p.Target
	if m.posts[key].Version != p.Version {
		return ErrPostChanged
	}
	p.Version++
	m.posts[key] = p
	return nil
}

// task is a job.
type task struct {
	id       string
	at       time.Time
	failures int
	running  bool
	done     bool
	last     string // what the handler said last
}

func (m *memory) job(id string) task {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.jobs[id]; t != nil {
		return *t
	}
	return task{}
}

// queue runs the tasks of a memory, one at a time, as the job queue does.
type queue struct {
	memory   *memory
	handlers map[string]func(context.Context, Job) error
	wake     chan struct{}
	stepped  func()             // called at each step; nil: not
	crash    func(j *held) bool // whether the program dies between the deed and the record of a step
}

func newQueue(m *memory) *queue { return &queue{memory: m, wake: make(chan struct{}, 1)} }

func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// lease is how long a job is left alone whose program died.
const lease = time.Minute

func (q *queue) run(ctx context.Context) {
	for {
		q.memory.mu.Lock()
		var due *task
		next := 30 * time.Second
		for _, id := range slices.SortedFunc(maps.Keys(q.memory.jobs), func(a, b string) int {
			return cmp.Or(q.memory.jobs[a].at.Compare(q.memory.jobs[b].at), strings.Compare(a, b))
		}) {
			if t := q.memory.jobs[id]; !t.done && !t.running {
				if wait := time.Until(t.at); wait > 0 {
					next = min(next, wait)
				} else if due == nil {
					due = t
					t.running = true
				}
			}
		}
		q.memory.mu.Unlock()
		if due == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			case <-time.After(next):
			}
			continue
		}
		kind, _, _ := strings.Cut(due.id, ":")
		err := q.handlers[kind](ctx, &held{q: q, id: due.id})
		q.memory.mu.Lock()
		due.running, due.last = false, ""
		var wait *later
		switch {
		case err == nil:
			due.done = true
		case errors.As(err, &wait):
			due.at, due.last = wait.at, err.Error()
			if soonest := time.Now().Add(time.Second); due.at.Before(soonest) {
				due.at = soonest
			}
		case errors.Is(err, errCrash):
			due.at, due.last = time.Now().Add(lease), err.Error()
		default:
			due.at, due.last = time.Now().Add(2*time.Second<<min(due.failures, 6)), err.Error()
			due.failures++
		}
		q.memory.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

// held is a job while it runs.
type held struct {
	q    *queue
	id   string
	step int
}

var errCrash = errors.New("the program died")

type later struct {
	at  time.Time
	why string
}

func (l *later) Error() string { return "waits: " + l.why }

func (h *held) ID() string                           { return h.id }
func (h *held) Later(at time.Time, why string) error { return &later{at, why} }

func (h *held) Step(ctx context.Context, do func(context.Context) error, record func(context.Context, *sql.Tx) error) error {
	h.step++
	if h.q.stepped != nil {
		h.q.stepped()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if do != nil {
		if err := do(ctx); err != nil {
			return err
		}
		if h.q.crash != nil && h.q.crash(h) {
			return errCrash
		}
	}
	if record == nil {
		return nil
	}
	return h.q.memory.commit(func() error { return record(ctx, nil) })
}

// commit is a transaction: all of it happens or nothing, whenever the program dies.
func (m *memory) commit(write func() error) error {
	happens, answered := m.fuse.spend()
	if !happens {
		return errCrash
	}
	err := write()
	if !answered {
		m.fuse.die()
		return errCrash
	}
	return err
}

// tell stores tickets, or revisions of one, and the jobs that tell of them, at once.
func (s *stage) tell(tickets ...approval.Ticket) {
	s.memory.set(func(m *memory) {
		for _, t := range tickets {
			m.tickets[t.ID] = t
			id := approval.WorkTell + ":" + t.ID + ":" + itoa(t.Rev)
			m.jobs[id] = &task{id: id, at: time.Now()}
		}
	})
	s.queue.Wake()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// tellReply renders tickets: who may do something has buttons.
func tellReply(t approval.Ticket, to Audience) commands.Reply {
	text := t.ID + " rev " + itoa(t.Rev) + " is " + string(t.State) + " for " + string(to)
	if t.Reason != "" {
		text += ": " + t.Reason
	}
	reply := commands.Reply{Summary: text, Parts: []commands.Part{commands.Para{Text: commands.Line(text)}}}
	if t.State == approval.Pending {
		row := []commands.Button{{Label: "Cancel", Run: "deny " + t.ID}}
		if to == ToApprovers {
			row = []commands.Button{{Label: "Approve", Run: "approve " + t.ID}, {Label: "Deny", Run: "deny " + t.ID, Ask: &commands.Ask{Title: "Deny", Label: "Why?"}}}
		}
		reply.Parts = append(reply.Parts, commands.Buttons{Row: row})
	}
	return reply
}
