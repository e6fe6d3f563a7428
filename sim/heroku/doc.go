// Package heroku is a simulator of the Heroku Platform API on the wire: an
// [http.Handler] that answers as api.heroku.com does, and as
// api.metrics.heroku.com does for the one path that the autoscaler lives on.
//
// It is not a mock: it keeps apps, formations, dynos, releases and features
// with their rules over time (hand-overs, the formation lock, boots, autoscalers,
// the account's rate limit), refuses what Heroku refuses, and can be broken on
// demand over /_control. It is not Heroku either: it builds no code, routes no
// traffic, and knows only the endpoints of the table in routes.go.
//
// What always holds:
//   - It imports nothing of this project and shares no type with it, so that
//     a misreading of the API cannot be made on both sides at once.
//   - Nothing happens between requests: every state that changes with time is
//     computed from time.Now when it is looked at. There is no goroutine to
//     leak, and it works inside a testing/synctest bubble.
//   - One lock guards everything; a request sees one instant.
//   - Ids are derived from names and a count, so two runs of one script give
//     the same ids, and an app that is deleted and created again another one.
//
// Facts about Heroku come from Dev Center's articles, heroku-go's schema and
// the Heroku CLI's source; where no source tells (the text of a refusal, say)
// the code marks the answer as assumed.
package heroku
