package heroku

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Lists come in pages of 200, of 1000 at most (Dev Center, "Platform API
// Reference", Ranges).
const (
	pageDefault = 200
	pageMax     = 1000
)

// column is a field that a list can be ranged over.
type column[T any] struct {
	name string
	text func(T) string
	num  func(T) int // instead of text
}

func (c column[T]) show(row T) string {
	if c.num != nil {
		return strconv.Itoa(c.num(row))
	}
	return c.text(row)
}

func (c column[T]) compare(row T, bound string) int {
	if c.num != nil {
		n, err := strconv.Atoi(bound)
		if err == nil {
			return cmp.Compare(c.num(row), n)
		}
	}
	return strings.Compare(c.show(row), bound)
}

// list says how a list is paged: its columns, the first of which orders it
// when the request names none, and how a row is shown.
type list[T any] struct {
	columns []column[T]
	show    func(T) any
}

// asked is a Range header: "id ]start..end[; max=10, order=desc". A bracket
// leaves the bound itself out.
type asked struct {
	field, start, end     string
	afterStart, beforeEnd bool
	max                   int
	desc                  bool
}

var rangeHeader = regexp.MustCompile(`^\s*(?:(\w+)\s+)?\s*(\])?([^\s;\[\]]*?)\.\.([^\s;\[\]]*)(\[)?\s*(?:;(.*))?$`)

func parseRange(header string) (asked, bool) {
	if strings.TrimSpace(header) == "" {
		return asked{max: pageDefault}, true
	}
	m := rangeHeader.FindStringSubmatch(header)
	if m == nil {
		return asked{}, false
	}
	a := asked{field: m[1], afterStart: m[2] != "", start: m[3], end: m[4], beforeEnd: m[5] != "", max: pageDefault}
	for _, option := range strings.FieldsFunc(m[6], func(r rune) bool { return r == ',' || r == ';' }) {
		key, value, _ := strings.Cut(strings.TrimSpace(option), "=")
		switch key {
		case "":
		case "max":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 || n > pageMax {
				return asked{}, false
			}
			a.max = n
		case "order":
			if value != "asc" && value != "desc" {
				return asked{}, false
			}
			a.desc = value == "desc"
		default:
			return asked{}, false
		}
	}
	return a, true
}

// page answers a list: 200 with all that is left, or 206 and Next-Range.
func page[T any](x *exchange, rows []T, l list[T]) answer {
	a, valid := parseRange(x.header.Get("Range"))
	column := l.columns[0]
	var names []string
	for _, c := range l.columns {
		names = append(names, c.name)
		if c.name == a.field {
			column = c
		}
	}
	accepts := strings.Join(names, ", ")
	if !valid || a.field != "" && column.name != a.field {
		refusal := refuse(http.StatusRequestedRangeNotSatisfiable, "requested_range_not_satisfiable",
			"Invalid `Range` header. Please use a range over one of %s, with a max of at most %d.", accepts, pageMax).answer()
		refusal.header = map[string]string{"Accept-Ranges": accepts}
		return refusal
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(p, q T) int {
		if a.desc {
			p, q = q, p
		}
		return column.compare(p, column.show(q))
	})
	rows = slices.DeleteFunc(rows, func(row T) bool {
		from, to := column.compare(row, a.start), column.compare(row, a.end)
		if a.desc {
			from, to = -from, -to
		}
		return a.start != "" && (from < 0 || a.afterStart && from == 0) || a.end != "" && (to > 0 || a.beforeEnd && to == 0)
	})
	out := answer{status: http.StatusOK, header: map[string]string{"Accept-Ranges": accepts}}
	if len(rows) > a.max {
		rows = rows[:a.max]
		out.status = http.StatusPartialContent
		end, order := a.end, ""
		if a.beforeEnd {
			end += "["
		}
		if a.desc {
			order = ", order=desc"
		}
		out.header["Next-Range"] = fmt.Sprintf("%s ]%s..%s; max=%d%s", column.name, column.show(rows[len(rows)-1]), end, a.max, order)
	}
	shown := make([]any, 0, len(rows))
	for _, row := range rows {
		shown = append(shown, l.show(row))
	}
	if len(rows) > 0 {
		out.header["Content-Range"] = fmt.Sprintf("%s %s..%s", column.name, column.show(rows[0]), column.show(rows[len(rows)-1]))
	}
	out.body = shown
	return out
}
