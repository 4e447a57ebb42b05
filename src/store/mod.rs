//! Everything written under `.sentry/`.
