package main

import (
	"context"
	"log/slog"
	"time"

	"example.com/zdd/store"
)

const (
	// reopenEvery is how often a database that could not be opened is tried again.
	// Heroku's maintenance takes one away for a minute or two.
	reopenEvery = 5 * time.Second
	// openTimeout bounds one try, migrations included.
	openTimeout = time.Minute
	// deliveriesKept is how long deliveries, requests and finished jobs are remembered:
	// Slack redelivers for about six minutes, a day helps people who look into what
	// happened. Tickets, their messages and the ledger are kept for ever.
	deliveriesKept = 24 * time.Hour
	// forgetEvery is how often old deliveries are dropped.
	forgetEvery = time.Hour
	// pingTimeout bounds the question whether the database is there.
	pingTimeout = 2 * time.Second
)

// state is the store, which may come later than the bot: a database that is away must
// not keep people from asking. Until it is there, recording fails and so nothing can
// be changed.
type state struct {
	*store.Store
	log *slog.Logger
}

// newState opens the database. A SQLite file that can't be opened and a DATABASE_URL
// that never can be are errors; a PostgreSQL that is away is tried again by run.
func newState(ctx context.Context, cfg config, log *slog.Logger) (state, error) {
	options, err := cfg.storeOptions(log)
	if err != nil {
		return state{}, err
	}
	opened, err := store.Later(ctx, options)
	if err != nil {
		return state{}, err
	}
	s := state{opened, log}
	if err := s.arrive(ctx); err != nil {
		log.Warn("database is away: reading works, changing does not", "err", err)
	}
	return s, nil
}

func (s state) arrive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return s.Arrive(ctx)
}

// close closes the database, when everybody who uses it has ended.
func (s state) close() {
	if err := s.Close(); err != nil {
		s.log.Warn("database not closed cleanly", "err", err)
	}
}

// run waits for a database that is away, does first once it is there, and then drops now
// and then what nobody needs any more.
func (s state) run(ctx context.Context, first func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for away := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := s.arrive(ctx); err != nil {
			away = true
			timer.Reset(reopenEvery)
			continue
		}
		if away {
			away = false
			s.log.Info("database is back")
		}
		if first != nil {
			if err := first(ctx); err != nil {
				if ctx.Err() == nil {
					s.log.Warn("policy not recorded, trying again", "err", err)
				}
				timer.Reset(reopenEvery)
				continue
			}
			first = nil
		}
		for what, forget := range map[string]func(context.Context, time.Time) (int64, error){
			"deliveries": s.ForgetEnvelopes, "requests": s.ForgetRequests, "jobs": s.DeleteFinishedJobs,
		} {
			if _, err := forget(ctx, time.Now().Add(-deliveriesKept)); err != nil && ctx.Err() == nil {
				s.log.Warn("old records not dropped", "step", what, "err", err)
			}
		}
		timer.Reset(forgetEvery)
	}
}

// Record remembers a delivery; see store.RecordEnvelope.
func (s state) Record(ctx context.Context, id, kind string, at time.Time) (first bool, err error) {
	return s.RecordEnvelope(ctx, store.Envelope{ID: id, Kind: kind, At: at})
}

// Ready says whether the database answers, and why not.
func (s state) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	return s.Ping(ctx)
}
