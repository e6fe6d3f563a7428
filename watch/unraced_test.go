//go:build !race

package watch_test

// raced says that the race detector looks on, which takes eight times as long.
const raced = false
