package chat

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestTerminal(t *testing.T) {
	var b strings.Builder
	if err := Terminal(&b, sample(), Style{Width: 40, Zone: time.FixedZone("CET", 3600)}); err != nil {
		t.Fatal(err)
	}
	want := `shop: not ready

Read 22 Nov 2026 13:00 CET, see
the dashboard (https://dashboard.heroku.com/apps/shop).

✓ pass            dyno-tier Standard-1X
✗ fail            web-dynos one web dyno
                    say
                    ` + "`/zdd enable shop`" + `
- not applicable  jvm-warmup

Now   $25.00
Then  $50.00

    people:
      readers: [U1]

List prices.

In Slack: ` + "`/zdd status shop`" + `
Dashboard:
https://dashboard.heroku.com/apps/shop
`
	if b.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestTerminalColourOnlyAdds(t *testing.T) {
	var plain, colored strings.Builder
	if err := Terminal(&plain, sample(), Style{Width: 60, Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	if err := Terminal(&colored, sample(), Style{Color: true, Width: 60, Zone: time.UTC}); err != nil {
		t.Fatal(err)
	}
	stripped := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(colored.String(), "")
	if stripped == colored.String() || stripped != plain.String() {
		t.Errorf("without its colours got:\n%s\nwant:\n%s", stripped, plain.String())
	}
}
