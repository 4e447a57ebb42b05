//! The command line from outside: what goes to which stream, and with which code it ends.

mod common;

use common::TestEnv;

#[test]
fn version_and_help_are_data() {
    let env = TestEnv::new();
    let version = env.run(&["--version"]).expect_quiet_success();
    assert_eq!(version, format!("sentry {}\n", env!("CARGO_PKG_VERSION")));
    assert!(env.run(&["--help"]).expect_quiet_success().contains("Usage: sentry"));
}

#[test]
fn unknown_command_is_a_usage_error() {
    let env = TestEnv::new();
    let outcome = env.run(&["statsu"]).expect_code(2);
    assert!(outcome.stdout.is_empty() && outcome.stderr.starts_with("error: "), "{outcome:?}");
}
