# Millrace: `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c

export CARGO_TERM_COLOR ?= auto
CARGO_BUILD_JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export CARGO_BUILD_JOBS
MILLRACE := target/debug/millrace
LAB := target/debug/lab
# How long the demo runs: empty until Ctrl-C, or 30s, 2m, …
FOR ?=
# Which seeded bugs: empty for all, or words of their names.
SEEDED ?=

.PHONY: help setup setup-servers build demo demo-sample test verify seeded bench check fmt lint layers deny audit docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Check the machine, name what is missing, install what may be installed
	@.ci/setup

setup-servers: ## The same for real Kafka, OpenSearch and Elasticsearch (MILLRACE_SERVERS=none does without them)
	@.ci/setup servers

build: setup ## Build everything once: the demo and the tests share it
	@cargo build --locked --workspace --bins

demo: build ## The lab and `millrace run` with real traffic (FOR=30s ends by itself); without root, the recorded sample
	@MILLRACE=$(MILLRACE) LAB=$(LAB) lab/demo $(FOR)

test: build setup-servers ## Set up and pass all tests (a tenth of the counts)
	@cargo test --locked --workspace --no-fail-fast -- --nocapture --test-threads=1 2>&1 | .ci/summary

verify: build setup-servers ## All tests in full counts (about ten times as long)
	@MILLRACE_SCALE=full cargo test --locked --workspace --no-fail-fast -- --nocapture --test-threads=1 2>&1 | .ci/summary
	@tests/seeded/run

seeded: setup ## Break a copy in many ways: each bug must be caught by its test (SEEDED="03 drop" tries those)
	@tests/seeded/run $(SEEDED)

bench: setup ## Measured comparisons, ratios within one run
	@cargo run --locked --release --package bench

check: fmt lint layers deny ## What CI runs besides the tests

fmt: ## Check the format of Rust (and of the C side where clang-format is there)
	@cargo fmt --all --check
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror probe/bpf/*.c probe/bpf/*.h; else echo "SKIPPED: clang-format is not installed; the C side was not checked"; fi

lint: ## Clippy, warnings are errors
	@cargo clippy --locked --workspace --all-targets -- -D warnings

layers: ## Dependencies point one way; the pure crates stay pure
	@.ci/layers

deny: ## Licences, bans and sources of the dependencies
	@.ci/deny check bans licenses sources

audit: ## Known vulnerabilities of the dependencies (fetches the advisory database)
	@.ci/deny check advisories

docs: build ## Rewrite the generated references under docs/ and index-templates/
	@MILLRACE_REFRESH=1 cargo test --locked --workspace --quiet -- generated >/dev/null && git status --short docs index-templates

clean: ## Remove build output and what a lab left behind
	@if [ -x $(LAB) ] && [ "$$(id -u)" = 0 ]; then $(LAB) clean; fi
	@cargo clean
