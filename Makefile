# Every recipe is an ordinary command: copy it to a shell when you want it otherwise.

target := $(abspath $(or $(CARGO_TARGET_DIR),target))
relay := $(target)/debug/relay

# Queries are checked against .sqlx/, whatever database the shell may name (make sqlx renews it).
export SQLX_OFFLINE := true

.PHONY: help run test console lint doc bench faults simulate sqlx audit
.DEFAULT_GOAL := help

help: ## Lists what there is to make
	@sed -n 's/^\([a-z]*\): .*## \(.*\)$$/\1\t\2/p' Makefile | expand -t 10

run: ## Starts everything in one process, with a private Postgres and a demo
	scripts/setup-postgres
	scripts/setup-console --if-node
	cargo build --bin relay
	$(relay) dev

test: ## Sets up what the tests need and runs them all; ARGS="-p engine" or a name narrows it
	scripts/setup-postgres
	scripts/setup-verifiers >/dev/null
	scripts/setup-prometheus >/dev/null
	scripts/setup-console --browser
	cargo test --workspace --no-run
	RELAY_VERIFIERS_DIR=$(target)/verifiers RELAY_PROMETHEUS_DIR=$(target)/prometheus $(relay) with-postgres --fast -- cargo test $(or $(ARGS),--workspace)
	$(if $(ARGS),,cd console && npm test && CARGO_TARGET_DIR=$(target) npm run e2e)

console: ## Builds the web console, which the program embeds; its tests alone: cd console && npm test && npm run e2e
	scripts/setup-console

lint: ## Format, clippy and rustdoc, with warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --quiet

doc: ## Builds the API documentation of the crates and opens it
	cargo doc --workspace --no-deps --open

bench: ## Measures throughput in release with a durable Postgres against its budget; ARGS add options
	scripts/setup-postgres
	cargo build --release -p relay -p loadtest
	$(target)/release/loadtest run --relay-bin $(target)/release/relay --check $(ARGS)

faults: ## Runs the fault scenarios alone: processes that are really killed
	scripts/setup-postgres
	cargo test --workspace --no-run
	$(relay) with-postgres --fast -- cargo test --workspace --test it faults

simulate: ## The scheduler under virtual time; SEEDS=5000, or SEED=17 for one of them with its trace
	$(if $(SEED),RELAY_SIMULATE_SEED=$(SEED),RELAY_SIMULATE_SEEDS=$(or $(SEEDS),5000)) cargo test -p engine --lib schedule::simulation -- --nocapture

sqlx: ## Renews .sqlx/ after a query or a migration has changed
	scripts/sqlx

audit: ## Licences, bans, sources and known vulnerabilities; installs cargo-deny first
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check
