# `make help` lists the targets; the text after ## is what it prints.

TAGS     := urfave_cli_no_docs,grpcnotrace
FUZZTIME ?= 30s

# Go reads version and commit from the checkout. Where there is none, as in an archive
# of the source: make build VERSION=v1.2.3 COMMIT=0123456789ab
VERSION  ?=
COMMIT   ?=
BUILD    := github.com/envharness/envharness/internal/buildinfo
# Functions begin at every 16 bytes instead of 32: 60 KiB of envharness are nothing but gaps else.
LDFLAGS  := -s -w -funcalign=16 -X $(BUILD).version=$(VERSION) -X $(BUILD).commit=$(COMMIT)
VCS      := $(if $(shell git rev-parse --verify HEAD 2>/dev/null),true,false)

# What `make dist` builds for, as linux/amd64,linux/arm64; empty is all.
PLATFORMS ?=

# How many packages are tested at a time. Their tests wait for processes, TTLs
# and servers more than they compute, so it is more than there are processors.
PACKAGES ?= $(shell echo $$((3 * $$(nproc))))

# The packages that take longest begin first, so that none of them runs alone in the end.
SLOWEST := ./registryd ./discovery/consul ./discovery/etcd2 ./examples ./discovery/zookeeper ./discovery/etcd ./packaging ./cmd/envharness \
	./cmd/envdiscover ./exporters/docker ./discovery/dns ./examples/engine/files

# With -short it is these that take longest, and more tests at once: there are no servers that share the processors.
SLOWEST_QUICK := ./cmd/envharness ./registryd ./examples/engine/files ./examples ./discovery/memory
TESTS         := $(shell echo $$((12 * $$(nproc))))

# Words added to `go test`, for example: make test TESTFLAGS='-v -run Print'
TESTFLAGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build every command, static and stripped, into bin/
	CGO_ENABLED=0 go build -trimpath -buildvcs=$(VCS) -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: dist
dist: ## Build a release into dist/: archives, packages, images, SBOMs, checksums; PLATFORMS=linux/amd64 for some
	rm -rf dist
	CGO_ENABLED=0 go -C tools/dist run -trimpath . -platforms '$(PLATFORMS)'

.PHONY: dist-verify
dist-verify: ## Build the release in dist/ again, in another clone without what was built before, and compare every byte
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && git clone --quiet . "$$work/clone" && \
		GOCACHE=$$work/cache $(MAKE) -C "$$work/clone" dist && diff --recursive --brief dist "$$work/clone/dist"

.PHONY: demo
demo: build ## The whole story, step by step: an environment, a registry, a service that moves
	scripts/demo

.PHONY: demo-page
demo-page: build ## The same, and then the registry's page, until Ctrl-C
	scripts/demo --page

.PHONY: pictures
pictures: build ## The pictures in docs: the registry's page, and a start-up
	scripts/pictures

# Lint has vetted. What the race detector watches sleeps a second before it exits, unless told otherwise.
.PHONY: test
test: install-test-tools lint ## Everything that CI runs: tools, lint, all tests under the race detector
	ENVHARNESS_TEST_REQUIRE=all GORACE=atexit_sleep_ms=10 scripts/with-docker \
		go test -race -trimpath -vet=off -shuffle=on -p $(PACKAGES) -timeout 30m -tags $(TAGS) $(TESTFLAGS) $(SLOWEST) ./...

.PHONY: test-quick
test-quick: ## The tests that need no server and no Docker engine, without the race detector, in a minute after the build
	go test -short -p $(PACKAGES) -parallel $(TESTS) -tags $(TAGS) $(TESTFLAGS) $(SLOWEST_QUICK) ./...

.PHONY: generate
generate: ## Write man/ and completions/ anew, from the option tables and the documents
	ENVHARNESS_GENERATE=1 go test -count=1 -tags $(TAGS) -run 'TestManual|TestCompletions' ./cmd/...

.PHONY: man
man: generate ## The same

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s) each
	TAGS=$(TAGS) scripts/fuzz $(FUZZTIME)

.PHONY: cover
cover: ## Test coverage by function, and as bin/coverage.html
	@mkdir -p bin
	go test -tags $(TAGS) -coverpkg ./... -coverprofile bin/coverage.out ./...
	go tool cover -html bin/coverage.out -o bin/coverage.html
	go tool cover -func bin/coverage.out | tail -n 1

.PHONY: bench
bench: build ## Measure against dash, tini and others; rewrites docs/benchmarks.md, tells what got worse
	scripts/install-test-tools bench
	bench/run

# What is measured, and how; see bench/scale. SCALE='-sizes 1000:10:100 -window 5s' takes a minute.
SCALE ?=

.PHONY: bench-scale
bench-scale: ## Measure three etcd members under 1,000 to 30,000 instances (root, 5 min); rewrites docs/scale.md
	@mkdir -p bin
	go build -tags $(TAGS) -o bin/scale ./bench/scale
	bin/scale run $(SCALE) >bin/scale.json
	bin/scale page bin/scale.json docs

.PHONY: lint
lint: lint-format lint-go lint-scripts lint-platforms lint-vulnerabilities ## Check formatting, Go code, scripts, the other platforms' builds, known vulnerabilities

.PHONY: lint-format
lint-format:
	@files=$$(gofmt -l .); test -z "$$files" || { echo "not formatted, run gofmt -w on:"; echo "$$files"; exit 1; } >&2
	go mod tidy -diff
	go -C tools/dist mod tidy -diff

# As examples, releases and the tests' own programs are built, so that each package is compiled once for all of them.
STATIC := CGO_ENABLED=0 GOFLAGS='$(GOFLAGS) -trimpath'

.PHONY: lint-go
lint-go:
	$(STATIC) go vet -tags $(TAGS) ./...
	$(STATIC) go tool -modfile=tools/go.mod staticcheck -tags $(TAGS) ./...
	$(STATIC) go -C tools/dist vet ./...

.PHONY: lint-scripts
lint-scripts:
	scripts/list-shell-scripts | xargs shellcheck -x

# The harness runs on Linux; its users write code on other systems too, where
# the packages must at least compile, and the harness's tests too. Releases have 32 bit, too, whose int is short.
# With -export, go list compiles and links nothing.
.PHONY: lint-platforms
lint-platforms:
	$(STATIC) GOARCH=arm64 go list -export -tags $(TAGS) ./... >/dev/null
	$(STATIC) GOOS=darwin go list -export -tags $(TAGS) ./... >/dev/null
	$(STATIC) GOOS=darwin go vet -tags $(TAGS) ./cmd/envharness ./harness/... ./internal/...
	$(STATIC) GOARCH=386 go list -export -tags $(TAGS) ./cmd/envdiscover >/dev/null

.PHONY: lint-vulnerabilities
lint-vulnerabilities:
	TAGS=$(TAGS) scripts/check-vulnerabilities

.PHONY: install-test-tools
install-test-tools: ## Install what the tests use: Debian packages (needs root), Consul, CoreDNS; quick when all is there
	scripts/install-test-tools
	scripts/build-servers
	cd tools/prometheus && CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -o /dev/null .

.PHONY: clean
clean: ## Remove what the other targets built
	rm -rf bin dist
