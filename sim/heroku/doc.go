// Package heroku is a simulator of the Heroku Platform API on the wire: an
// [http.Handler] that answers as api.heroku.com does, and as
// api.metrics.heroku.com does for the one path that the autoscaler lives on. Beside it
// stands Heroku's router ([Server.Router]) with the apps behind it: their web dynos are
// HTTP servers in memory, which start, take over, drain and end as the world's dynos do.
//
// It is not a mock: it keeps apps, formations, dynos, releases and features
// with their rules over time (hand-overs, the formation lock, boots, autoscalers,
// the account's rate limit), refuses what Heroku refuses, and can be broken on
// demand over /_control. It is not Heroku either: it builds no code, every app has the
// same pages (/, /health, /version, /login, /account, /slow), and it knows only the
// endpoints of the table in routes.go.
//
// What always holds:
//   - It imports nothing of this project and shares no type with it, so that
//     a misreading of the API cannot be made on both sides at once.
//   - Nothing happens between requests: every state that changes with time is
//     computed from time.Now when it is looked at. An app that the router was
//     asked for is looked at by a goroutine whenever something is due, so that
//     dynos end in the middle of requests; [Server.Close] ends it and the dynos.
//     All works inside a testing/synctest bubble.
//   - The router counts each request once, when it is over, by what the client got.
//   - One lock guards everything; a request sees one instant.
//   - Ids are derived from names and a count, so two runs of one script give
//     the same ids, and an app that is deleted and created again another one.
//
// Facts about Heroku come from Dev Center's articles, heroku-go's schema and
// the Heroku CLI's source; where no source tells (the text of a refusal, say)
// the code marks the answer as assumed. Assumed of the router: it goes on with a
// dyno that was told to stop for 0.3 to 1 s on the Common Runtime, and not at
// all in a space; a dyno that dies abruptly ends the connections of that time
// without an answer (H13), one that closes its port refuses them, so that
// another one is tried (else H21).
package heroku
