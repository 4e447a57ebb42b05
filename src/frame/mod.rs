//! Source bytes and a line → the function around it. Pure.
