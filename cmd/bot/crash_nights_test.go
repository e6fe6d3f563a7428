//go:build unix

package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/zdd/audit"
	"example.com/zdd/commands"
	"example.com/zdd/fleet"
	"example.com/zdd/ledger"
	simslack "example.com/zdd/sim/slack"
	"example.com/zdd/store"
)

// crashNights is what is left of a campaign's nights.
type crashNights struct {
	scheduled []string // dates that were to have their night; nil: that is not looked at
	nights    []audit.Night
	begun     []string // nights that the processes' logs tell of
	parts     []crashPart
	judged    []judgement
}

// crashPart is a message of a digest, or a file, as Slack has it in the end.
type crashPart struct {
	channel, ts, thread string // ids; thread: the ts of the message that it replies to
	night, target       string // by its metadata
	ticket              string // or watch, by its metadata
	file, fileID        string // name; empty: it is none
	text                string // the message as JSON
}

// repeat says whether the message tells that it may be one.
func (p crashPart) repeat() bool {
	return strings.Contains(p.text, "Posted again") || strings.Contains(p.text, "may be a repeat")
}

// judgement is one app that a night's scan has read and judged, as the database itself
// wrote it down.
type judgement struct {
	app   fleet.ID
	night string
	at    time.Time // when the app was read
}

// mostAsked is how many nights a campaign asks for; on one date there are 49 out of turn.
const mostAsked = 42

// The channels that are told of nights. The second one's apps are those of which the
// policy says so.
const crashHome, crashShop = "C0OPS", "C0SHOP"

// policy are the company's rules, with the campaign's slot.
func (c campaign) policy() string {
	if c.slot.IsZero() {
		return crashPolicy + "digest: { channel: " + crashHome + ", timezone: Europe/Berlin }\n"
	}
	at := c.slot.In(crashZone())
	return crashPolicy + fmt.Sprintf("digest: { channel: %s, timezone: %s, schedule: %q, post_at: %q }\n",
		crashHome, at.Location(), at.Format("4 15 * * *"), at.Format("15:04"))
}

func crashZone() *time.Location {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err) // the program has all zones in it
	}
	return zone
}

