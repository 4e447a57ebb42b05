//! Clock, processes, signals, atomic files, locks: the only callers of the operating system.
