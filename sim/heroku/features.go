package heroku

import (
	"encoding/json"
	"net/http"
	"slices"
)

// featureInfo is a feature that every app lists, whether it can use it or not.
type featureInfo struct{ name, display, description, doc, state string }

func appFeatures() []featureInfo {
	const doc = "https://devcenter.heroku.com/articles/"
	return []featureInfo{
		{"http-session-affinity", "HTTP Session Affinity", "Enable session affinity for all requests", doc + "session-affinity", "general"},
		{"log-runtime-metrics", "Log Runtime Metrics", "Emit dyno resource usage information into app logs", doc + "log-runtime-metrics", "beta"},
		{"preboot", "Preboot", "Provide seamless web dyno deploys", doc + "preboot", "general"},
		{"runtime-dyno-metadata", "Dyno Metadata", "Make app and dyno metadata available in the environment", doc + "dyno-metadata", "beta"},
		{"runtime-heroku-metrics", "Runtime Language Metrics", "Collect language runtime metrics", doc + "language-runtime-metrics", "beta"},
		{"spaces-dns-discovery", "DNS Service Discovery", "Enable DNS service discovery", doc + "spaces-dns-service-discovery", "general"},
	}
}

// switchFeature is what PATCH does. It restarts nothing (Dev Center,
// "Preboot").
func switchFeature(x *exchange) answer {
	f, found := x.feature()
	if !found {
		return noFeature()
	}
	var in struct {
		Enabled *bool `json:"enabled"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil || in.Enabled == nil {
		return refuse(http.StatusUnprocessableEntity, "invalid_params", "Require params: enabled.").answer()
	}
	if *in.Enabled {
		// What the API says here is in no source: assumed.
		switch {
		case f.name == "preboot" && x.app.space != nil:
			return refuse(http.StatusUnprocessableEntity, "invalid_params", "Preboot is not available for apps in a space.").answer()
		case f.name == "preboot" && !x.app.canPreboot():
			return refuse(http.StatusUnprocessableEntity, "invalid_params", "Preboot is only available for apps on Standard or Performance dynos.").answer()
		case f.name == "http-session-affinity" && x.app.space != nil:
			return refuse(http.StatusUnprocessableEntity, "invalid_params", "Session affinity is not available for apps in a space.").answer()
		}
	}
	if x.app.featureOn(f.name) != *in.Enabled {
		x.app.features[f.name] = &feature{on: *in.Enabled, updatedAt: x.now}
	}
	return ok(x.w.showFeature(x.app, f))
}

func (x *exchange) feature() (featureInfo, bool) {
	all := appFeatures()
	i := slices.IndexFunc(all, func(f featureInfo) bool {
		return f.name == x.params["feature"] || uuidOf("feature "+f.name) == x.params["feature"]
	})
	if i < 0 {
		return featureInfo{}, false
	}
	return all[i], true
}

func noFeature() answer {
	e := refuse(http.StatusNotFound, "not_found", "Couldn't find that feature.")
	e.Resource = "feature"
	return e.answer()
}
