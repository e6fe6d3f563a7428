package claims

import (
	"go/ast"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// A metric as the code makes it, or as the document describes it.
type metric struct {
	kind   string // counter, gauge or histogram
	labels []string
}

// metricsOf finds the metrics of the code: in calls such as
// prometheus.NewCounterVec(prometheus.CounterOpts{Name: …}, []string{…}), and as rows
// {"zdd_…", "help", labels} of a table of gauges.
func metricsOf(files []source) map[string]metric {
	all := map[string]metric{}
	for _, s := range files {
		if s.test() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "prometheus" {
					return true
				}
				kind := regexp.MustCompile(`^New(Counter|Gauge|Histogram|Summary)(Vec|Func)?$`).FindStringSubmatch(sel.Sel.Name)
				if name := field(n.Args[0], "Name"); kind != nil && name != "" {
					m := metric{kind: strings.ToLower(kind[1])}
					if kind[2] == "Vec" && len(n.Args) > 1 {
						m.labels = texts(n.Args[1])
					}
					all[name] = m
				}
			case *ast.CompositeLit:
				if len(n.Elts) < 2 {
					return true
				}
				name, _ := literal(n.Elts[0])
				if help, ok := literal(n.Elts[1]); ok && strings.HasPrefix(name, "zdd_") && strings.HasSuffix(help, ".") {
					m := metric{kind: "gauge"}
					if len(n.Elts) > 2 {
						m.labels = texts(n.Elts[2])
					}
					all[name] = m
				}
			}
			return true
		})
	}
	return all
}

// field is a string field of a composite literal.
func field(e ast.Expr, name string) string {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return ""
	}
	for _, elt := range lit.Elts {
		if kv, ok := elt.(*ast.KeyValueExpr); ok {
			if key, ok := kv.Key.(*ast.Ident); ok && key.Name == name {
				text, _ := literal(kv.Value)
				return text
			}
		}
	}
	return ""
}

// texts are the elements of a []string literal.
func texts(e ast.Expr) (all []string) {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	for _, elt := range lit.Elts {
		text, _ := literal(elt)
		all = append(all, text)
	}
	return all
}

func TestMetricsAreDescribed(t *testing.T) {
	real := metricsOf(sources(t))
	doc := read(t, "docs/operations.md")
	differ(t, "metric", column(doc, "metric"), slices.Collect(maps.Keys(real)))
	for _, tb := range tables(doc) {
		if tb.head[0] != "metric" {
			continue
		}
		for _, row := range tb.rows {
			name := strings.Trim(row[0], "`")
			m, ok := real[name]
			if !ok {
				continue
			}
			var labels []string
			for label := range strings.SplitSeq(row[2], ", ") {
				if label = strings.Trim(label, "`"); label != "" {
					labels = append(labels, label)
				}
			}
			if row[1] != m.kind || !slices.Equal(labels, m.labels) {
				t.Errorf("%s is described as a %s with labels %v, and is a %s with %v", name, row[1], labels, m.kind, m.labels)
			}
		}
	}
}

// alert is one rule of the document.
type alert struct {
	Alert, Expr, For string
	Labels           map[string]string
}

func alerts(t *testing.T, doc string) (all []alert) {
	t.Helper()
	block := regexp.MustCompile("(?s)```yaml\n(groups:.*?)```").FindStringSubmatch(doc)
	if block == nil {
		t.Fatal("found no rules")
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(block[1]), &rules, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// foreign are the metrics of others: Prometheus' own, the Go runtime's and the process's.
func foreign(t *testing.T) map[string]metric {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]metric{"up": {kind: "gauge"}}
	for _, f := range families {
		all[f.GetName()] = metric{kind: strings.ToLower(f.GetType().String())}
	}
	return all
}

var (
	word     = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})?(\[[0-9a-z]+\])?`)
	matcher  = regexp.MustCompile(`^([a-z_]+)(=|!=|=~|!~)"[^"]*"$`)
	grouping = regexp.MustCompile(`\s*\b(by|without) ?\([a-z_, ]*\)\s*`)
	matching = regexp.MustCompile(`\b(on|ignoring) ?\([a-z_, ]*\)`)
)

