package heroku

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// patience is how long a visitor of the simulator's own waits for a page.
const patience = 5 * time.Second

// mostTraffic bounds the requests a second of one app.
const mostTraffic = 1000

// traffic is visitors of the simulator's own, who come at a constant rate whatever the
// answers do, without cookies, and ask for the front page.
type traffic struct {
	perSecond float64
	once      sync.Once
	done      chan struct{}
}

func (t *traffic) end() { t.once.Do(func() { close(t.done) }) }

func doTraffic(s *Server, now time.Time, args []string) (string, error) {
	a, args, err := s.appArg(now, args)
	if err != nil {
		return "", err
	}
	if len(args) != 1 {
		return "", fmt.Errorf("want a number of requests a second, or off")
	}
	rate := 0.0
	if args[0] != "off" {
		rate, err = strconv.ParseFloat(args[0], 64)
		if err != nil || !(rate > 0 && rate <= mostTraffic) {
			return "", fmt.Errorf("%q is neither off nor a number up to %d", args[0], mostTraffic)
		}
	}
	select {
	case <-s.closed:
		return "", fmt.Errorf("the simulator is closed")
	default:
	}
	st := s.site(a)
	if st.traffic != nil {
		st.traffic.end()
		st.traffic = nil
	}
	if rate == 0 {
		return a.name + " has no visitors of the simulator's own", nil
	}
	st.traffic = &traffic{perSecond: rate, done: make(chan struct{})}
	t, host := st.traffic, a.host
	s.router.work.Go(func() { s.visit(t, host) })
	return fmt.Sprintf("%s gets %v requests a second", a.name, rate), nil
}

// visit sends requests until the traffic ends.
func (s *Server) visit(t *traffic, host string) {
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	began := time.Now()
	for n := 0; ; n++ {
		due := time.NewTimer(time.Until(began.Add(time.Duration(float64(n) / t.perSecond * float64(time.Second)))))
		select {
		case <-due.C:
			work.Go(func() { s.visitOnce(ctx, host) })
		case <-t.done:
			due.Stop()
			return
		case <-s.closed:
			due.Stop()
			return
		}
	}
}

// visitOnce asks for the front page, straight at the router: no connection is needed for
// whom nobody else sees.
func (s *Server) visitOnce(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { // the way that a connection is cut
			panic(v)
		}
	}()
	r := (&http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: "/"}, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {"Mozilla/5.0 (visitor)"}}, Body: http.NoBody, RemoteAddr: "198.51.100.7:443",
	}).WithContext(ctx)
	s.route(unread{}, r)
}

// unread is an answer that nobody keeps.
type unread struct{}

func (unread) Header() http.Header         { return http.Header{} }
func (unread) Write(p []byte) (int, error) { return len(p), nil }
func (unread) WriteHeader(int)             {}
