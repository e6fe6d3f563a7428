package store

import (
	"context"
	"encoding/json"
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
