package audit

import "testing"

// Golden is golden for the tests outside of the package.
func Golden(t *testing.T, path, got string) {
	t.Helper()
	golden(t, path, got)
}
