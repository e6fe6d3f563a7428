package chat

import (
	"fmt"
	"strings"

	"github.com/go-analyze/charts"

	"example.com/zdd/commands"
)

// Size of a chart's picture in pixels: twice what Slack shows of it beside a message, so
// that it is sharp.
const (
	pictureWidth  = 1200
	pictureHeight = 600
)

// picture draws a chart as a PNG, every value of it, for servers that don't know the block for
// charts. Each line has a mark of its own shape, and its name and last value in the
// legend: colour only helps.
func picture(c commands.Chart) (png []byte, err error) {
	defer func() { // a drawing must not cost the message that it belongs to
		if p := recover(); p != nil {
			png, err = nil, fmt.Errorf("draw %q: panic: %v", shorten(oneLine(c.Title), maxChartTitle), p)
		}
	}()
	if !drawable(c) {
		return nil, fmt.Errorf("draw %q: there is nothing to draw", shorten(oneLine(c.Title), maxChartTitle))
	}
	// Okabe and Ito's colours, which people who see few colours can tell apart.
	palette := []charts.Color{
		charts.ColorRGB(0, 114, 178), charts.ColorRGB(213, 94, 0), charts.ColorRGB(0, 158, 115),
		charts.ColorRGB(204, 121, 167), charts.ColorRGB(86, 180, 233), charts.ColorRGB(0, 0, 0),
	}
	shapes := []charts.SymbolShape{charts.SymbolCircle, charts.SymbolSquare, charts.SymbolDiamond, charts.SymbolDot}
	var series charts.LineSeriesList
	var names []string
	for i, s := range c.Series[:min(len(c.Series), maxSeries)] {
		name := first(strings.TrimSpace(oneLine(s.Name)), fmt.Sprint(i+1))
		names = append(names, shorten(name, 2*maxChartLabel)+": "+figure(s.Values[len(s.Values)-1]))
		series = append(series, charts.LineSeries{Name: name, Values: s.Values, Symbol: charts.Symbol{Shape: shapes[i%len(shapes)], Size: float64(5 + 2*(i/len(shapes)))}})
	}
	var labels []string
	for _, label := range c.Labels {
		labels = append(labels, shorten(strings.TrimSpace(oneLine(label)), maxChartLabel))
	}
	opt := charts.NewLineChartOptionWithSeries(series)
	opt.Theme = charts.GetTheme(charts.ThemeLight).WithSeriesColors(palette)
	opt.Title = charts.TitleOption{Text: shorten(strings.TrimSpace(oneLine(c.Title)), 2*maxChartTitle), FontStyle: charts.FontStyle{FontSize: 20}}
	opt.Legend = charts.LegendOption{SeriesNames: names, Offset: charts.OffsetRight, FontStyle: charts.FontStyle{FontSize: 16}}
	opt.XAxis.Labels, opt.XAxis.LabelFontStyle = labels, charts.FontStyle{FontSize: 14}
	opt.YAxis[0].LabelFontStyle = charts.FontStyle{FontSize: 14}
	opt.YAxis[0].Min = lowest(series) // from 0: half the height is half the number
	opt.ValueFormatter = figure
	opt.LineStrokeWidth = 3
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputPNG, Width: pictureWidth, Height: pictureHeight})
	if err := p.LineChart(opt); err != nil {
		return nil, fmt.Errorf("draw a chart: %w", err)
	}
	return p.Bytes()
}

// lowest is where the axis begins: at 0, or below it where values are.
func lowest(series charts.LineSeriesList) *float64 {
	low := 0.0
	for _, s := range series {
		for _, v := range s.Values {
			low = min(low, v)
		}
	}
	return &low
}
