package chat

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"

	"example.com/zdd/commands"
)

// Slack's limits on a chart (docs.slack.dev, "Data visualization block"): two a message,
// and in characters unless said otherwise
const (
	maxCharts     = 2
	maxCategories = 20 // labels along the axis, and points of a series
	maxSeries     = 6
	maxChartTitle = 50
	maxChartLabel = 20 // also of the name of a series
)

// chartBlocks renders a chart with what it shows below it in a sentence: the block has no
// text of its own for those who do not see it.
func chartBlocks(c commands.Chart) []slack.Block {
	alt := strings.TrimSpace(oneLine(c.Alt))
	old := bounded(preBlocks(sparkText(c, preWidth)))
	if title := strings.TrimSpace(oneLine(c.Title)); title != "" {
		old = slices.Concat(sections(atoms(commands.Line(commands.Bold(title)))), old)
	}
	var said []slack.Block
	if alt != "" {
		said = append(said, note(alt))
	}
	if !drawable(c) {
		return append(old, said...)
	}
	drawn, remarks := fitChart(c)
	remarks = append(nonEmpty(alt), remarks...)
	native := nativeChart(drawn)
	if jsonSize(native) > maxTableBytes { // labels of nothing but odd characters
		return append(old, said...)
	}
	out := []slack.Block{young{native, old}}
	if len(remarks) > 0 {
		out = append(out, young{note(strings.Join(remarks, " ")), said})
	}
	return out
}

// drawable says whether there is something to draw, all of it numbers.
func drawable(c commands.Chart) bool {
	if len(c.Labels) == 0 || len(c.Series) == 0 {
		return false
	}
	for _, s := range c.Series {
		if len(s.Values) != len(c.Labels) || slices.ContainsFunc(s.Values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
			return false
		}
	}
	return true
}

// fitChart brings a chart that can be drawn within Slack's limits. Remarks say what of it
// is not drawn.
func fitChart(c commands.Chart) (drawn commands.Chart, remarks []string) {
	drawn, every := thin(c, maxCategories)
	if every > 1 {
		remarks = append(remarks, fmt.Sprintf("Of %d values every %s is drawn, the last one always.", len(c.Labels), ordinal(every)))
	}
	if more := len(c.Series) - maxSeries; more > 0 {
		drawn.Series = drawn.Series[:maxSeries]
		remarks = append(remarks, fmt.Sprintf("%d more series are not drawn.", more))
	}
	drawn.Labels = distinct(drawn.Labels)
	var names []string
	for _, s := range drawn.Series {
		names = append(names, s.Name)
	}
	for i, name := range distinct(names) {
		drawn.Series[i].Name = name
	}
	return drawn, remarks
}

// thin takes as few values out of a chart as have to go, evenly and never the last one:
// every second, third, … is left. Each that is drawn stands at its own label.
func thin(c commands.Chart, most int) (thinned commands.Chart, every int) {
	every = max(1, (len(c.Labels)+most-1)/most)
	from := (len(c.Labels) - 1) % every
	thinned = commands.Chart{Title: c.Title, Alt: c.Alt}
	for i := from; i < len(c.Labels); i += every {
		thinned.Labels = append(thinned.Labels, c.Labels[i])
	}
	for _, s := range c.Series {
		kept := commands.Series{Name: s.Name}
		for i := from; i < len(s.Values); i += every {
			kept.Values = append(kept.Values, s.Values[i])
		}
		thinned.Series = append(thinned.Series, kept)
	}
	return thinned, every
}

// distinct makes labels short enough for a chart, none empty, and no two the same: Slack
// finds a point's place by its label.
func distinct(labels []string) []string {
	seen := map[string]bool{}
	var out []string
	for i, label := range labels {
		s := shorten(first(strings.TrimSpace(oneLine(label)), strconv.Itoa(i+1)), maxChartLabel)
		for n := 2; seen[s]; n++ {
			mark := fmt.Sprintf(" (%d)", n)
			s = shorten(first(strings.TrimSpace(oneLine(label)), strconv.Itoa(i+1)), maxChartLabel-len(mark)) + mark
		}
		seen[s] = true
		out = append(out, s)
	}
	return out
}

