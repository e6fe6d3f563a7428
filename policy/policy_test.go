package policy

import (
	"strings"
	"testing"
)

// design is the file that the documentation shows, whole.
const design = `# zdd.yml: every key is optional
scope:                                  # which apps the scan and the digest cover
  teams: [acme]                         # default: every app that the token can see
  include: ["*"]
  exclude: ["*-sandbox"]
  stages: [production, none]            # pipeline stages, and apps in no pipeline; this is the default
requirements: { web_dynos: 2, session_affinity: required, jvm_warmup: advice }    # required | optional | forbidden; advice | required
apps:                                   # by name, UUID, glob, team:x or pipeline:y
  shop: { session_affinity: optional, web_dynos: 3, owner: U0123, channel: C0SHOP, warmup: attested }
  "team:data": { owner: S0DATA, channel: C0DATA }
people:                                 # Slack user ids and user group ids
  operators: [U0REQUESTER, S0PLATFORM]       # who may ask for changes
  approvers: [U0APPROVER, S0FINOPS]          # who may approve what costs money
approval: { channel: C0OPS, expires_after: 24h, self_approval: false, quorum: [{ above: 500, approvals: 2 }] }
limits: { web_dynos: 10, monthly_increase: 1000 }       # can't be lifted from chat
prices: { standard-1x: 21.50 }          # what the contract says, where the list price is wrong or missing
rollout: { affinity_soak: 10m, settle: 6m }
digest: { channel: C0OPS, schedule: "30 3 * * *", post_at: "09:00", timezone: Europe/Berlin, watch_every: 30m }
heroku: { reserve: 500, parallel: 16 }
`

func TestParseDesign(t *testing.T) {
	p, err := Parse("zdd.yml", []byte(design))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range p.Describe() {
		got = append(got, l.Key+" = "+l.Value+" ("+l.Origin+")")
	}
	t.Log(strings.Join(got, "\n"))
}
