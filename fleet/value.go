package fleet

import (
	"bytes"
	"encoding/json"
)

// Value is something read from Heroku: known, or unknown with the reason. The zero
// Value is unknown, "not read".
type Value[T any] struct {
	v     T
	known bool
	why   Reason
}

// Reason says why something is unknown, in words for a person.
type Reason struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"` // never holds a secret
}

// Known is a value that was read.
func Known[T any](v T) Value[T] { return Value[T]{v: v, known: true} }

// Unknown is a value that could not be read.
func Unknown[T any](why Reason) Value[T] { return Value[T]{why: why} }

// Get returns the value and whether it is known; the zero T when not.
func (v Value[T]) Get() (T, bool) { return v.v, v.known }

// IsKnown says whether the value was read.
func (v Value[T]) IsKnown() bool { return v.known }

// Why says why the value is unknown; the zero Reason when it is known.
func (v Value[T]) Why() Reason {
	switch {
	case v.known:
		return Reason{}
	case v.why == Reason{}:
		return Reason{Kind: NotTold, Text: "not read"}
	}
	return v.why
}

// Or returns the value, or fallback where it is unknown.
func (v Value[T]) Or(fallback T) T {
	if v.known {
		return v.v
	}
	return fallback
}

// MarshalJSON writes a known value as itself and an unknown one as
// {"unknown": {"kind": …, "text": …}}, so that a program can't take one for a zero.
func (v Value[T]) MarshalJSON() ([]byte, error) {
	if v.known {
		return json.Marshal(v.v)
	}
	return json.Marshal(map[string]Reason{"unknown": v.Why()})
}

// UnmarshalJSON reads what MarshalJSON writes, so that a stored plan reads back with
// the same known and unknown parts.
func (v *Value[T]) UnmarshalJSON(text []byte) error {
	var unknown struct {
		Unknown *Reason `json:"unknown"`
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		if err := json.Unmarshal(text, &unknown); err == nil && unknown.Unknown != nil && *unknown.Unknown != (Reason{}) {
			*v = Unknown[T](*unknown.Unknown)
			return nil
		}
	}
	var known T
	if err := json.Unmarshal(text, &known); err != nil {
		return err
	}
	*v = Known(known)
	return nil
}
