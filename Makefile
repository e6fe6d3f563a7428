.DEFAULT_GOAL := help
.PHONY: help build test race lint demo conformance crash long bench fuzz ci

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the bot, as ./bot
	CGO_ENABLED=0 go build -o bot ./cmd/bot

test: ## all tests but conformance; PostgreSQL's are skipped where it is not installed
	go test ./...

race: ## all tests with the race detector
	go test -race ./...

lint: ## what .ci/run checks beside the tests
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go fix -diff ./...
	go mod tidy -diff
	go -C tools mod tidy -diff
	go tool -modfile=tools/go.mod staticcheck ./...

demo: ## a fleet, a Slack and the bot on this machine, without credentials
	go run ./cmd/bot demo

conformance: ## hold the simulators against the real Heroku CLI and Bolt (needs node 20 and the npm registry)
	ZDD_CONFORMANCE=1 go test -count=1 ./conformance/...

KILLS ?= 200
crash: ## kill the bot while people use it and nights come, KILLS (200) times in each of three set-ups, and count the harm
	ZDD_CRASH_KILLS=$(KILLS) go test -count=1 -timeout=3h -v -run='^TestCrash$$' ./cmd/bot

long: ## the tests that have a long form, in that: a year of nights on the fake clock and the like
	@grep -rl --include='*_test.go' ZDD_LONG . | sort | while read -r file; do \
		tests=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | paste -sd'|' -); \
		ZDD_LONG=1 go test -count=1 -timeout=3h -v -run="^($$tests)\$$" "$$(dirname "$$file")" || exit 1; \
	done

BENCH ?= 1
bench: ## measure, and write docs/benchmarks.md; BENCH=short only tries (the comparisons need node 20 and the npm registry)
	ZDD_BENCH=$(BENCH) go test -p=1 -count=1 -timeout=40m -v -run='^TestBench' ./cmd/bot ./conformance/heroku-cli
	go test -run='^$$' -bench=Scan -benchtime=1x ./heroku

FUZZTIME ?= 10s
fuzz: ## each fuzz test for FUZZTIME (10s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			go test -run='^$$' -fuzz="^$$target\$$" -fuzztime=$(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
		done; \
	done

ci: ## everything, as the pipeline runs it
	.ci/run