// functions of PromQL that the rules use: whether each wants a range of time.
func functions() map[string]bool {
	return map[string]bool{
		"absent": false, "time": false, "max": false, "min": false, "sum": false, "count": false, "histogram_quantile": false,
		"rate": true, "increase": true, "changes": true, "resets": true, "min_over_time": true, "max_over_time": true,
	}
}

// badExpr says what is wrong with an expression; empty: nothing that can be seen without
// Prometheus' own parser.
func badExpr(expr string, known map[string]metric) (wrong []string) {
	if strings.Count(expr, "(") != strings.Count(expr, ")") || strings.Count(expr, "{") != strings.Count(expr, "}") {
		wrong = append(wrong, "its brackets don't match")
	}
	ranged := functions()
	metrics := 0
	// "sum by (le) (x)" is sum(x); behind an operator, as in "and on() x", a space stays.
	rest := matching.ReplaceAllString(grouping.ReplaceAllString(expr, ""), " ")
	for _, at := range selector.FindAllStringSubmatchIndex(rest, -1) {
		name, matchers, window := rest[at[2]:at[3]], "", at[6] >= 0
		if at[4] >= 0 {
			matchers = rest[at[4]:at[5]]
		}
		if at[0] > 0 && strings.ContainsAny(rest[at[0]-1:at[0]], `0123456789"`) {
			continue // 256e6
		}
		if at[1] < len(rest) && rest[at[1]] == '(' {
			if _, ok := ranged[name]; !ok {
				wrong = append(wrong, name+" is no function that the rules use")
			}
			continue
		}
		if slices.Contains([]string{"and", "or", "unless"}, name) {
			continue
		}
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, ok := strings.CutSuffix(name, suffix); ok && known[cut].kind == "histogram" {
				base = cut
			}
		}
		m, ok := known[base]
		switch {
		case !ok:
			wrong = append(wrong, name+" does not exist")
			continue
		case m.kind == "histogram" && base == name:
			wrong = append(wrong, name+" is a histogram")
		}
		metrics++
		before := word.FindAllString(rest[:at[0]], -1)
		inRange := len(before) > 0 && strings.HasSuffix(rest[:at[0]], before[len(before)-1]+"(") && ranged[before[len(before)-1]]
		if window != inRange {
			wrong = append(wrong, name+" stands where it can't be: with a range outside of a function of ranges, or without one inside")
		}
		if (m.kind == "counter" || base != name) && !inRange {
			wrong = append(wrong, name+" only ever grows: ask for its increase")
		}
		for part := range strings.SplitSeq(matchers, ",") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			label := matcher.FindStringSubmatch(part)
			if label == nil || !slices.Contains(append([]string{"job", "instance"}, m.labels...), label[1]) {
				wrong = append(wrong, name+" has no label for "+part)
			}
		}
	}
	if metrics == 0 {
		wrong = append(wrong, "it asks for no metric")
	}
	return wrong
}

func TestAlerts(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("some metrics of the process are Linux's only")
	}
	known := metricsOf(sources(t))
	maps.Copy(known, foreign(t))
	doc := read(t, "docs/operations.md")
	var names []string
	for _, a := range alerts(t, doc) {
		names = append(names, a.Alert)
		for _, wrong := range badExpr(a.Expr, known) {
			t.Errorf("%s: %s: %s", a.Alert, a.Expr, wrong)
		}
		if s := a.Labels["severity"]; s != "page" && s != "ticket" {
			t.Errorf("%s: got severity %q, want page or ticket", a.Alert, s)
		}
		if a.For != "" && !regexp.MustCompile(`^\d+[smh]$`).MatchString(a.For) {
			t.Errorf("%s: got for %q", a.Alert, a.For)
		}
	}
	// What to do stands below, for each.
	differ(t, "alert", column(doc, "alert"), names)
}

