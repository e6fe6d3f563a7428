package slack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	slackgo "github.com/slack-go/slack"
	"github.com/slack-go/slack/slackevents"
	"github.com/slack-go/slack/socketmode"

	"example.com/zdd/sim/slack"
)

func TestACommandNobodyAcknowledgesTimesOut(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		defer b.connect(nil)()
		b.do("type requester /zdd status")
		b.pass(3*time.Second - time.Millisecond)
		b.wantSeen()
		b.pass(time.Millisecond)
		b.wantSeen(`timeout slack→requester: /zdd failed with the error "operation_timeout"`)
	})
}

func TestACommandWithoutALinkFails(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.do("type requester /zdd status")
		b.wantSeen(`timeout slack→requester: /zdd failed with the error "dispatch_failed"`)
	})
}

func TestWordsThatAreNoCommand(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		b.do("type requester /other")
		b.do("type requester #ops hello")
		b.do("type requester thread last /zdd status")
		b.wantSeen(
			`notice slack→requester: /other is not a valid command. In Slack, all messages that start with the "/" character are interpreted as commands.`,
			"post requester→#ops: hello",
			"notice slack→requester: /zdd is not supported in threads. Sorry!")
	})
}

func TestAnAcknowledgementMayCarryTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		payload any
		want    string
	}{
		{"nothing", nil, ""},
		{"ephemeral", map[string]any{"text": "*yes*"}, "ephemeral bot→requester: yes"},
		{"in channel", map[string]any{"text": "yes", "response_type": "in_channel"}, "post bot→#ops: yes"},
		{"just under 20 KB", map[string]any{"text": strings.Repeat("y", 19<<10)}, "ephemeral bot→requester: " + strings.Repeat("y", 19<<10)},
		{"20 KB is dropped", map[string]any{"text": strings.Repeat("y", 20<<10)}, `timeout slack→requester: /zdd failed with the error "operation_timeout"`},
		{"blocks Slack would refuse", map[string]any{"text": "x", "blocks": []any{map[string]any{"type": "nope"}}}, "notice slack→requester: Slack could not show the app's answer: invalid_blocks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				link := b.dial()
				b.do("type requester #ops /zdd x")
				link.ack(link.next()["envelope_id"].(string), tt.payload)
				b.pass(5 * time.Second)
				if tt.want == "" {
					b.wantSeen()
				} else {
					b.wantSeen(tt.want)
				}
			})
		})
	}
}

func TestEachEnvelopeGoesToOneLink(t *testing.T) {
	for pattern, want := range map[slack.Delivery][2]int{
		slack.RoundRobin: {10, 10},
		slack.Random:     {-1, -1},
		slack.Duplicate:  {20, 20},
	} {
		t.Run(string(pattern), func(t *testing.T) {
			inBubble(t, slack.Options{Deliver: pattern, Seed: 1}, func(b *bubble) {
				links := []*rawLink{b.dial(), b.dial()}
				for i := range 20 {
					b.do(fmt.Sprint("type requester /zdd ", i))
				}
				var got [2]int
				seen := map[string]int{}
				for i, l := range links {
					for _, e := range l.all() {
						got[i]++
						seen[e["envelope_id"].(string)]++
						l.ack(e["envelope_id"].(string), nil)
					}
				}
				if want[0] >= 0 && got != want {
					t.Errorf("each link: got %v, want %v", got, want)
				}
				if len(seen) != 20 {
					t.Errorf("envelopes: got %d, want 20", len(seen))
				}
				if pattern == slack.Random && (got[0]+got[1] != 20 || got[0] == 0 || got[1] == 0 || got[0] == 10) {
					t.Errorf("random: got %v, want 20 shared out unevenly", got)
				}
				b.pass(5 * time.Second)
				b.wantSeen() // one acknowledgement is enough, two do no harm
			})
		})
	}
}

func TestEventsAreSentAgainUntilAcknowledged(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		link := b.dial()
		start := time.Now()
		b.do("type requester #ops @zdd status shop")
		var got []string
		ids, envelopes := map[any]bool{}, map[any]bool{}
		for {
			e, ok := link.tryNext(time.Hour)
			if !ok {
				break
			}
			payload := e["payload"].(map[string]any)
			ids[payload["event_id"]] = true
			envelopes[e["envelope_id"]] = true
			got = append(got, fmt.Sprint(e["retry_attempt"], " ", e["retry_reason"], " ", time.Since(start)))
		}
		want := []string{"0  0s", "1 timeout 3s", "2 timeout 1m6s", "3 timeout 6m9s"}
		if !slices.Equal(got, want) {
			t.Errorf("deliveries: got %q, want %q", got, want)
		}
		if len(ids) != 1 || len(envelopes) != 4 {
			t.Errorf("got %d event ids and %d envelope ids, want 1 and 4", len(ids), len(envelopes))
		}
	})
}

