// Package schedule says when a night is due, by the wall clock of a place: on a day that
// summer time shortens or lengthens too. It decides nothing else and keeps nothing.
package schedule
