package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"example.com/zdd/watch"
)

// examineProbes looks at the domains that the policy has probed. It asks for their addresses and
// connects to none: what answers there is for a watch to tell.
func (d *doctor) examineProbes(ctx context.Context) []finding {
	const check = "probes"
	lookup := d.out.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	var found []finding
	var asked []string
	for _, o := range d.policy.Apps {
		host := o.Probe.Domain
		if host == "" || slices.Contains(asked, host) {
			continue
		}
		asked = append(asked, host)
		mend := fmt.Sprintf("Correct its DNS record, or the policy: apps: { %s: { probe: { domain: … } } }", o.Match)
		addresses, err := lookup(ctx, host)
		dns, named := errors.AsType[*net.DNSError](err)
		private := slices.IndexFunc(addresses, func(ip netip.Addr) bool { return !watch.Public(ip.Unmap()) })
		switch {
		case named && dns.IsNotFound || err == nil && len(addresses) == 0:
			found = append(found, finding{check, bad, "there is no host named " + host + ", where the policy has " + o.Match + " probed", mend})
		case err != nil:
			found = append(found, finding{check, unclear, "the name " + host + " could not be looked up: " + err.Error(), "Run bot doctor again; if it stays so, look at this machine's DNS."})
		case private >= 0:
			found = append(found, finding{check, bad, fmt.Sprintf("%s leads to %s, and only public addresses are probed, so deploys of %s can't be watched", host, addresses[private].Unmap(), o.Match), mend})
		}
	}
	if len(found) == 0 && len(asked) > 0 {
		found = append(found, finding{check, good, domains(len(asked)) + " that the policy has probed " + map[bool]string{true: "leads", false: "lead"}[len(asked) == 1] + " to public addresses", ""})
	}
	return found
}

func domains(n int) string {
	if n == 1 {
		return "the one domain"
	}
	return fmt.Sprintf("all %d domains", n)
}
