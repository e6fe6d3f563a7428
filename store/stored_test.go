package store

import (
	"reflect"
	"testing"
	"time"
)

// Every time is stored to the millisecond, wherever in a value it is, and what is stored
// is a copy.
func TestStored(t *testing.T) {
	type inner struct {
		At   time.Time
		Text string
	}
	type outer struct {
		At      time.Time
		In      inner
		List    []inner
		Many    map[string]time.Time
		To      *inner
		None    *inner
		Nothing []inner
		Two     [2]time.Time
		Raw     []byte
		hidden  time.Time
	}
	all := func(at time.Time) outer {
		return outer{
			At: at, In: inner{at, "a"}, List: []inner{{at, "b"}, {}}, Many: map[string]time.Time{"c": at}, To: &inner{at, "d"}, Two: [2]time.Time{at},
			Raw: []byte("{}"), hidden: time.Unix(1, 1),
		}
	}
	at := time.Date(2026, 3, 29, 4, 31, 2, 123456789, time.FixedZone("", 7200))
	v := all(at)
	if got, want := stored(v), all(time.Date(2026, 3, 29, 2, 31, 2, 123e6, time.UTC)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := all(at); !reflect.DeepEqual(v, want) {
		t.Errorf("storing it wrote into it: got %+v, want %+v", v, want)
	}
}
