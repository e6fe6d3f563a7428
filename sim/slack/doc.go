// Package slack simulates Slack: its Web API, Socket Mode and what people see,
// on the wire, for tests and for the demo. It is a server that any Slack client
// can be pointed at; it is not a mock, shares no type with the bot, and imports
// nothing of ours.
//
// Invariants:
//
//   - What real Slack refuses is refused here, with Slack's own error code: scopes,
//     limits, token types, ownership of messages, expiry of response URLs and triggers.
//   - One goroutine writes to a link and one always reads from it, so the server also
//     works over an unbuffered in-memory connection.
//   - Package time is used directly and nothing polls, so a Server made inside a
//     testing/synctest bubble lives on the bubble's clock.
//   - Nothing here knows what the bot means by a message; a message is rendered from
//     its blocks alone.
//   - Everything that people did, saw, or should have seen is one ordered list of
//     [Event], kept for the life of the Server.
//
// Facts about Slack are from its reference documentation of each method and of
// Socket Mode. Where the documentation is silent, the comment says "assumed".
package slack
