# streamgauge. `make` alone lists the targets. Everything fetched or built on the way is cached in .cache/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# The race detector needs cgo and a C compiler; `make test RACE=` does without.
RACE ?= -race
# For every package; the longest one (whole-product tests under -race on two cores) takes minutes, not tens of them.
TEST_TIMEOUT ?= 15m
TEST_FLAGS ?=
# Whole-product tests in virtual time need locks of the Kafka client that a bubble can wait on.
TAGS := synctests
# Per fuzz target.
FUZZTIME ?= 5s
# How long `make test-chaos` breaks things, and by which seed: by the clock's if empty.
CHAOS_TIME ?= 15m
SEED ?=
DEMO_FLAGS ?=
BENCH ?= monitor
BENCH_FLAGS ?=

GOLANGCI_VERSION := v2.15.0
GOLANGCI := .cache/bin/golangci-lint-$(GOLANGCI_VERSION)

# What a bench names; + where the tree holds more than the commit.
commit = $(shell git describe --always --abbrev=12 --exclude='*' --dirty=+ 2>/dev/null)

# Packages with a test that speaks to the servers named by STREAMGAUGE_TEST_KAFKA, STREAMGAUGE_TEST_REDIS or STREAMGAUGE_TEST_REDIS_CLUSTER.
server_packages = $(sort $(dir $(shell grep -rlE 'STREAMGAUGE_TEST_(KAFKA|REDIS)' --include='*_test.go' --exclude-dir='.?*' .)))
# Packages with a test that needs three brokers, which can be killed one at a time.
three_packages = $(sort $(dir $(shell grep -rl '^func TestThree_' --include='*_test.go' --exclude-dir='.?*' .)))
go_files = $(shell find . -name '*.go' -not -path './.*')

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ build and run

.PHONY: build
build: ## bin/streamgauge, and bin/streamgauge-clickhouse beside it (the embedded archive's own process)
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/streamgauge .
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/streamgauge-clickhouse ./pipeline/devserver/sidecar

.PHONY: engine
engine: ## fetch the ClickHouse engine for the embedded archive (about 150 MB, once)
	bash deploy/engine/fetch.sh

# What to do without the engine is the caller's to say; why it is missing, fetch.sh has said.
.PHONY: engine-if-possible
engine-if-possible:
	@bash deploy/engine/fetch.sh || echo "going on without the ClickHouse engine: the archive, and tests of it, are left out"

.PHONY: demo
demo: build ## the whole path embedded, on generated events; DEMO_FLAGS="--input FILE" for your own
	@archive=; \
	bash deploy/engine/fetch.sh || { \
	  echo "the demo runs without the archive (--no-archive); everything else is the same"; archive=--no-archive; }; \
	exec bin/streamgauge demo $$archive $(DEMO_FLAGS)

.PHONY: bench
bench: build ## a figure beside its goal, embedded; BENCH=monitor latency redis recovery memory scale, BENCH_FLAGS
	bin/streamgauge bench $(BENCH) --commit "$(commit)" $(BENCH_FLAGS)

.PHONY: bench-servers
bench-servers: build ## the same on a real Kafka and Redis of its own, fresh, stopped afterwards; BENCH_FLAGS
	bash deploy/servers/servers.sh run bash -c 'exec bin/streamgauge bench $(BENCH) --commit "$(commit)" --kafka $$STREAMGAUGE_TEST_KAFKA --redis $$STREAMGAUGE_TEST_REDIS $(BENCH_FLAGS)'

##@ servers

.PHONY: servers
servers: ## a real Kafka and a real Redis on loopback; keeps their data; eval "$(make -s servers)" passes their addresses on
	@bash deploy/servers/servers.sh start

.PHONY: servers-stop
servers-stop: ## stop them, by their ids
	@bash deploy/servers/servers.sh stop

##@ tests

