package policy

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Watching is the `watch` section: how deploys are watched, over all apps.
type Watching struct {
	Releases  WatchWhich    // whose releases are watched without being asked
	Lasts     time.Duration // how long a watch takes; it goes on for a hand-over that takes longer
	AtOnce    int           // watches
	PerSecond int           // requests, over all watches
}

// WatchWhich says whose releases are watched without being asked.
type WatchWhich string

// The words.
const (
	WatchNone       WatchWhich = "off"
	WatchProduction WatchWhich = "production" // apps in scope, in the pipeline stage production
	WatchScope      WatchWhich = "scope"      // every app in scope
)

// Probe is how one app is asked while its deploys are watched. As part of an Override an
// empty field overrides nothing.
type Probe struct {
	Path     string        `json:"path"`              // what to ask for, such as /health; a query may be part of it
	Domain   string        `json:"domain,omitzero"`   // a host of the app's own, asked by https; empty: its web_url
	Rate     int           `json:"rate"`              // requests a second
	Timeout  time.Duration `json:"timeout_ns"`        // counted from when a request was due
	Expect   string        `json:"expect"`            // statuses: codes and classes with commas, such as "200,3xx"
	Contains string        `json:"contains,omitzero"` // a text that the answer has to have in its first 64 KiB; empty: any will do

	VersionHeader string `json:"version_header,omitzero"` // the header in which the app tells its version, such as X-Release
	VersionPath   string `json:"version_path,omitzero"`   // or the path whose whole answer is that version

	Visitors      int    `json:"visitors,omitzero"`       // virtual visitors, each with its cookies; 0: none
	VisitorStart  string `json:"visitor_start,omitzero"`  // the path that logs a visitor in by being visited; empty: VisitorPath
	VisitorPath   string `json:"visitor_path,omitzero"`   // the path that shows whether they are logged in
	VisitorMarker string `json:"visitor_marker,omitzero"` // the text that it shows only then
}

// DefaultProbe is that of an app of which the policy says nothing: its front page, four
// times a second. Five seconds is what a visitor waits for a page, if that long.
func DefaultProbe() Probe {
	return Probe{Path: "/", Rate: 4, Timeout: 5 * time.Second, Expect: "2xx,3xx"}
}

// with is the probe with what another one sets. A domain of an app's own, a way to tell
// the version and visitors are set as a whole by the entry that names them.
func (p Probe) with(o Probe) Probe {
	p.Path = cmp.Or(o.Path, p.Path)
	p.Domain = cmp.Or(o.Domain, p.Domain)
	p.Rate = cmp.Or(o.Rate, p.Rate)
	p.Timeout = cmp.Or(o.Timeout, p.Timeout)
	p.Expect = cmp.Or(o.Expect, p.Expect)
	p.Contains = cmp.Or(o.Contains, p.Contains)
	if o.VersionHeader+o.VersionPath != "" {
		p.VersionHeader, p.VersionPath = o.VersionHeader, o.VersionPath
	}
	if o.Visitors != 0 {
		p.Visitors, p.VisitorStart, p.VisitorPath, p.VisitorMarker = o.Visitors, o.VisitorStart, o.VisitorPath, o.VisitorMarker
	}
	return p
}

// VisitEvery is the least time between two visits of one visitor.
const VisitEvery = 5 * time.Second

// PerSecond is how many requests a second the probe takes, at the most, of what all watches
// may send together: visits and those to VersionPath, one a second, with them.
func (p Probe) PerSecond() int {
	const every = int(VisitEvery / time.Second)
	n := p.Rate + (p.Visitors+every-1)/every
	if p.VersionPath != "" {
		n++
	}
	return n
}

// Expects says whether an answer of that status is a good one.
func (p Probe) Expects(status int) bool {
	for want := range strings.SplitSeq(p.Expect, ",") {
		if class, ok := strings.CutSuffix(want, "xx"); ok && class == strconv.Itoa(status/100) || want == strconv.Itoa(status) {
			return true
		}
	}
	return false
}
