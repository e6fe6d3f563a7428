package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"example.com/zdd/ledger"
	"example.com/zdd/store"
)

// ledgerProgram verifies and exports the ledger. It needs only the database, and the
// key where entries are sealed with one.
func ledgerProgram(ctx context.Context, args []string, o outside) error {
	const line = "ledger verify [--head '#N HASH'] | ledger export [--csv]"
	if len(args) == 0 || args[0] != "verify" && args[0] != "export" {
		return usage(line)
	}
	flags := flag.NewFlagSet("ledger", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	head := flags.String("head", "", "")
	asCSV := flags.Bool("csv", false, "")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return usage(line)
	}
	var known []ledger.Head
	if strings.TrimSpace(*head) != "" {
		h, err := ledger.ParseHead(*head)
		if err != nil {
			return &exit{exitUsage, err.Error()}
		}
		known = append(known, h)
	}
	cfg := readConfig(o.Getenv)
	opened, err := openExisting(ctx, cfg)
	if err != nil {
		return err
	}
	defer opened.Close()
	if args[0] == "verify" {
		return verifyLedger(ctx, cfg, opened, known, o)
	}
	write := ledger.WriteJSONLines
	if *asCSV {
		write = ledger.WriteCSV
	}
	_, err = write(o.Stdout, opened.Ledger(ctx, 1))
	return err
}

// openExisting opens the bot's database for a look at it, and makes no empty one.
func openExisting(ctx context.Context, cfg config) (*store.Store, error) {
	options, err := cfg.storeOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if path := cmp.Or(options.Path, store.DefaultPath); options.URL.IsZero() {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("there is no database at %s: set DATABASE_URL to the bot's, or run this where the bot runs", path)
		}
	}
	return store.Open(ctx, options)
}

// verifyLedger checks the chain. A known head, copied from a message in Slack, shows what no
// chain can show by itself: that its end was not cut off.
func verifyLedger(ctx context.Context, cfg config, opened *store.Store, known []ledger.Head, o outside) error {
	report, err := opened.VerifyLedger(ctx, cfg.ledgerKeys(), known...)
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Stdout, report)
	switch report.Verdict() {
	case ledger.Broken:
		return &exit{code: exitFindings}
	case ledger.CouldNotTell, ledger.IntegrityOnly: // who writes the database could have rewritten it all without a key
		return &exit{code: exitUnknown}
	}
	return nil
}