.PHONY: test
test: engine-if-possible ## all tests with -race; those that need real servers run if STREAMGAUGE_TEST_* name some
	$(GO) test $(RACE) -tags $(TAGS) -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...

.PHONY: test-data
test-data: ## the longer tests, on all of ../shared/data
	STREAMGAUGE_TEST_DATA=all $(GO) test -tags $(TAGS) -run Data -timeout 30m $(TEST_FLAGS) ./...

# Runs of each sound form; every ablation gets a twentieth. -v is what prints the table.
RUNS ?= 100000

.PHONY: test-model
test-model: ## the protocol model, RUNS random fault schedules of each form that must hold, and what breaks without each guard
	STREAMGAUGE_TEST_MODEL_RUNS=$(RUNS) $(GO) test -count=1 -v -timeout 60m $(TEST_FLAGS) ./pipeline/model

# Tests of the whole product start the binary, hence build. One package at a time: they share the servers and the clock.
# What the tests on three brokers leave (schedule, logs, configuration) stays until the next time.
.PHONY: test-servers
test-servers: build engine-if-possible ## end to end through real servers, fresh, stopped afterwards; 2 minutes of chaos among it
	@[[ -n "$(server_packages)" ]] || { echo "no test names STREAMGAUGE_TEST_KAFKA or STREAMGAUGE_TEST_REDIS"; exit 1; }
	bash deploy/servers/servers.sh run --cluster $(GO) test $(RACE) -count=1 -p 1 -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $(server_packages)
	@rm -rf .cache/servers-three && mkdir -p .cache/servers-three
	bash deploy/servers/servers.sh run --three --cluster $(GO) test $(RACE) -count=1 -p 1 -v -timeout $(TEST_TIMEOUT) -run '^TestThree_' \
	  -artifacts -outputdir $(CURDIR)/.cache/servers-three $(TEST_FLAGS) $(three_packages)

.PHONY: test-chaos
test-chaos: build ## everything killed, frozen, cut and emptied at once for CHAOS_TIME, then the oracle; SEED repeats a schedule
	@mkdir -p .cache/chaos
	CHAOS_TIME=$(CHAOS_TIME) SEED=$(SEED) bash deploy/servers/servers.sh run --three --cluster $(GO) test -count=1 -v -timeout 0 -run '^TestThree_Chaos' \
	  -artifacts -outputdir $(CURDIR)/.cache/chaos $(TEST_FLAGS) ./bench/faults

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME
	@mkdir -p .cache
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir='.?*' . | sort | \
	while IFS=: read -r file func; do \
	  printf '%s %s\n' "$$(dirname $$file)" "$${func#func }"; \
	  $(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x "$$(dirname $$file)" </dev/null 2>&1 | tee .cache/fuzz.log || { \
	    ! grep -q 'Failing input' .cache/fuzz.log && grep -q 'context deadline exceeded' .cache/fuzz.log || exit 1; \
	    echo "no failing input: the time was up while a worker was busy, which the tool reports so"; }; \
	done

##@ code

.PHONY: fmt
fmt: ## format
	gofmt -s -w $(go_files)

.PHONY: fmt-check
fmt-check: ## fail if something is not formatted
	@bad=$$(gofmt -s -l $(go_files)); [[ -z $$bad ]] || { printf 'not formatted (make fmt):\n%s\n' "$$bad"; exit 1; }

.PHONY: vet
vet: ## go vet
	$(GO) vet -tags $(TAGS) ./...

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint with the linters of .golangci.yml
	$(GOLANGCI) run ./...

$(GOLANGCI):
	@mkdir -p .cache/bin
	GOBIN=$(CURDIR)/.cache/bin $(GO) install -trimpath github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv .cache/bin/golangci-lint $@

.PHONY: clean
clean: ## remove what was built or printed; .cache/ (downloads, servers and their data) stays
	rm -rf bin demo-out
	find . -name '.?*' -prune -o \( -name '*.test' -o -name '*.prof' \) -type f -exec rm -f {} +
