// Package play runs scenario scripts: plain-text stories that a person can read, in
// which people type and click in Slack, things happen at Heroku, time passes, and the
// bot answers. It is the same player for tests, on a testing/synctest clock, and for
// the demo, on the real one.
//
// It is not a test framework and knows nothing of the bot: it drives both simulators
// through their /_control interface over HTTP, and reads there what people saw.
//
// Invariants: what the bot shows is consumed in order, per person and per channel; a
// message counts for one line; a line that fails names itself, what it wanted, and the
// nearest things that came instead.
//
// The lines of a script are documented at [Parse].
package play
