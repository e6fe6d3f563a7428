package commands

import (
	"context"
	"time"
)

// Home is the page that the bot shows one person in Slack, without being asked.
type Home struct{ Sections []HomeSection }

// HomeSection is one part of a Home.
type HomeSection struct {
	Own   bool // it concerns this person alone; else all who see it see the same
	Parts []Part
}

// HomeRequest is whose page is to be made.
type HomeRequest struct {
	By  Person
	Now time.Time
	// After is how old what is shown may be: what was read before is read again. The fleet's
	// apps, of which there may be thousands, may be older by fleetOld.
	After time.Time
}

// Home makes a person's page. It is always one to show; an error, to log, says what it had
// to leave out.
func (t Table) Home(ctx context.Context, req HomeRequest) (Home, error) { return Home{}, nil }
