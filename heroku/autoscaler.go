package heroku

import (
	"context"
	"encoding/json"
	"slices"

	"example.com/zdd/fleet"
)

// readAutoscaler is web's own autoscaler, asked for where the dyno's tier can have one.
func (r *reading) readAutoscaler(ctx context.Context) fleet.Value[fleet.Autoscaler] {
	raw, known := r.formation.Get()
	i := slices.IndexFunc(raw, func(p formationRow) bool { return p.Type == "web" })
	if i >= 0 && raw[i].App.ID != "" && raw[i].App.ID != r.app.ID {
		return fleet.Unknown[fleet.Autoscaler](changedHands())
	}
	app := fleet.App{ID: fleet.ID(r.app.ID), Name: r.asked, Generation: generation(fleet.Generation(r.app.Generation), r.formation)}
	app.Formation = fleet.Unknown[[]fleet.Process](r.formation.Why())
	if known {
		app.Formation = fleet.Known(processes(raw))
	}
	if without, told := r.c.autoscalerOf(app); told {
		return without
	}
	ctx, cancel := context.WithTimeout(ctx, r.c.timing.Monitor)
	defer cancel()
	return r.c.readMonitor(ctx, app)
}

// autoscalerOf is what the formation alone tells of Heroku's own autoscaling; told is
// false where the metrics host has to be asked.
func (c *Client) autoscalerOf(app fleet.App) (_ fleet.Value[fleet.Autoscaler], told bool) {
	none := fleet.Known(fleet.Autoscaler{})
	web, hasWeb := app.Web()
	switch size := fleet.SizeNamed(web.Size); {
	case app.Generation == fleet.Fir:
		return none, true // Fir has no autoscaling (Dev Center, "Generations")
	case !app.Formation.IsKnown():
		return fleet.Unknown[fleet.Autoscaler](app.Formation.Why()), true
	case !hasWeb:
		return none, true
	case size.Tier == fleet.OtherTier:
		return fleet.Unknown[fleet.Autoscaler](fleet.Reason{Kind: fleet.NotTold, Text: "this version of zdd does not know " + clean(size.Name, c.inner.key) + " dynos, nor whether they autoscale"}), true
	case !size.MayAutoscale():
		return none, true
	}
	return fleet.Value[fleet.Autoscaler]{}, false
}

// readMonitor asks the metrics host. It is undocumented (the CLI's ps:autoscale asks
// it): anything unexpected reads as unknown, and its refusal of the token says nothing of
// the API's.
func (c *Client) readMonitor(ctx context.Context, app fleet.App) fleet.Value[fleet.Autoscaler] {
	var entries []json.RawMessage
	err := c.metrics.Get(ctx, &entries, "/apps/"+string(app.ID)+"/formation/web/monitors", nil, nil)
	if err == nil && entries == nil {
		err = errForm
	}
	var found fleet.Autoscaler
	if err == nil {
		found, err = scaleMonitor(entries)
	}
	if err != nil {
		p := c.problem(ctx, "read autoscaling", app.Name, err)
		c.notices.once(ctx, c.log, "the metrics host does not tell about autoscaling; it stays unknown", p)
		return fleet.Unknown[fleet.Autoscaler](p.Reason())
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
