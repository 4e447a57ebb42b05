//! Renderers of one picture: text for terminals, JSON for programs.
