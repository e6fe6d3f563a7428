package fleet

// Listed is what a list of apps tells of one.
type Listed struct {
	ID       ID
	Name     string
	Team     string // empty: a personal app
	Archived bool
}
