package chat_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/zdd/approval"
	"example.com/zdd/chat"
	"example.com/zdd/commands"
	"example.com/zdd/jobs"
	"example.com/zdd/policy"
	"example.com/zdd/secret"
	"example.com/zdd/sim/play"
	"example.com/zdd/sim/slack"
	"example.com/zdd/store"
)

// counting answers lines, and counts by origin.
type counting struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *counting) Find(line string) (commands.Command, commands.Args, error) {
	return commands.Command{Name: "enable", Changes: true}, commands.Args{}, nil
}

func (c *counting) Run(_ context.Context, line string, req commands.Request) (commands.Reply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[req.Origin]++
	text := fmt.Sprintf("%s by %s", line, req.By.ID)
	return commands.Reply{Summary: text, Parts: []commands.Part{commands.Para{Text: commands.Line(text)}}}, nil
}

// reader reads tickets.
type reader func(ctx context.Context, id string) (approval.Ticket, error)

func (r reader) Ticket(ctx context.Context, id string) (approval.Ticket, error) { return r(ctx, id) }

// TestOnTheRealStoreAndQueue plays a request and a ticket on a SQLite file and the job
// queue, over a restart: what the fakes of the other stories stand for.
func TestOnTheRealStoreAndQueue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "zdd.db")
	synctest.Test(t, func(t *testing.T) {
		sim := slack.New(slack.Options{Strict: true})
		network := &play.Network{}
		stop := network.Serve("slack.test", sim)
		web := network.Client()
		grammar := &counting{seen: map[string]int{}}
		tk := approval.Ticket{ID: "T-1", Rev: 1, State: approval.Pending, Requester: "U0REQUESTER", Approvals: 1}

		// start runs a bot, and returns how to end it.
		start := func() (s *store.Store, end func()) {
			s, err := store.Open(t.Context(), store.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			var queue *jobs.Queue
			pol := policy.Default()
			pol.Approval.Channel = "C0OPS"
			bot, err := chat.New(chat.Config{
				APIURL: "http://slack.test/api", BotToken: secret.New(slack.DefaultBotToken), AppToken: secret.New(slack.DefaultAppToken), Dial: network.Dial,
				Commands: grammar, Requests: s, Wake: func() { queue.Wake() },
				Telling: chat.Telling{
					Tickets: reader(func(context.Context, string) (approval.Ticket, error) { return tk, nil }),
					Policy:  func() policy.Policy { return pol },
					Posts:   s,
					Reply: func(t approval.Ticket, to chat.Audience) commands.Reply {
						reply := commands.Reply{Summary: t.ID + " " + string(t.State), Parts: []commands.Part{commands.Para{Text: commands.Line(t.ID, " ", string(t.State))}}}
						if t.State == approval.Pending {
							reply.Parts = append(reply.Parts, commands.Buttons{Row: []commands.Button{{Label: "Approve", Run: "approve " + t.ID}}})
						}
						return reply
					},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			queue = jobs.New(jobs.Config{Store: s, Handlers: map[string]jobs.Handler{
				chat.WorkCommand:  func(ctx context.Context, j *jobs.Job) error { return bot.Perform(ctx, j) },
				approval.WorkTell: func(ctx context.Context, j *jobs.Job) error { return bot.Tell(ctx, j) },
			}})
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			running.Go(func() {
				if err := queue.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			running.Go(func() {
				if err := bot.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(10 * time.Second)
			return s, func() {
				cancel()
				running.Wait()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		}
		do := func(line string) {
			t.Helper()
			res, err := web.Post("http://slack.test/_control/do", "text/plain", strings.NewReader(line))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 {
				t.Fatalf("%s: %s", line, res.Status)
			}
		}
		tell := func(s *store.Store) {
			t.Helper()
			err := s.Tx(t.Context(), func(tx *sql.Tx) error {
				return s.EnqueueJob(t.Context(), tx, jobs.Spec{Kind: approval.WorkTell, Key: tk.ID + ":" + strconv.FormatInt(tk.Rev, 10), Group: "tell:T-1", At: time.Now()})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		count := func(text string) (n int) {
			for _, e := range sim.Events() {
				if strings.Contains(e.Kind+" "+e.Text, text) {
					n++
				}
			}
			return n
		}

		s, end := start()
		tell(s)
		do("type requester #ops /zdd enable shop")
		time.Sleep(time.Minute)
		for text, want := range map[string]int{"ephemeral enable shop by U0REQUESTER": 1, "post T-1 pending": 1, "dm T-1 pending": 1, "timeout": 0} {
			if got := count(text); got != want {
				t.Errorf("%q was seen %d times, want %d", text, got, want)
			}
		}
		end()

		// The message was posted, and the program died before it could write that down.
		s, end = start()
		all, err := s.Posts(t.Context(), "T-1")
		if err != nil || len(all) != 2 || all[0].TS == "" || !all[0].Live {
			t.Fatalf("got records %+v, %v", all, err)
		}
		torn := all[0]
		torn.TS, torn.Rev, torn.Hash, torn.Busy = "", 0, "", time.Now().Add(-time.Minute)
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { return s.SavePost(t.Context(), tx, torn) }); err != nil {
			t.Fatal(err)
		}
		tk.Rev, tk.State = 2, approval.Denied
		tell(s)
		do("click approver Approve")
		time.Sleep(time.Minute)
		for text, want := range map[string]int{"post T-1": 1, "update T-1 denied": 2, "ephemeral approve T-1 by U0APPROVER": 1, "timeout": 0} {
			if got := count(text); got != want {
				t.Errorf("%q was seen %d times, want %d", text, got, want)
			}
		}
		if all, err = s.Posts(t.Context(), "T-1"); err != nil || len(all) != 2 || all[0].Live || all[1].Live || all[0].Rev != 2 || !all[0].Busy.IsZero() {
			t.Errorf("got records %+v, %v, want both at revision 2 and without buttons", all, err)
		}
		for origin, n := range grammar.seen {
			if n != 1 || origin == "" {
				t.Errorf("%q ran %d times", origin, n)
			}
		}
		if n, err := s.ForgetRequests(t.Context(), time.Now()); err != nil || n != 2 {
			t.Errorf("forgot %d requests, %v, want 2", n, err)
		}
		end()
		web.CloseIdleConnections()
		sim.Close()
		stop()
	})
}
