//go:build !linux

package ramdir

// free is 0: there is no such place that every machine has.
func free(string) uint64 { return 0 }
