# Two commands to begin with: `make demo` and `make test`.
.PHONY: demo test setup lint docs deny bench install

demo:
	cargo build --release --locked
	sh fixtures/demo/run.sh target/release/sentry

setup:
	sh tests/setup/install.sh

test: setup
	cargo nextest run --locked --all-targets --no-fail-fast
	cargo test --locked --doc

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

docs:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

deny:
	sh tests/setup/deny.sh

bench:
	cargo bench --locked

install:
	sh install.sh