func TestBadExprBites(t *testing.T) {
	known := map[string]metric{
		"zdd_up": {kind: "gauge"}, "zdd_x_total": {kind: "counter", labels: []string{"code"}}, "zdd_s": {kind: "histogram", labels: []string{"route"}},
	}
	for expr, want := range map[string]string{
		"zdd_up == 0": "",
		"max(zdd_up) < 1 and on() zdd_up > 256e6":                             "",
		`sum(increase(zdd_x_total{code="401"}[5m])) > 0`:                      "",
		"histogram_quantile(0.99, sum by (le) (rate(zdd_s_bucket[10m]))) > 2": "",
		"zdd_gone == 0":                            "zdd_gone does not exist",
		"zdd_up_bucket == 0":                       "zdd_up_bucket does not exist",
		"max(zdd_up":                               "its brackets don't match",
		"zdd_x_total > 5":                          "only ever grows",
		"increase(zdd_x_total) > 5":                "stands where it can't be",
		"max(zdd_up[5m]) > 5":                      "stands where it can't be",
		`increase(zdd_x_total{route="a"}[5m]) > 0`: "no label for",
		"rate(zdd_s[5m]) > 0":                      "is a histogram",
		"maximum(zdd_up) > 0":                      "maximum is no function",
		"1 > 0":                                    "asks for no metric",
	} {
		got := strings.Join(badExpr(expr, known), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

// A line is a call that logs.
type line struct {
	at, level, message string // the message is empty where it is no literal
	keys               []string
}

// logged finds every call of a slog.Logger: a method of a level on something called log
// or Log.
func logged(files []source) (all []line) {
	level := regexp.MustCompile(`^(Debug|Info|Warn|Error)(Context)?$`)
	for _, s := range files {
		if s.test() || strings.HasPrefix(s.name, "sim/") || strings.HasPrefix(s.name, "internal/") {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			on := ""
			switch x := sel.X.(type) {
			case *ast.Ident:
				on = x.Name
			case *ast.SelectorExpr:
				on = x.Sel.Name
			}
			m := level.FindStringSubmatch(sel.Sel.Name)
			if m == nil || !strings.EqualFold(on, "log") {
				return true
			}
			args := call.Args
			if m[2] != "" {
				args = args[min(1, len(args)):]
			}
			if len(args) == 0 {
				return true
			}
			l := line{at: s.name, level: strings.ToLower(m[1])}
			l.message, _ = literal(args[0])
			for i := 1; i < len(args); i += 2 {
				key, _ := literal(args[i])
				l.keys = append(l.keys, key)
			}
			all = append(all, l)
			return true
		})
	}
	return all
}

func TestLogIsDescribed(t *testing.T) {
	files := sources(t)
	doc := read(t, "docs/operations.md")
	messages, keys := column(doc, "message"), column(doc, "key")
	lines := logged(files)
	if len(lines) < 30 {
		t.Errorf("found %d lines of the log: the search is blind", len(lines))
	}
	used := map[string]bool{}
	for _, l := range lines {
		if l.level == "error" && l.message != "" && !slices.Contains(messages, l.message) {
			t.Errorf("%s logs the error %q, and docs/operations.md does not say what to do", l.at, l.message)
		}
		for _, key := range l.keys {
			used[key] = true
			if !slices.Contains(keys, key) {
				t.Errorf("%s logs the key %q (%s), which is none of %v", l.at, key, l.message, keys)
			}
		}
	}
	for _, key := range keys {
		if !used[key] && key != "check" && key != "ticket" && key != "app" { // of loggers that carry them along, and of the scan
			t.Errorf("no line of the log has the key %q", key)
		}
	}
	// Messages that are in a variable are literals somewhere.
	literals := map[string]bool{}
	for _, s := range files {
		if s.test() {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			if e, ok := n.(*ast.BasicLit); ok {
				if text, ok := literal(e); ok {
					literals[text] = true
				}
			}
			return true
		})
	}
	for _, message := range messages {
		if !literals[message] {
			t.Errorf("docs/operations.md describes the message %q, which the code does not have", message)
		}
	}
}
