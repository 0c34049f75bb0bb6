# Every recipe is an ordinary command: copy it to a shell when you want it otherwise.

target := $(abspath $(or $(CARGO_TARGET_DIR),target))
relay := $(target)/debug/relay

# Queries are checked against .sqlx/, whatever database the shell may name (make sqlx renews it).
export SQLX_OFFLINE := true

# Where the tests find the programs that scripts/setup-* get for them.
verifiers := $(target)/verifiers
prometheus := $(target)/prometheus
schemathesis := $(target)/schemathesis
tools := RELAY_VERIFIERS_DIR=$(verifiers) RELAY_PROMETHEUS_DIR=$(prometheus) RELAY_SCHEMATHESIS_DIR=$(schemathesis)
# What faults come to, a line for each, until the page is written.
outcomes := $(target)/outcomes
# By their names, those that are about something else as well included.
fault_tests := faults:: names:: restore:: retention:: f16_ f20_ f26_ f28_ rolling_update b40b_more b32_beside

.PHONY: help run test console lint doc bench faults failover soak fuzz schemathesis simulate sqlx audit sbom
.DEFAULT_GOAL := help

help: ## Lists what there is to make
	@sed -n 's/^\([a-z]*\): .*## \(.*\)$$/\1\t\2/p' Makefile | expand -t 14

run: ## Starts everything in one process, with a private Postgres and a demo
	scripts/setup-postgres
	scripts/setup-console --if-node
	cargo build --bin relay
	$(relay) dev

test: ## Sets up what the tests need and runs them all; ARGS="-p engine" or a name narrows it
	scripts/setup-postgres
	scripts/setup-verifiers >/dev/null
	scripts/setup-prometheus >/dev/null
	scripts/setup-faketime >/dev/null
	scripts/setup-console --browser
	cargo test --workspace --no-run
	$(tools) $(relay) with-postgres --fast -- cargo test $(or $(ARGS),--workspace)
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

faults: ## Every fault, really done, the long ones too: minutes; writes the table of docs/reliability.md
	scripts/setup-postgres
	scripts/setup-faketime >/dev/null
	cargo test --workspace --no-run
	scripts/setup-previous >/dev/null
	rm -f $(outcomes)/[BF]*.jsonl
	RELAY_FAULTS_DIR=$(outcomes) $(relay) with-postgres --fast -- cargo test --workspace --test it -- --include-ignored $(fault_tests)
	RELAY_FAULTS_DIR=$(outcomes) $(MAKE) failover
	$(target)/debug/reliability $(outcomes) docs/reliability.md

failover: ## Loses the primary of a Postgres with standbys (Patroni, etcd, HAProxy): about four minutes
	scripts/setup-failover >/dev/null
	cargo test --workspace --no-run
	RELAY_FAILOVER_DIR=$(target)/failover cargo test --workspace --test failover -- --include-ignored --nocapture --test-threads 1

soak: ## Faults by lot under load, and a look for leaks: MINUTES=30; SEED=42 plays the same again, ROUND=17 one round of it
	scripts/setup-postgres
	cargo test --workspace --no-run
	RELAY_FAULTS_DIR=$(outcomes) RELAY_SOAK_MINUTES=$(if $(ROUND),,$(or $(MINUTES),30)) RELAY_SOAK_SEED=$(SEED) RELAY_SOAK_ROUND=$(ROUND) $(relay) with-postgres --fast -- cargo test --workspace --test soak -- --nocapture
	$(target)/debug/reliability $(outcomes) docs/reliability.md

fuzz: ## Looks a minute for inputs that break each property; ARGS="url_guard" narrows it, FUZZ_SECONDS=600 looks longer
	scripts/fuzz $(ARGS)

schemathesis: ## Asks the API all that its document allows, and holds the answers against it
	scripts/setup-postgres
	scripts/setup-schemathesis >/dev/null
	cargo test --workspace --no-run
	$(tools) $(relay) with-postgres --fast -- cargo test --workspace --test it document:: -- --ignored

simulate: ## The scheduler under virtual time; SEEDS=5000, or SEED=17 for one of them with its trace
	$(if $(SEED),RELAY_SIMULATE_SEED=$(SEED),RELAY_SIMULATE_SEEDS=$(or $(SEEDS),5000)) cargo test -p engine --lib schedule::simulation -- --nocapture

sqlx: ## Renews .sqlx/ after a query or a migration has changed
	scripts/sqlx

audit: ## Licences, bans, sources and known vulnerabilities, of the crates and of the console
	$$(scripts/setup-deny) check
	scripts/audit-console

sbom: ## What the program is made of, as CycloneDX: target/sbom/
	scripts/sbom
