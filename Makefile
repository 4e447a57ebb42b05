# Two commands to begin with: `make demo` and `make test`.
# All others are the steps of the gate (.ci/run), one by one.
.PHONY: demo test setup lint docs deny bench fuzz healthy install

demo:
	cargo build --release --locked --bin sentry
	sh fixtures/demo/run.sh "$${CARGO_TARGET_DIR:-target}/release/sentry"

setup:
	sh tests/setup/install.sh

test: setup
	cargo nextest run --locked --no-fail-fast
	cargo test --locked --doc

lint:
	cargo fmt --check
	cargo fmt --check --manifest-path fuzz/Cargo.toml
	sh -n install.sh
	sh -n update.sh
	cargo clippy --locked --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

deny:
	sh tests/setup/deny.sh

bench:
	cargo bench --locked

# Seconds for each target: make fuzz SECONDS=600
SECONDS = 10
fuzz:
	sh fuzz/run $(SECONDS)

# Ten million lines of healthy logs through the built-in detectors.
healthy:
	SENTRY_HEALTHY_LINES=10000000 cargo test --locked --release --test traces healthy

install:
	sh install.sh