func ordinal(n int) string {
	switch n {
	case 2:
		return "second"
	case 3:
		return "third"
	}
	return strconv.Itoa(n) + "th"
}

// nativeChart is a chart within Slack's limits as its own block.
func nativeChart(c commands.Chart) slack.Block {
	axis := slack.NewDataVisualizationAxisConfig(c.Labels...)
	var series []slack.DataVisualizationDataSeries
	for _, s := range c.Series {
		var points []slack.DataVisualizationDataPoint
		for i, v := range s.Values {
			points = append(points, slack.NewDataVisualizationDataPoint(c.Labels[i], v))
		}
		series = append(series, slack.NewDataVisualizationDataSeries(s.Name, points...))
	}
	title := shorten(first(strings.TrimSpace(oneLine(c.Title)), "Chart"), maxChartTitle)
	if len(c.Labels) == 1 { // a line of one point is nothing to see
		return slack.NewDataVisualizationBlock(title, slack.NewDataVisualizationBarChart(axis, series...))
	}
	return slack.NewDataVisualizationBlock(title, slack.NewDataVisualizationLineChart(axis, series...))
}

// sparks are the heights of a sparkline, lowest first.
const sparks = "▁▂▃▄▅▆▇█"

// sparkText draws each series as a line of blocks, all to one scale that begins at 0 or
// below, with its numbers in words. Where that is wider than width, which is not 0, the
// words stand on a line of their own.
func sparkText(c commands.Chart, width int) string {
	low, high, named := 0.0, 0.0, 0
	for _, s := range c.Series {
		named = max(named, utf8.RuneCountInString(oneLine(s.Name)))
		for _, v := range s.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	named = min(named, 24)
	var b strings.Builder
	for _, s := range c.Series {
		name := oneLine(s.Name)
		line := name + strings.Repeat(" ", max(0, named-utf8.RuneCountInString(name))) + "  " + spark(s.Values, low, high)
		said := inWords(s.Values)
		if width > 0 && utf8.RuneCountInString(line)+2+utf8.RuneCountInString(said) > width {
			fmt.Fprintf(&b, "%s\n    %s\n", strings.TrimRight(line, " "), said)
			continue
		}
		fmt.Fprintf(&b, "%s  %s\n", strings.TrimRight(line, " "), said)
	}
	if n := len(c.Labels); n > 1 {
		fmt.Fprintf(&b, "from %s to %s\n", strings.TrimSpace(oneLine(c.Labels[0])), strings.TrimSpace(oneLine(c.Labels[n-1])))
	} else if n == 1 {
		fmt.Fprintf(&b, "on %s\n", strings.TrimSpace(oneLine(c.Labels[0])))
	}
	return b.String()
}

func spark(values []float64, low, high float64) string {
	heights := []rune(sparks)
	var b strings.Builder
	for _, v := range values {
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			b.WriteRune('·')
		case high == low:
			b.WriteRune(heights[0])
		default:
			b.WriteRune(heights[int(math.Round((v-low)/(high-low)*float64(len(heights)-1)))])
		}
	}
	return b.String()
}

// inWords says the numbers of a series that a reader asks for.
func inWords(values []float64) string {
	known := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	switch n := len(values); n {
	case 0:
		return "no values"
	case 1:
		return figure(values[0])
	default:
		if len(known) == 0 {
			return "no values"
		}
		return fmt.Sprintf("%s → %s (lowest %s, highest %s)", figure(values[0]), figure(values[n-1]), figure(slices.Min(known)), figure(slices.Max(known)))
	}
}

// figure is a number as people write it.
func figure(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "unknown"
	}
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}
