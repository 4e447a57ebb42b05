//! One file per subcommand: its arguments and its run function.

pub mod shim;
