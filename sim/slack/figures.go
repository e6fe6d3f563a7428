package slack

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// table judges a table block: 100 rows of 20 cells, and 10,000 characters in all
// (docs.slack.dev, "Table block").
func (c *checker) table(block object, at string) {
	rows, _ := block["rows"].([]any)
	c.count(len(rows), at+"/rows", 1, 100)
	before := c.chars
	for i, r := range rows {
		row, ok := r.([]any)
		here := fmt.Sprintf("%s/rows/%d", at, i)
		if !ok {
			c.bad(here, "must be an array")
			continue
		}
		c.count(len(row), here, 1, 20)
		for j, v := range row {
			c.cell(v, fmt.Sprintf("%s/%d", here, j))
		}
	}
	if c.chars-before > 10000 {
		c.bad(at+"/rows", "must be less than 10001 characters")
	}
	settings, ok := block["column_settings"].([]any)
	if !ok && block["column_settings"] != nil {
		c.bad(at+"/column_settings", "must be an array")
	}
	if len(settings) > 20 {
		c.bad(at+"/column_settings", "no more than 20 items allowed")
	}
	for i, v := range settings {
		setting, _ := v.(object) // null: as it is by default
		if align := setting["align"]; align != nil && align != "left" && align != "center" && align != "right" {
			c.bad(fmt.Sprintf("%s/column_settings/%d/align", at, i), "invalid align: %v", align)
		}
		if _, isBool := setting["is_wrapped"].(bool); setting["is_wrapped"] != nil && !isBool {
			c.bad(fmt.Sprintf("%s/column_settings/%d/is_wrapped", at, i), "must be a boolean")
		}
	}
}

// cell judges a cell of a table.
func (c *checker) cell(v any, at string) {
	cell, ok := v.(object)
	if !ok {
		c.bad(at, "must be an object")
		return
	}
	text, isText := cell["text"].(string)
	switch kind := cell["type"]; kind {
	case "raw_text":
		if !isText || text == "" {
			c.bad(at+"/text", "must be more than 0 characters")
		}
	case "raw_number":
		if _, isNumber := cell["value"].(float64); !isNumber {
			c.bad(at+"/value", "must be a number")
		}
	case "rich_text":
		elements, _ := cell["elements"].([]any)
		if len(elements) == 0 {
			c.bad(at, "missing required field: elements")
		}
		for i, e := range elements {
			c.rich(e, fmt.Sprintf("%s/elements/%d", at, i))
		}
	default:
		c.bad(at+"/type", "unsupported type: %v", kind)
	}
	c.measure(v)
}

// richNeeds is what each element of a rich text must have (docs.slack.dev, "Rich text block").
func richNeeds() map[string][]string {
	return map[string][]string{
		"text": {"text"}, "link": {"url"}, "user": {"user_id"}, "usergroup": {"usergroup_id"}, "channel": {"channel_id"}, "emoji": {"name"},
		"broadcast": {"range"}, "date": {"timestamp", "format"}, "color": {"value"}, "team": {"team_id"},
	}
}

// rich judges a section, a list, a quote or preformatted text, and what is in it.
func (c *checker) rich(v any, at string) {
	el, _ := v.(object)
	kind, _ := el["type"].(string)
	inner, nested := el["elements"].([]any)
	switch kind {
	case "rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted":
		if !nested {
			c.bad(at, "missing required field: elements")
		}
		for i, e := range inner {
			c.rich(e, fmt.Sprintf("%s/elements/%d", at, i))
		}
		return
	}
	needs, known := richNeeds()[kind]
	if !known {
		c.bad(at+"/type", "unsupported type: %s", kind)
	}
	for _, key := range needs {
		if el[key] == nil || el[key] == "" {
			c.bad(at, "missing required field: %s", key)
		}
	}
}

// chart judges a data_visualization block: title 50, labels 20, 20 categories, 6 series
// (docs.slack.dev, "Data visualization block").
func (c *checker) chart(block object, at string) {
	if title, _ := block["title"].(string); title == "" {
		c.bad(at, "missing required field: title")
	}
	c.word(block, "title", at, 50)
	chart, ok := block["chart"].(object)
	if !ok {
		c.bad(at, "missing required field: chart")
		return
	}
	at += "/chart"
	c.measure(chart)
	switch kind := chart["type"]; kind {
	case "pie":
		segments, _ := chart["segments"].([]any)
		c.count(len(segments), at+"/segments", 1, 6)
		c.points(segments, at+"/segments", nil)
	case "bar", "line", "area":
		c.axes(chart, at)
	default:
		c.bad(at+"/type", "unsupported type: %v", kind)
	}
}

// axes judges a chart that has any.
func (c *checker) axes(chart object, at string) {
	axis, _ := chart["axis_config"].(object)
	for _, key := range []string{"x_label", "y_label"} {
		c.word(axis, key, at+"/axis_config", 50)
	}
	categories := wordsOf(axis["categories"])
	c.count(len(categories), at+"/axis_config/categories", 1, 20)
	for i, label := range categories {
		here := fmt.Sprintf("%s/axis_config/categories/%d", at, i)
		if n := utf8.RuneCountInString(label); n == 0 || n > 20 {
			c.bad(here, "must be 1 to 20 characters")
		}
		if slices.Index(categories, label) < i {
			c.bad(here, "must be unique")
		}
	}
	series, _ := chart["series"].([]any)
	c.count(len(series), at+"/series", 1, 6)
	names := map[string]bool{}
	for i, s := range series {
		row, _ := s.(object)
		here := fmt.Sprintf("%s/series/%d", at, i)
		c.word(row, "name", here, 20)
		name, _ := row["name"].(string)
		switch {
		case name == "":
			c.bad(here, "missing required field: name")
		case names[name]:
			c.bad(here+"/name", "must be unique")
		}
		names[name] = true
		data, _ := row["data"].([]any)
		if len(data) != len(categories) {
			c.bad(here+"/data", "must have one point for each category")
		}
		c.points(data, here+"/data", categories)
	}
}

// wordsOf are the strings of a list, one for each item whatever it is.
func wordsOf(v any) []string {
	list, _ := v.([]any)
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = fmt.Sprint(item)
	}
	return words
}

// points judges the points of a series, one for each category, or the segments of a pie,
// which has none.
func (c *checker) points(points []any, at string, categories []string) {
	seen := map[string]bool{}
	for i, p := range points {
		point, _ := p.(object)
		here := fmt.Sprintf("%s/%d", at, i)
		c.word(point, "label", here, 20)
		label := fmt.Sprint(point["label"])
		value, isNumber := point["value"].(float64)
		switch {
		case !isNumber:
			c.bad(here+"/value", "must be a number")
		case categories == nil && value <= 0:
			c.bad(here+"/value", "must be greater than 0")
		case categories != nil && !slices.Contains(categories, label):
			c.bad(here+"/label", "must be one of the categories")
		case categories != nil && seen[label]:
			c.bad(here+"/label", "must have one point for each category")
		}
		seen[label] = true
	}
}
