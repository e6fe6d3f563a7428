package chat

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/slack-go/slack"
)

// FatalError is a mistake in the app's settings that no waiting mends. Its text is a
// sentence for a person, with the fix.
type FatalError struct {
	Code     string // Slack's
	Sentence string
}

func (e *FatalError) Error() string { return e.Sentence }

// which token an error is about.
type tokenKind int

const (
	botToken tokenKind = iota
	appToken
)

func (k tokenKind) name() string {
	if k == appToken {
		return "SLACK_APP_TOKEN"
	}
	return "SLACK_BOT_TOKEN"
}

func (k tokenKind) fix() string {
	if k == appToken {
		return `Make an app-level token (xapp-…) with the scope connections:write on the app's page "Basic Information" and set SLACK_APP_TOKEN to it.`
	}
	return `Copy the Bot User OAuth Token (xoxb-…) from the app's page "OAuth & Permissions" to SLACK_BOT_TOKEN.`
}

// slackCode is the error code of Slack's in err, or empty.
func slackCode(err error) string {
	if e, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		return e.Err
	}
	return ""
}

// classify turns what can only be mended in the app's settings into a *FatalError, and
// leaves everything else as it is: it may pass. slack-go itself gives up on four of these
// codes and retries the others for ever.
func classify(err error, kind tokenKind) error {
	code := slackCode(err)
	if code == "" {
		if status, ok := errors.AsType[slack.StatusCodeError](err); ok && kind == botToken && status.Code == http.StatusNotFound {
			return &FatalError{"404", "There is no Slack Web API at SLACK_API_URL (HTTP 404). Leave it unset for Slack itself, or set it to an address like https://slack.com/api/."}
		}
		return err
	}
	sentence := ""
	switch code {
	case "invalid_auth", "not_authed", "missing_args":
		sentence = fmt.Sprintf("Slack does not accept %s (%s): it is wrong, or of an app that was uninstalled. %s", kind.name(), code, kind.fix())
	case "token_revoked", "account_inactive":
		sentence = fmt.Sprintf("%s was revoked (%s). Install the app into the workspace again. %s", kind.name(), code, kind.fix())
	case "token_expired":
		sentence = fmt.Sprintf("%s has expired (token_expired): token rotation is on for this app, and zdd needs a token that lasts. Make an app without rotation. %s", kind.name(), kind.fix())
	case "not_allowed_token_type":
		sentence = fmt.Sprintf("%s holds a token of the wrong type (not_allowed_token_type). %s", kind.name(), kind.fix())
	case "missing_scope", "no_permission":
		sentence = fmt.Sprintf("The token in %s lacks a scope (%s%s). %s", kind.name(), code, needed(err), kind.fix())
	case "team_disabled", "team_access_not_granted", "forbidden_team":
		sentence = fmt.Sprintf("The workspace is switched off or closed to this app (%s). Ask its owners, then start zdd again.", code)
	case "org_login_required", "ekm_access_denied", "enterprise_is_restricted", "two_factor_setup_required":
		sentence = fmt.Sprintf("The organisation's rules keep this app out of the workspace (%s). Ask its administrators to allow it, then start zdd again.", code)
	case "unknown_method", "deprecated_endpoint", "method_deprecated":
		if kind == appToken {
			sentence = "The server at SLACK_API_URL knows no Socket Mode (apps.connections.open). zdd needs it."
		} else {
			sentence = "The server at SLACK_API_URL does not know auth.test, which zdd needs to tell its own workspace from others."
		}
	default:
		return err
	}
	return &FatalError{code, sentence}
}

func needed(err error) string {
	e, ok := errors.AsType[slack.SlackErrorResponse](err)
	if !ok || e.Needed == "" {
		return ""
	}
	return ": " + printable(e.Needed, 100)
}

// printable is what a server says, shortened, as it can go to a log or a terminal.
func printable(s string, limit int) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, shorten(s, limit))
}

// retryAfter is how long Slack asks to be left alone, or 0.
func retryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return min(max(e.RetryAfter, 0), 10*time.Minute) // a server that says "for ever" is not obeyed
	}
	return 0
}

// absent says that the server does not have the method that was called.
func absent(err error) bool {
	switch slackCode(err) {
	case "unknown_method", "method_deprecated", "deprecated_endpoint", "plan_upgrade_required":
		return true
	}
	status, ok := errors.AsType[slack.StatusCodeError](err)
	return ok && (status.Code == http.StatusNotFound || status.Code == http.StatusNotImplemented)
}
