package heroku

import (
	"context"
	"time"

	platform "github.com/heroku/heroku-go/v5"

	"example.com/zdd/fleet"
)

// Account is whose token it is.
type Account struct {
	ID          string
	Email       string
	TwoFactor   bool      // the account itself has two-factor authentication on
	Suspended   time.Time // zero: it is not
	Delinquent  time.Time // since when bills are unpaid; zero: none are
	Federated   bool      // logs in through an identity provider; its tokens may expire early
	DefaultTeam string    // may be empty
}

// ReadAccount asks whose the token is. A token's scope is not told here: Heroku shows
// scopes at /oauth/authorizations only, by an id that a token does not know of itself.
func (c *Client) ReadAccount(ctx context.Context) (Account, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timing.Part)
	defer cancel()
	raw, err := c.api.AccountInfo(ctx)
	if err == nil && raw.ID == "" && raw.Email == "" {
		err = errForm
	}
	if err != nil {
		return Account{}, c.problem(ctx, "read account", "", err)
	}
	a := Account{
		ID: raw.ID, Email: raw.Email, TwoFactor: raw.TwoFactorAuthentication, Federated: raw.Federated,
		Suspended: value(raw.SuspendedAt), Delinquent: value(raw.DelinquentAt),
	}
	if raw.DefaultTeam != nil {
		a.DefaultTeam = raw.DefaultTeam.Name
	}
	return a, nil
}

// ReadRate asks how many calls of the account's hourly limit are left. The question
// itself is free.
func (c *Client) ReadRate(ctx context.Context) (remaining int, err error) {
	raw, err := c.rate(ctx)
	if err != nil {
		return 0, err
	}
	c.inner.bucket.told(time.Now(), raw.Remaining)
	return raw.Remaining, nil
}

func (c *Client) rate(ctx context.Context) (*platform.RateLimit, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timing.Part)
	defer cancel()
	raw, err := c.api.RateLimitInfo(ctx)
	if err != nil {
		return nil, c.problem(ctx, "read rate limit", "", err)
	}
	return raw, nil
}

// Skew is how far our clock is ahead of Heroku's, as good as a Date header's whole
// seconds and the way there and back allow: within a second or two. It is NotTold
// when the server sends no date.
func (c *Client) Skew(ctx context.Context) (time.Duration, error) {
	x := new(exchange)
	if _, err := c.rate(withExchange(ctx, x)); err != nil {
		return 0, err
	}
	if x.date.IsZero() {
		return 0, &fleet.Problem{Kind: fleet.NotTold, Op: "read clock", Message: "Heroku's answer has no date"}
	}
	const half = 500 * time.Millisecond // a Date header drops the fraction of its second
	ours := x.sent.Add(x.got.Sub(x.sent) / 2)
	return ours.Sub(x.date.Add(half)), nil
}
