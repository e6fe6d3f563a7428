package chat

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// fuse ends a program at a chosen moment: at that effect on Slack or on the database,
// before it happens or before its answer arrives. A dead program does nothing more; the
// one that is started after renew does.
type fuse struct {
	mu    sync.Mutex
	left  int // moments until the end; below zero: none comes
	spent int // effects
	dead  bool
}

// light has the program die at the moment n: 2k is before the effect k, 2k+1 after it.
func (f *fuse) light(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.spent, f.dead = n, 0, false
}

func (f *fuse) renew() { f.light(-1) }

func (f *fuse) blown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func (f *fuse) die() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
}

// spend counts one effect, and says whether it happens and whether its answer arrives.
func (f *fuse) spend() (happens, answered bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false, false
	}
	f.spent++
	switch f.left {
	case 0:
		f.dead = true
		return false, false
	case 1:
		return true, false // whoever makes it happen says when it has
	}
	f.left = max(f.left-2, -1) // never crosses zero but through it
	return true, true
}

func (f *fuse) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.spent
}

// serve is the simulated Slack, as far as the program lives to talk to it.
func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/api/")
	counted := strings.HasPrefix(method, "chat.") || strings.HasPrefix(method, "files.") || strings.HasPrefix(method, "conversations.") || strings.HasPrefix(r.URL.Path, "/upload/")
	f := s.memory.fuse
	switch {
	case strings.HasPrefix(r.URL.Path, "/_control/"), !counted && !f.blown():
		s.sim.ServeHTTP(w, r)
		return
	case !counted:
		panic(http.ErrAbortHandler)
	}
	happens, answered := f.spend()
	if happens && answered {
		s.sim.ServeHTTP(w, r)
		return
	}
	if happens {
		s.sim.ServeHTTP(httptest.NewRecorder(), r)
		f.die()
	}
	panic(http.ErrAbortHandler)
}
