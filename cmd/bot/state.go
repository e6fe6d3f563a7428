package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"example.com/zdd/store"
)

const (
	// reopenEvery is how often a database that could not be opened is tried again.
	// Heroku's maintenance takes one away for a minute or two.
	reopenEvery = 5 * time.Second
	// openTimeout bounds one try, migrations included.
	openTimeout = time.Minute
	// envelopesKept is how long a delivery is remembered: Slack redelivers for about
	// six minutes, a day helps people who look into what happened.
	envelopesKept = 24 * time.Hour
	// forgetEvery is how often old deliveries are dropped.
	forgetEvery = time.Hour
	// pingTimeout bounds the question whether the database is there.
	pingTimeout = 2 * time.Second
)

// state is the store, which may come later than the bot: a database that is away must
// not keep people from asking. Until it is there, recording fails and so nothing can
// be changed.
type state struct {
	options store.Options
	log     *slog.Logger

	mu    sync.Mutex
	store *store.Store // nil until it is open
	last  error        // why it is not
}

// newState opens the database. A SQLite file that can't be opened and a DATABASE_URL
// that never can be are errors; a PostgreSQL that is away is tried again by run.
func newState(ctx context.Context, cfg config, log *slog.Logger) (*state, error) {
	options, err := cfg.storeOptions(log)
	if err != nil {
		return nil, err
	}
	s := &state{options: options, log: log, last: errNotOpen}
	if err := s.open(ctx); err != nil {
		if !cfg.onPostgres() || errors.Is(err, store.ErrURL) {
			return nil, err
		}
		log.Warn("database is away: reading works, changing does not", "err", err)
	}
	return s, nil
}

var errNotOpen = errors.New("the database is not open yet")

func (s *state) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	opened, err := store.Open(ctx, s.options)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store, s.last = opened, err
	return err
}

// close closes the database, when everybody who uses it has ended.
func (s *state) close() {
	if open, err := s.current(); err == nil {
		if err := open.Close(); err != nil {
			s.log.Warn("database not closed cleanly", "err", err)
		}
	}
}

// run opens what is not open yet and forgets old deliveries.
func (s *state) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		open, err := s.current()
		if err != nil {
			if err := s.open(ctx); err != nil {
				timer.Reset(reopenEvery)
				continue
			}
			s.log.Info("database is back")
			open, _ = s.current()
		}
		if n, err := open.ForgetEnvelopes(ctx, time.Now().Add(-envelopesKept)); err != nil && ctx.Err() == nil {
			s.log.Warn("old deliveries not dropped", "err", err)
		} else if n > 0 {
			s.log.Debug("old deliveries dropped", "count", n)
		}
		timer.Reset(forgetEvery)
	}
}

func (s *state) current() (*store.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		return nil, s.last
	}
	return s.store, nil
}

// Record remembers a delivery; see store.RecordEnvelope.
func (s *state) Record(ctx context.Context, id, kind string, at time.Time) (first bool, err error) {
	open, err := s.current()
	if err != nil {
		return false, err
	}
	return open.RecordEnvelope(ctx, store.Envelope{ID: id, Kind: kind, At: at})
}

// Ready says whether the database answers, and why not.
func (s *state) Ready(ctx context.Context) error {
	open, err := s.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return open.Ping(ctx)
}
