.DEFAULT_GOAL := help
.PHONY: help build test race lint demo pictures conformance crash prove long bench fuzz ci

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the bot, as ./bot
	CGO_ENABLED=0 go build -o bot ./cmd/bot

test: ## all tests but conformance; PostgreSQL's are skipped where it is not installed
	go test ./...

race: ## all tests with the race detector, which is kept from SQLite's own code as in .ci/run
	go test -race -gcflags=modernc.org/sqlite/lib=-race=false ./...

lint: ## what .ci/run checks beside the tests
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./...
	go fix -diff ./...
	go mod tidy -diff
	go -C tools mod tidy -diff
	go tool -modfile=tools/go.mod staticcheck ./...

demo: ## a fleet, a Slack and the bot on this machine, in a browser, without credentials
	go run ./cmd/bot demo

PICTURES ?= $(CURDIR)/pictures
pictures: ## the demo's page at each step of the browser's stories, into PICTURES (pictures/), and the README's into docs/ (needs chromium)
	mkdir -p $(PICTURES)
	ZDD_PICTURES=$(PICTURES) go test -count=1 -timeout=20m -run='^TestBrowser$$' ./cmd/bot
	cp $(PICTURES)/4-approval-light.png docs/demo-approval.png
	cp $(PICTURES)/watch-2-failed-light.png docs/demo-failed.png
	cp $(PICTURES)/watch-3-proved-light.png docs/demo-proved.png
	cp $(PICTURES)/home-light.png docs/demo-home.png
	cp $(PICTURES)/digest-fix-dark.png docs/demo-digest.png
	cp $(PICTURES)/phone-4-approval-light.png docs/demo-phone.png

conformance: ## hold the simulators against the real Heroku CLI and Bolt, the blocks against Slack's types, the page against axe-core (needs node 20, the npm registry and chromium)
	ZDD_CONFORMANCE=1 go test -count=1 ./conformance/...
	ZDD_CONFORMANCE=1 go test -count=1 -timeout=20m -run='^Test(Browser|Scenarios)$$' ./cmd/bot

KILLS ?= 200
crash: ## kill the bot while people use it and nights come, KILLS (200) times in each of three set-ups, and count the harm
	ZDD_CRASH_KILLS=$(KILLS) go test -count=1 -timeout=3h -v -run='^TestCrash$$' ./cmd/bot

PROVE ?= 1000
prove: ## watch PROVE (1000) random deploys on the simulated router, hold each verdict against what the router dropped, and write docs/proof.md
	ZDD_PROVE=$(PROVE) go test -count=1 -timeout=1h -v -run='^Test(Truth|Prove|Gaps)$$' ./watch

long: ## the tests that have a long form, in that: a year of nights on the fake clock and the like
	@grep -rl --include='*_test.go' ZDD_LONG . | sort | while read -r file; do \
		tests=$$(sed -n 's/^func \(Test[A-Za-z0-9_]*\)(.*/\1/p' "$$file" | paste -sd'|' -); \
		ZDD_LONG=1 go test -count=1 -timeout=3h -v -run="^($$tests)\$$" "$$(dirname "$$file")" || exit 1; \
	done

BENCH ?= 1
bench: ## measure, and write docs/benchmarks.md; BENCH=short only tries (the comparisons need node 20 and the npm registry)
	ZDD_BENCH=$(BENCH) go test -p=1 -count=1 -timeout=40m -v -run='^TestBench' ./cmd/bot ./conformance/heroku-cli ./watch
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