// prepare has the database write down each standing that is stored, as a witness of who
// was judged when. Where the slot is over, the bot is one that was there before it.
func (c campaign) prepare(t *testing.T, database string, options store.Options) {
	t.Helper()
	kept, err := store.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if !c.slot.IsZero() && c.slot.Before(time.Now()) {
		_, err = kept.FirstLook(t.Context(), c.slot.Add(-time.Minute))
	}
	if err := errors.Join(err, kept.Close()); err != nil {
		t.Fatal(err)
	}
	witness := []string{
		`CREATE TABLE crash_judged (body TEXT NOT NULL)`,
		`CREATE TRIGGER crash_new AFTER INSERT ON standings BEGIN INSERT INTO crash_judged VALUES (NEW.body); END`,
		`CREATE TRIGGER crash_again AFTER UPDATE ON standings BEGIN INSERT INTO crash_judged VALUES (NEW.body); END`,
	}
	if c.postgres {
		witness = []string{
			`CREATE TABLE crash_judged (body TEXT NOT NULL)`,
			`CREATE FUNCTION crash_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO crash_judged VALUES (NEW.body); RETURN NEW; END $$`,
			`CREATE TRIGGER crash_any AFTER INSERT OR UPDATE ON standings FOR EACH ROW EXECUTE FUNCTION crash_note()`,
		}
	}
	db := c.raw(t, database)
	defer db.Close()
	for _, statement := range witness {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// raw is the database without the store.
func (c campaign) raw(t *testing.T, database string) *sql.DB {
	t.Helper()
	driver, name := "sqlite", strings.TrimPrefix(database, "sqlite:")
	if c.postgres {
		driver, name = "pgx", database
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// night asks the process for a night out of turn. One that is killed before it begins it
// has forgotten that.
func (r *replica) night() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == replicaUp || r.state == replicaStopped {
		fmt.Fprintln(r.stdin, "night") // the process may be gone
	}
}

// askForNights asks for nights out of turn until no more are to begin, evenly over the
// time that the kills are likely to take; some of them of all replicas at once. When it
// returns there is one at least, and the scheduled one has begun, if it ever does.
func (c campaign) askForNights(t *testing.T, s *siege, noMore <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(c.seed, 5))
	killTakes := c.pace.breath * 3 / 2
	gap := killTakes * time.Duration(c.kills) / time.Duration(c.nights)
	for asked := 0; asked < c.nights; {
		select {
		case <-noMore:
			asked = c.nights
			continue
		case <-t.Context().Done():
			return
		case <-time.After(gap/2 + time.Duration(rnd.Int64N(int64(gap)))):
		}
		s.world.asked.Store(time.Now().UnixNano())
		if len(s.replicas) > 1 && rnd.IntN(4) == 0 {
			for _, r := range s.replicas {
				r.night()
			}
			asked += len(s.replicas)
			continue
		}
		s.replicas[rnd.IntN(len(s.replicas))].night()
		asked++
	}
	<-noMore
	kept, err := store.Open(t.Context(), s.options)
	if err != nil {
		t.Error(err)
		return
	}
	defer kept.Close()
	begun := func(outOfTurn bool) bool {
		nights, err := kept.Nights(t.Context(), time.Time{}, 0)
		return err == nil && slices.ContainsFunc(nights, func(n audit.Night) bool { return n.OutOfTurn() == outOfTurn })
	}
	s.people.await(t.Context(), time.Until(c.slot)+connecting, func() bool { return begun(false) })
	if !begun(true) {
		s.replicas[0].night()
		s.people.await(t.Context(), connecting, func() bool { return begun(true) })
	}
}

// readNights gathers what is left of the nights, once the bot has stopped.
func (r *crashRecord) readNights(t *testing.T, c campaign, s *siege, kept *store.Store) {
	t.Helper()
	ctx := t.Context()
	if !c.slot.IsZero() {
		r.scheduled = []string{c.slot.In(crashZone()).Format(time.DateOnly)}
	}
	nights, err := kept.Nights(ctx, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nights {
		whole, err := kept.Night(ctx, n.ID)
		if err != nil {
			t.Fatal(err)
		}
		r.nights = append(r.nights, whole)
	}
	for _, channel := range []string{crashHome, crashShop} {
		parts, err := s.world.digestsIn(ctx, channel)
		if err != nil {
			t.Fatal(err)
		}
		r.parts = append(r.parts, parts...)
	}
	db := c.raw(t, cmp.Or(s.options.URL.Reveal(), s.options.Path))
	defer db.Close()
	if r.judged, err = judgements(ctx, db); err != nil {
		t.Fatal(err)
	}
	if r.begun, err = nightsLogged(c.logs); err != nil {
		t.Fatal(err)
	}
}

// judgements are what the database wrote down. An app that could not be read was not judged.
func judgements(ctx context.Context, db *sql.DB) (all []judgement, err error) {
	rows, err := db.QueryContext(ctx, `SELECT body FROM crash_judged`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		var s audit.Standing
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			return nil, err
		}
		if s.Unread == (fleet.Reason{}) && s.Gone.IsZero() {
			all = append(all, judgement{s.App, s.Night, s.ReadAt})
		}
	}
	return all, rows.Err()
}

var nightBegun = regexp.MustCompile(`msg="night begun".* ref=(\S+)`)

// nightsLogged are the nights that processes said they had begun.
func nightsLogged(folder string) (all []string, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "replica-*.log"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, found := range nightBegun.FindAllStringSubmatch(string(text), -1) {
			all = append(all, strings.Trim(found[1], `"`))
		}
	}
	return all, nil
}

// digestsIn are the parts of digests, and the files, that stand in a channel.
func (w *crashWorld) digestsIn(ctx context.Context, channel string) (all []crashPart, err error) {
	top, err := w.messages(ctx, "conversations.history", url.Values{"channel": {channel}})
	if err != nil {
		return nil, err
	}
	for _, p := range top {
		if p.night != "" {
			replies, err := w.messages(ctx, "conversations.replies", url.Values{"channel": {channel}, "ts": {p.ts}})
			if err != nil {
				return nil, err
			}
			all = append(all, slices.DeleteFunc(replies, func(r crashPart) bool { return r.ts == p.ts })...)
		}
		if p.night != "" || p.file != "" {
			all = append(all, p)
		}
	}
	return all, nil
}

// messages reads messages as a bot would.
func (w *crashWorld) messages(ctx context.Context, method string, args url.Values) (all []crashPart, err error) {
	args.Set("include_all_metadata", "true")
	args.Set("limit", "200")
	for {
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, w.slackURL+"/api/"+method, strings.NewReader(args.Encode()))
		req.Header.Set("Authorization", "Bearer "+simslack.DefaultBotToken)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		w.slack.ServeHTTP(answer, req)
		var page struct {
			OK       bool
			Error    string
			Messages []json.RawMessage
			Meta     struct {
				Next string `json:"next_cursor"`
			} `json:"response_metadata"`
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		if !page.OK {
			return nil, fmt.Errorf("%s: %s", method, page.Error)
		}
		for _, raw := range page.Messages {
			p, err := crashPartOf(args.Get("channel"), raw)
			if err != nil {
				return nil, err
			}
			all = append(all, p)
		}
		if page.Meta.Next == "" {
			return all, nil
		}
		args.Set("cursor", page.Meta.Next)
	}
}

func crashPartOf(channel string, raw json.RawMessage) (crashPart, error) {
	var m struct {
		TS       string
		Thread   string `json:"thread_ts"`
		Files    []struct{ ID, Name string }
		Metadata struct {
			Payload struct{ Ticket, Target string } `json:"event_payload"`
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return crashPart{}, err
	}
	p := crashPart{channel: channel, ts: m.TS, text: string(raw)}
	if m.Thread != m.TS {
		p.thread = m.Thread
	}
	p.ticket, p.target = m.Metadata.Payload.Ticket, m.Metadata.Payload.Target
	if night, is := strings.CutPrefix(p.ticket, "digest:"); is {
		p.night = night
	}
	if len(m.Files) > 0 {
		p.file, p.fileID = m.Files[0].Name, m.Files[0].ID
	}
	return p, nil
}

// judgeNights holds the nights against what Slack shows, the ledger tells and the
// database wrote down of them.
func (r crashRecord) judgeNights(y *tally) {
	var scheduled []string
	known := map[string]bool{}
	for _, n := range r.nights {
		known[n.ID] = true
		if !n.OutOfTurn() {
			scheduled = append(scheduled, n.ID)
		}
	}
	slices.Sort(scheduled)
	if r.scheduled != nil && !slices.Equal(scheduled, r.scheduled) {
		y.add(harmUntold, "the scheduled nights are %q, want %q", scheduled, r.scheduled)
	}
	for _, night := range r.begun {
		if !known[night] {
			y.add(harmLost, "the night %s was begun, and is not stored", night)
		}
	}
	for _, p := range r.parts {
		if p.night != "" && !known[p.night] {
			y.add(harmGhost, "a digest of %s, which was no night", p.night)
		}
	}
	for _, n := range r.nights {
		r.judgeScan(y, n)
		if n.State != audit.Told || n.Digest == nil {
			y.add(harmUntold, "the night %s is %s for ever", n.ID, n.State)
			continue
		}
		r.judgeReported(y, n)
		channels := []string{crashHome}
		for _, g := range n.Digest.Groups {
			if g.Channel != "" {
				channels = append(channels, g.Channel)
			}
		}
		slices.Sort(channels)
		for _, channel := range slices.Compact(channels) {
			r.judgeDigest(y, n, channel)
		}
	}
}

// judgeScan wants each app judged once in a night, and all that the digest counts.
func (r crashRecord) judgeScan(y *tally, n audit.Night) {
	reads := map[fleet.ID][]time.Time{}
	for _, j := range r.judged {
		if j.night == n.ID && !slices.ContainsFunc(reads[j.app], j.at.Equal) { // written again, with more
			reads[j.app] = append(reads[j.app], j.at)
		}
	}
	for app, at := range reads {
		if len(at) > 1 {
			y.add(harmScan, "%s was judged %d times in the night %s", app, len(at), n.ID)
		}
	}
	if n.State != audit.Scanning && n.Coverage.Judged != len(reads) {
		y.add(harmScan, "the night %s counts %d apps as judged, and %d were", n.ID, n.Coverage.Judged, len(reads))
	}
}

// judgeReported wants one entry in the ledger.
func (r crashRecord) judgeReported(y *tally, n audit.Night) {
	told := 0
	for _, e := range r.entries {
		var detail struct{ Night string }
		if e.Verb == ledger.Reported && json.Unmarshal(e.Detail, &detail) == nil && detail.Night == n.ID {
			told++
		}
	}
	if told != 1 {
		y.add(harmChain, "the ledger tells %d times that the digest of %s was posted", told, n.ID)
	}
}

// judgeDigest wants one message, its whole thread in order, and one table.
func (r crashRecord) judgeDigest(y *tally, n audit.Night, channel string) {
	where := n.ID + " in " + channel
	by, parents := map[string][]crashPart{}, map[string]bool{} // by target; by ts
	table := "zdd-" + strings.ReplaceAll(n.ID, "#", "-") + ".csv"
	target := "channel/" + channel
	for _, p := range r.parts {
		switch {
		case p.channel != channel:
		case p.file == table:
			by["table"] = append(by["table"], p)
		case p.night == n.ID:
			by[p.target] = append(by[p.target], p)
			if p.target == target {
				parents[p.ts] = true
			}
		}
	}
	if len(parents) == 0 {
		y.add(harmUntold, "the digest of %s was never posted", where)
		return
	}
	view := commands.View{Home: crashHome, Head: n.Digest.Head}
	if channel != crashHome {
		view.Channel = channel
	}
	_, thread := commands.DigestView(*n.Digest, view)
	wanted := []string{"table"}
	for i := range thread {
		wanted = append(wanted, fmt.Sprintf("%s/thread/%02d", target, i+1))
	}
	for _, part := range wanted {
		if len(by[part]) == 0 {
			y.add(harmTorn, "of the digest of %s there is no %s", where, part)
		}
	}
	var text strings.Builder
	for part, copies := range by {
		unmarked := 0
		for _, p := range copies {
			if !p.repeat() {
				unmarked++
			}
			if part != target && !parents[p.thread] {
				y.add(harmTorn, "of the digest of %s, %s stands elsewhere", where, part)
			}
			if strings.HasPrefix(part, target+"/thread/") {
				text.WriteString(p.text)
			}
		}
		switch {
		case unmarked > 1:
			y.add(harmDouble, "of the digest of %s, %s is there %d times", where, part, len(copies))
		case len(copies) > 1:
			y.add(notedRepeat, "")
		}
	}
	for _, g := range n.Digest.Groups {
		for _, l := range g.Lines {
			if (channel == crashHome || channel == g.Channel) && !mentions(text.String(), l.Name) {
				y.add(harmTorn, "the digest of %s does not tell of %s", where, l.Name)
			}
		}
	}
}
