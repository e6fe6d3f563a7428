package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/slack-go/slack"
)

// maxAltText is the longest description of an image (files.getUploadURLExternal), in
// characters.
const maxAltText = 1000

// file is what goes into a message's thread beside its words.
type file struct {
	name string // zdd-2026-11-22.csv
	alt  string // what an image shows; empty: it is none
	data []byte
}

// attach shares a file in the thread of a message, once, as the record of target says:
// Slack's own id of the upload is the key that messages have not. It needs files:write and
// membership. Where files are not allowed the record says so, and nothing waits for it.
// What may pass is noted in c.files, beside what is left of messages.
func (c *courier) attach(ctx context.Context, l letter, read func(context.Context) (file, error)) error {
	messages := c.delay
	c.delay = c.files
	err := c.noted(ctx, l.target, c.upload(ctx, l, read))
	c.delay, c.files = messages, c.delay
	return err
}

func (c *courier) upload(ctx context.Context, l letter, read func(context.Context) (file, error)) error {
	b := c.bot
	p := c.record(l.target)
	if p.TS != "" || p.Lost != "" {
		return nil
	}
	p.Channel, p.Rev = l.in, max(p.Rev, 1)
	doubt := !p.Busy.IsZero() // it was about to be shared when something ended us
	if doubt {
		if until := p.Busy.Add(b.cfg.Timing.Unsure); time.Now().Before(until) {
			c.wait(until, "a file is being shared")
			return nil
		}
		switch ts, err := b.findFile(ctx, p, l.thread); {
		case errors.Is(err, errBlind): // sharing it again does nothing where it was done
		case limited(err):
			c.wait(time.Now().Add(max(retryAfter(err), time.Second)), "slack asks to be left alone")
			return nil
		case err != nil:
			return &trouble{err}
		case ts != "":
			p.TS, p.Busy = p.Hash, time.Time{}
			return c.save(ctx, nil, &p)
		}
	}
	if p.Hash == "" {
		if done, err := c.send(ctx, &p, read); done || err != nil {
			return err
		}
	}
	if ours, err := c.turn(ctx, p.Channel); !ours || err != nil {
		return err
	}
	p.Busy = time.Now()
	if err := c.save(ctx, nil, &p); err != nil {
		return err
	}
	after := p
	var until time.Time
	err := c.save(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, b.cfg.Timing.HTTP)
		defer cancel()
		_, err := b.api.slack.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
			Files: []slack.FileSummary{{ID: p.Hash}}, Channel: p.Channel, ThreadTimestamp: l.thread,
		})
		after.Busy = time.Time{}
		switch {
		case err == nil, slackCode(err) == "file_not_found" && doubt:
			after.TS = p.Hash
		case limited(err):
			until = time.Now().Add(max(retryAfter(err), time.Second))
		case unsent(err):
			until = time.Now().Add(3 * b.cfg.Timing.Again)
		case passing(err):
			return &trouble{err}
		case slackCode(err) == "file_not_found": // Slack has forgotten the upload
			after.Hash = ""
			until = time.Now().Add(b.cfg.Timing.Again)
		default:
			c.lose(&after, err)
		}
		return nil
	}, &after)
	if err != nil {
		return err
	}
	if !until.IsZero() {
		c.wait(until, "slack does not take the file yet")
	}
	return nil
}

// send hands a file to Slack, without showing it to anybody, and records its id. done
// says that there is nothing more to do for now.
func (c *courier) send(ctx context.Context, p *Post, read func(context.Context) (file, error)) (done bool, err error) {
	b := c.bot
	f, err := read(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return true, fmt.Errorf("make %s: %w", p.Target, err)
	case err != nil: // what stands in words does not wait for it
		return true, &trouble{fmt.Errorf("make it: %w", err)}
	}
	if len(f.data) == 0 {
		return true, nil
	}
	var until time.Time
	err = c.save(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*b.cfg.Timing.HTTP) // two requests
		defer cancel()
		place, err := b.api.slack.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{
			FileName: f.name, FileSize: len(f.data), AltTxt: shorten(oneLine(f.alt), maxAltText),
		})
		if err == nil {
			err = b.api.put(ctx, place.UploadURL, f.data)
		}
		switch {
		case err == nil:
			p.Hash = place.FileID
		case limited(err):
			until = time.Now().Add(max(retryAfter(err), time.Second))
		case passing(err):
			return &trouble{err}
		default:
			c.lose(p, err)
		}
		return nil
	}, p)
	if err != nil {
		return true, err
	}
	if !until.IsZero() {
		c.wait(until, "slack asks to be left alone")
	}
	return p.Hash == "", nil
}

// findFile looks for the message that shows the file of p.
func (b *Bot) findFile(ctx context.Context, p Post, thread string) (ts string, err error) {
	return b.look(ctx, p, thread, func(m slack.Message) bool {
		for _, f := range m.Files {
			if f.ID == p.Hash {
				return true
			}
		}
		return false
	})
}

// put uploads a file to the address that Slack gave for it. It takes no token: the
// address is a secret of its own, and stays out of errors.
func (a *api) put(ctx context.Context, address string, data []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return errors.New("upload: not an address")
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := a.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return fmt.Errorf("upload: %w", err)
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, 4096)) // "OK - 123", which nobody needs
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		return responseError(res, nil)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("upload: HTTP %d", res.StatusCode) // another try, with a new address
	case err != nil:
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}
