package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"example.com/zdd/approval"
)

// list reads all rows of a query, each with read, which is given the row's Scan. With an
// error comes what was read before it. The error is bare: the caller says of what.
func list[T any](ctx context.Context, q querier, query string, args []any, read func(scan func(...any) error) (T, error)) (all []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := read(rows.Scan)
		if err != nil {
			return all, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// fromJSON reads a row of one column that holds a T as JSON.
func fromJSON[T any](scan func(...any) error) (one T, err error) {
	var body string
	if err := scan(&body); err != nil {
		return one, err
	}
	err = json.Unmarshal([]byte(body), &one)
	return one, err
}

// selection is a query for rows that have numbers, by what they have to be.
type selection struct {
	where []string
	args  []any
}

// mark is the parameter of a value.
func (s *selection) mark(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

// is wants a column to be that; empty: whatever it is.
func (s *selection) is(column, value string) {
	if value != "" {
		s.where = append(s.where, column+` = `+s.mark(value))
	}
}

// since wants a time that is not before that; zero: any.
func (s *selection) since(column string, at time.Time) {
	if !at.IsZero() {
		s.where = append(s.where, column+` >= `+s.mark(at.UnixMilli()))
	}
}

// oneOf wants a column to be one of these; none: whatever it is.
func oneOf[T ~string](s *selection, column string, any []T) {
	var marks []string
	for _, value := range any {
		marks = append(marks, s.mark(string(value)))
	}
	if len(marks) > 0 {
		s.where = append(s.where, column+` IN (`+strings.Join(marks, ", ")+`)`)
	}
}

// newest is the query for the rows with the highest numbers: at most limit, or if that is 0
// as many as usual, and below 0 all.
func (s *selection) newest(from string, limit, usual int) (query string, args []any) {
	query = from
	if len(s.where) > 0 {
		query += ` WHERE ` + strings.Join(s.where, ` AND `)
	}
	most := int64(cmp.Or(limit, usual))
	if most < 0 {
		most = math.MaxInt64
	}
	query += ` ORDER BY n DESC LIMIT ` + s.mark(most)
	return query, s.args
}

// numberOf is n of an id that write writes as a letter, a dash and n.
func numberOf(id string, write func(n int64) string) (n int64, ok bool) {
	_, digits, _ := strings.Cut(id, "-")
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n > 0 && write(n) == id
}

// record is how something is kept that has a revision and that people decide on.
type record[T any] struct {
	read  func(id, body string) (T, error)
	check func(before, after T) error // says what is wrong with storing after over before
	raise func(*T)                    // its revision
}

// edit lets change edit what is kept, and says how it is to be stored; an empty body: it is
// as it was. An error of change is returned as it is.
func (r record[T]) edit(id string, before T, change func(*T) (approval.Change, error)) (after T, body string, c approval.Change, err error) {
	was, err := json.Marshal(before)
	if err != nil {
		return before, "", c, fmt.Errorf("write %s: %w", id, err)
	}
	after, err = r.read(id, string(was)) // shares no slice with before, which change might write into
	if err != nil {
		return before, "", c, err
	}
	if c, err = change(&after); err != nil {
		return before, "", c, err
	}
	if err := r.check(before, after); err != nil {
		return before, "", c, fmt.Errorf("change %s: %w", id, err)
	}
	is, err := json.Marshal(after)
	if err == nil && string(is) == string(was) {
		return before, "", c, nil
	}
	r.raise(&after)
	if err == nil {
		is, err = json.Marshal(after)
	}
	if err != nil {
		return before, "", c, fmt.Errorf("write %s: %w", id, err)
	}
	after, err = r.read(id, string(is))
	return after, string(is), c, err
}