func TestAnAcknowledgedEventIsNotSentAgain(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		var mentions []slackevents.AppMentionEvent
		handle := acking(t, nil)
		defer b.connect(func(c *socketmode.Client, ev socketmode.Event) {
			handle(c, ev)
			if outer, ok := ev.Data.(slackevents.EventsAPIEvent); ok {
				mentions = append(mentions, *outer.InnerEvent.Data.(*slackevents.AppMentionEvent))
			}
		})()
		b.do("type requester #ops @zdd status <shop>")
		b.pass(time.Hour)
		if len(mentions) != 1 {
			t.Fatalf("mentions: got %d, want 1", len(mentions))
		}
		got := mentions[0]
		if got.Text != "<@U0ZDDBOT> status &lt;shop&gt;" || got.User != "U0REQUESTER" || got.Channel != "C0OPS" || got.ThreadTimeStamp != "" || got.UserTeam != "" && got.UserTeam != "T0ACME" {
			t.Errorf("mention: got %+v", got)
		}
		b.do("type requester thread last @zdd again")
		if len(mentions) != 2 || mentions[1].ThreadTimeStamp != got.TimeStamp {
			t.Errorf("mention in a thread: got %+v, want thread %s", mentions[1:], got.TimeStamp)
		}
		b.do("event-repeat 3")
		b.do("type requester #ops @zdd thrice")
		if len(mentions) != 5 {
			t.Errorf("a repeated event: got %d mentions in all, want 5", len(mentions))
		}
	})
}

func TestWhatTheAppDoesNotHear(t *testing.T) {
	for name, lines := range map[string][]string{
		"a channel it is not in":   {"type requester #random @zdd hi"},
		"words without a mention":  {"type requester #ops zdd hi"},
		"no scope for mentions":    {"scope remove app_mentions:read", "type requester #ops @zdd hi"},
		"no scope for direct ones": {"scope remove im:history", "type requester dm hi"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, slack.Options{}, func(b *bubble) {
				link := b.dial()
				for _, line := range lines {
					b.do(line)
				}
				if e, ok := link.tryNext(time.Minute); ok {
					t.Errorf("heard %v, want nothing", e)
				}
			})
		})
	}
}

func TestDirectMessagesAreHeardTheAppsOwnToo(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		var heard []string
		handle := acking(t, nil)
		defer b.connect(func(c *socketmode.Client, ev socketmode.Event) {
			handle(c, ev)
			if outer, ok := ev.Data.(slackevents.EventsAPIEvent); ok {
				m := outer.InnerEvent.Data.(*slackevents.MessageEvent)
				heard = append(heard, fmt.Sprintf("%s %s bot=%s sub=%s %s", m.ChannelType, m.User, m.BotID, m.SubType, m.Text))
			}
		})()
		b.do("type requester dm status shop")
		_, ts, err := b.api.PostMessage("U0REQUESTER", slackgo.MsgOptionText("working", false))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := b.api.UpdateMessage("D0REQUESTER", ts, slackgo.MsgOptionText("done", false)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{
			"im U0REQUESTER bot= sub= status shop",
			"im U0ZDDBOT bot=B0ZDD sub= working",
			"im  bot= sub=message_changed ",
		}
		if !slices.Equal(heard, want) {
			t.Errorf("heard:\n got %q\nwant %q", heard, want)
		}
		b.wantSeen("dm requester→#dm: status shop", "dm bot→requester: working", "update bot→requester: done")
	})
}

func TestAnUnknownEnvelopeReachesTheClient(t *testing.T) {
	inBubble(t, slack.Options{}, func(b *bubble) {
		var notes []string
		defer b.connect(acking(t, &notes))()
		b.do(`send-raw {"type":"tomorrow","envelope_id":"E1","payload":{}}`)
		if !slices.Contains(notes, "error_bad_message") {
			t.Errorf("got %v, want error_bad_message in it", notes)
		}
		if got := b.sim.Links(); got != 1 {
			t.Errorf("links: got %d, want 1", got)
		}
	})
}
