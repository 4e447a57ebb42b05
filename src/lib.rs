//! Supervises a long-running command, catches its failures in the log stream, heals them, verifies that the fix holds,
//! takes it back when it does not, and keeps a forensic record of everything.
//!
//! `docs/architecture.md` draws the house. In short: [`monitor`] waits, decides and does; what it decides with
//! ([`config`], [`detect`], [`incident`], [`heal`], [`frame`], [`time`], [`ids`]) is pure; what touches the world is in
//! [`supervisor`], [`store`] and [`os`].

pub mod backtest;
pub mod cli;
pub mod config;
pub mod detect;
pub mod exit;
pub mod frame;
pub mod heal;
pub mod ids;
pub mod incident;
pub mod monitor;
pub mod os;
pub mod paths;
pub mod store;
pub mod supervisor;
pub mod time;
pub mod view;
