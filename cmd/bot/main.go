// Command bot is zdd: a Slack bot that makes every deploy of a Heroku fleet a
// zero-downtime deploy. This package is the wiring and nothing else: flags,
// environment, signals, logging and exit codes live here and in no other package.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"time"
	_ "time/tzdata" // time zones in the policy must work on a machine that has none installed

	"example.com/zdd/audit"
	"example.com/zdd/chat"
	"example.com/zdd/jobs"
	"example.com/zdd/rollout"
	"example.com/zdd/watch"
)

// Exit codes, the same for every program of the bot's.
const (
	exitGood     = 0
	exitError    = 1
	exitUsage    = 2
	exitFindings = 3 // what was looked at is not good
	exitUnknown  = 4 // it could not be told
)

// outside is everything of the process that a test replaces.
type outside struct {
	Getenv  func(string) string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Color   bool                                                              // Stdout is a terminal that shows colours
	Prompt  bool                                                              // Stdin is a terminal that a person types at
	Rollout rollout.Timing                                                    // of rollouts; the zero value is production's, and only the demo shortens some
	Queue   jobs.Timing                                                       // of the job queue; likewise, and only tests shorten any
	Night   <-chan struct{}                                                   // begins a nightly scan out of turn; nil: never, and only the demo does
	Look    bool                                                              // looks at the fleet once when it starts for the first time, and tells nobody; likewise
	Chat    chat.Timing                                                       // of the talk with Slack; likewise
	Scan    audit.ScanTiming                                                  // of the nightly scan; likewise
	Watch   audit.WatchTiming                                                 // of the looks between the nights; likewise, and the demo shortens them
	Deploys watch.Timing                                                      // of watches of deploys; likewise
	Probe   watch.Dial                                                        // opens the connections of probes; nil: public addresses only, and only the demo and tests have another
	Lookup  func(ctx context.Context, host string) ([]netip.Addr, error)      // addresses of a host, for the doctor; nil: the machine's resolver
	Browse  func(address string) error                                        // opens a page on the person's desktop; nil: there is none
	Width   int                                                               // columns of Stdout; 0: not a terminal
	Meter   bool                                                              // Stderr is a terminal, where a progress bar can be drawn
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the network
	Started func()                                                            // called by serve once its database is open; nil: nothing is
}

// now is the time. Tests run on the clock of their bubble.
func (o outside) now() time.Time { return time.Now() }

// exit is an error that carries the exit code; the zero message prints nothing.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o := process()
	if log, err := readConfig(o.Getenv).logger(o); err == nil { // a wrong LOG_LEVEL is told by the program
		// net/http and others print to the standard logger, now and then with bytes that
		// a server sent: they go through the redacting one.
		stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelWarn).Writer())
		stdlog.SetFlags(0)
	}
	code := run(ctx, os.Args[1:], o)
	stop()
	os.Exit(code)
}

// program is one of the bot's programs: bot <name> …
type program struct {
	Name    string
	Usage   string
	Summary string
	More    string // what its --help says beyond that; may be empty
	Run     func(ctx context.Context, args []string, o outside) error
}

func (p program) printHelp(w io.Writer) {
	fmt.Fprintf(w, "bot %s\n\n  %s\n", p.Usage, p.Summary)
	if p.More != "" {
		fmt.Fprintln(w, "\n"+p.More)
	}
}

// asksHelp says whether the word asks for help where a program's name is expected. Behind
// a program's name a bare "help" does not: an app may have that name.
func asksHelp(word string) bool {
	return slices.Contains([]string{"help", "-h", "--help", "-help"}, word)
}

// programs are all of them, in the order of help. The first is what a bare "bot" runs.
func programs() []program {
	return []program{
		{"serve", "serve", "connect to Slack and answer; what Procfile runs, and bot without a word", "", serveProgram},
		{"demo", demoUsage, "try it in a browser: a simulated Slack and Heroku, no credentials, nothing leaves this machine; --terminal: without the browser", demoHelp, demoProgram},
		{"status", "status APP [--json]", "say whether an app's deploys are zero-downtime; needs only HEROKU_API_KEY", "", statusProgram},
		{"report", reportUsage, "read the whole fleet now and say which apps are ready; needs only HEROKU_API_KEY", "", reportProgram},
		{"watch", watchUsage, "probe an app while it is deployed, and say whether anybody noticed; needs only HEROKU_API_KEY", watchHelp, watchProgram},
		{"history", "history [APP]", "who did what, from the ledger, and when an app's checks turned, newest first", "", historyProgram},
		{"ledger", "ledger verify|export", "prove that the record of who did what is whole, or write it out", "", ledgerProgram},
		{"doctor", "doctor [--json]", "check tokens, scopes, clock, database, policy and channels, and say how to mend each", "", doctorProgram},
		{"version", "version", "print the version", "", versionProgram},
	}
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, o outside) int {
	all := programs()
	name := all[0].Name
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	asked := asksHelp(name) // bot help PROGRAM is bot PROGRAM --help
	switch {
	case asked && (len(args) == 0 || asksHelp(args[0])):
		printUsage(o.Stdout, all)
		return exitGood
	case asked && len(args) > 1:
		return report(usage("help [PROGRAM]"), o)
	case asked:
		name = args[0]
	case name == "--version" || name == "-version":
		name = "version"
	}
	for _, p := range all {
		if p.Name != name {
			continue
		}
		if asked || len(args) > 0 && args[0] != "help" && asksHelp(args[0]) {
			p.printHelp(o.Stdout)
			return exitGood
		}
		return report(p.Run(ctx, args, o), o)
	}
	fmt.Fprintf(o.Stderr, "bot: there is no program %q\n\n", name)
	printUsage(o.Stderr, all)
	return exitUsage
}

// report turns how a program ended into its exit code, with one line for a person.
func report(err error, o outside) int {
	if err == nil {
		return exitGood
	}
	code := exitError
	if e, ok := errors.AsType[*exit](err); ok {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(o.Stderr, "bot:", readConfig(o.Getenv).redact(text))
	}
	return code
}

func printUsage(w io.Writer, all []program) {
	fmt.Fprintln(w, "zdd makes every deploy of your Heroku apps a zero-downtime deploy.\n\nUsage:")
	for _, p := range all {
		if len(p.Usage) > 22 {
			fmt.Fprintf(w, "  bot %s\n      %-22s %s\n", p.Usage, "", p.Summary)
			continue
		}
		fmt.Fprintf(w, "  bot %-22s %s\n", p.Usage, p.Summary)
	}
	fmt.Fprintln(w, "\nbot without a word is bot serve. bot PROGRAM --help says more of one, as bot demo --help does.\nExit codes: 0 good, 1 error, 2 usage, 3 findings, 4 could not tell.\nThe environment is described in docs/configuration.md; the policy file in zdd.example.yml.")
}

func usage(p string) error { return &exit{exitUsage, "usage: bot " + p} }
