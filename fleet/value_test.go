package fleet

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestValueRoundTrip(t *testing.T) {
	tests := map[string]struct {
		value Value[map[string]Feature]
		want  string
	}{
		"known":                  {Known(map[string]Feature{"preboot": {Enabled: true}}), `{"preboot":{"enabled":true}}`},
		"known empty":            {Known(map[string]Feature{}), `{}`},
		"known, called unknown":  {Known(map[string]Feature{"unknown": {Enabled: true}}), `{"unknown":{"enabled":true}}`},
		"unknown, with a reason": {Unknown[map[string]Feature](Reason{Kind: Forbidden, Text: "no"}), `{"unknown":{"kind":"forbidden","text":"no"}}`},
		"unknown, never read":    {Value[map[string]Feature]{}, `{"unknown":{"kind":"not-told","text":"not read"}}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(test.value)
			if err != nil || string(got) != test.want {
				t.Fatalf("got %s, %v; want %s", got, err, test.want)
			}
			var back Value[map[string]Feature]
			if err := json.Unmarshal(got, &back); err != nil {
				t.Fatal(err)
			}
			if back.IsKnown() != test.value.IsKnown() || back.Why() != test.value.Why() || !reflect.DeepEqual(back.v, test.value.v) {
				t.Errorf("read back: got %+v, want %+v", back, test.value)
			}
		})
	}
	var money Value[Money]
	if err := json.Unmarshal([]byte(`"two"`), &money); err == nil {
		t.Error(`Money from "two": got no error`)
	}
}
