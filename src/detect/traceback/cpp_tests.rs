//! Whole reports of native programs, as their tools print them.
