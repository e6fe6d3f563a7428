// Package storetest is the conformance suite of package store: what every query
// must do on SQLite and on PostgreSQL alike. Each concern of the store has a file
// here and a line in Run.
//
// It is not a fake: it runs on real databases only.
package storetest

import (
	"testing"

	"example.com/zdd/store"
)

// Run holds the databases that place names against the suite. Each call of place
// names an empty database; the suite opens it as often as it needs replicas or
// restarts, and closes what it opened.
func Run(t *testing.T, place func(t *testing.T) store.Options) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, o store.Options)
	}{
		{"open", testOpen},
		{"race", testOpenRace},
		{"tx", testTx},
		{"envelopes", testEnvelopes},
		{"envelopes race", testEnvelopesRace},
		{"ended context", testEndedContext},
		{"ledger", testLedger},
		{"ledger pages", testLedgerPages},
		{"ledger last", testLedgerLast},
		{"ledger race", testLedgerRace},
		{"ledger guard", testLedgerGuard},
		{"ledger doubt", testLedgerDoubt},
		{"jobs", testJobs},
		{"jobs order", testJobsOrder},
		{"jobs group", testJobsGroup},
		{"jobs race", testJobsRace},
		{"jobs locked", testJobsLocked},
		{"tickets", testTickets},
		{"tickets many", testTicketsMany},
		{"tickets race", testTicketsRace},
		{"tickets lock", testTicketsLock},
		{"tickets step", testTicketsStep},
		{"waivers", testWaivers},
		{"waivers unreadable", testWaiversUnreadable},
		{"waivers race", testWaiversRace},
		{"deploy watches", testDeployWatches},
		{"deploy watches race", testDeployWatchesRace},
		{"proofs", testProofs},
		{"forget watches", testForgetWatches},
		{"requests", testRequests},
		{"requests race", testRequestsRace},
		{"posts", testPosts},
		{"posts race", testPostsRace},
		{"nights", testNights},
		{"nights race", testNightsRace},
		{"first look", testFirstLook},
		{"standings", testStandings},
		{"standings many", testStandingsMany},
		{"turns", testTurns},
		{"looks", testLooks},
		{"looks due", testDueLooks},
		{"watching", testWatching},
		{"watching race", testWatchingRace},
		{"prune", testPrune},
		{"migrate", testMigrate},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, place(t)) })
	}
}

// open opens a store that lives as long as the test.
func open(t *testing.T, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
