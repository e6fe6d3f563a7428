package heroku

import (
	"context"
	"encoding/json"
	"slices"

	"example.com/zdd/fleet"
)

// readAutoscaler asks the metrics host for web's own autoscaler, where the dyno's tier
// can have one. The host is undocumented (the CLI's ps:autoscale asks it): anything
// unexpected reads as unknown, and its refusal of the token says nothing of the API's.
func (r *reading) readAutoscaler(ctx context.Context) fleet.Value[fleet.Autoscaler] {
	none := fleet.Known(fleet.Autoscaler{})
	unknown := fleet.Unknown[fleet.Autoscaler]
	raw, known := r.formation.Get()
	i := slices.IndexFunc(raw, func(p formationRow) bool { return p.Type == "web" })
	switch {
	case generation(fleet.Generation(r.app.Generation), r.formation) == fleet.Fir:
		return none // Fir has no autoscaling (Dev Center, "Generations")
	case !known:
		return unknown(r.formation.Why())
	case i < 0:
		return none
	case raw[i].App.ID != "" && raw[i].App.ID != r.app.ID:
		return unknown(changedHands())
	}
	size := fleet.SizeNamed(raw[i].Size)
	switch {
	case size.Tier == fleet.OtherTier:
		return unknown(fleet.Reason{Kind: fleet.NotTold, Text: "this version of zdd does not know " + clean(size.Name, r.c.inner.key) + " dynos, nor whether they autoscale"})
	case !size.MayAutoscale():
		return none
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.Monitor)
	defer cancel()
	var entries []json.RawMessage
	err := r.c.metrics.Get(ctx, &entries, "/apps/"+r.app.ID+"/formation/web/monitors", nil, nil)
	if err == nil && entries == nil {
		err = errForm
	}
	var found fleet.Autoscaler
	if err == nil {
		found, err = scaleMonitor(entries)
	}
	if err != nil {
		p := r.c.problem(ctx, "read autoscaling", r.asked, err)
		r.c.notices.once(ctx, r.c.log, "the metrics host does not tell about autoscaling; it stays unknown", p)
		return unknown(p.Reason())
	}
	return fleet.Known(found)
}

// scaleMonitor finds the one monitor that scales among those that only alert.
func scaleMonitor(entries []json.RawMessage) (fleet.Autoscaler, error) {
	var found []fleet.Autoscaler
	for _, entry := range entries {
		var m struct {
			ActionType  *string `json:"action_type"`
			ProcessType string  `json:"process_type"`
			Active      *bool   `json:"is_active"`
			Min         *int    `json:"min_quantity"`
			Max         *int    `json:"max_quantity"`
		}
		switch err := json.Unmarshal(entry, &m); {
		case err != nil:
			return fleet.Autoscaler{}, err
		case m.ActionType == nil:
			return fleet.Autoscaler{}, errForm
		case *m.ActionType != "scale", m.ProcessType != "" && m.ProcessType != "web":
			continue
		case m.Active == nil:
			return fleet.Autoscaler{}, errForm
		case !*m.Active:
			continue
		case m.Min == nil || m.Max == nil || *m.Min < 0 || *m.Max < *m.Min:
			return fleet.Autoscaler{}, errForm
		}
		found = append(found, fleet.Autoscaler{Active: true, Min: *m.Min, Max: *m.Max})
	}
	switch len(found) {
	case 0:
		return fleet.Autoscaler{}, nil
	case 1:
		return found[0], nil
	}
	return fleet.Autoscaler{}, errForm
}
