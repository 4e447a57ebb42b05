//! Which grammar reads which file, and what its functions are called.

use crate::detect::Language;

/// A tree-sitter grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grammar {
    Python,
    Javascript,
    Typescript,
    Tsx,
    Go,
    Rust,
    Java,
}

/// What a node means for a person who looks for "the function around this line".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A function or method with a name of its own.
    Function,
    /// A function that gets its name, if any, from what it is assigned to.
    Unnamed,
    /// A class, impl block, trait, module: named in the head, never shown whole.
    Container,
}

impl Grammar {
    /// Grammar of a file, by its ending.
    pub(super) fn of_file(file_name: &str) -> Option<Self> {
        Some(match ending(file_name)?.as_str() {
            "py" | "pyi" | "pyw" => Self::Python,
            "js" | "mjs" | "cjs" | "jsx" => Self::Javascript,
            "ts" | "mts" | "cts" => Self::Typescript,
            "tsx" => Self::Tsx,
            "go" => Self::Go,
            "rs" => Self::Rust,
            "java" => Self::Java,
            _ => return None,
        })
    }

    /// The compiled grammar.
    pub(super) fn load(self) -> tree_sitter::Language {
        match self {
            Self::Python => tree_sitter_python::LANGUAGE.into(),
            Self::Javascript => tree_sitter_javascript::LANGUAGE.into(),
            Self::Typescript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Self::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Self::Go => tree_sitter_go::LANGUAGE.into(),
            Self::Rust => tree_sitter_rust::LANGUAGE.into(),
            Self::Java => tree_sitter_java::LANGUAGE.into(),
        }
    }

    /// Whether blocks are made by indentation (otherwise by braces).
    pub(super) fn is_indented(self) -> bool {
        matches!(self, Self::Python)
    }

    /// Whether statements may stand outside of functions. Where they may not, indented code without a function around it
    /// means that the snippet was cut in the wrong place.
    pub(super) fn has_free_statements(self) -> bool {
        matches!(self, Self::Python | Self::Javascript | Self::Typescript | Self::Tsx)
    }

    /// What a node of this kind (`node-types.json` of the grammar) is.
    pub(super) fn role(self, kind: &str) -> Option<Role> {
        let (functions, unnamed, containers): (&[&str], &[&str], &[&str]) = match self {
            Self::Python => (&["function_definition"], &[], &["class_definition"]),
            Self::Javascript | Self::Typescript | Self::Tsx => (
                &["function_declaration", "generator_function_declaration", "method_definition"],
                &["arrow_function", "function_expression", "generator_function", "class_static_block"],
                &[
                    "class_declaration",
                    "class",
                    "abstract_class_declaration",
                    "interface_declaration",
                    "internal_module",
                    "module",
                ],
            ),
            Self::Go => (&["function_declaration", "method_declaration"], &["func_literal"], &[]),
            Self::Rust => (&["function_item"], &[], &["impl_item", "trait_item", "mod_item"]),
            Self::Java => (
                &["method_declaration", "constructor_declaration", "compact_constructor_declaration"],
                &["static_initializer"],
                &["class_declaration", "interface_declaration", "enum_declaration", "record_declaration"],
            ),
        };
        if functions.contains(&kind) {
            Some(Role::Function)
        } else if unnamed.contains(&kind) {
            Some(Role::Unnamed)
        } else if containers.contains(&kind) {
            Some(Role::Container)
        } else {
            None
        }
    }
}

/// Language of a file, by its ending; also where no grammar is built in.
pub fn language_of(file_name: &str) -> Option<Language> {
    Some(match ending(file_name)?.as_str() {
        "py" | "pyi" | "pyw" => Language::Python,
        "js" | "mjs" | "cjs" | "jsx" => Language::Javascript,
        "ts" | "mts" | "cts" | "tsx" => Language::Typescript,
        "go" => Language::Go,
        "rs" => Language::Rust,
        "java" => Language::Java,
        "kt" | "kts" => Language::Kotlin,
        "scala" | "sc" => Language::Scala,
        "c" | "cc" | "cpp" | "cxx" | "cu" | "h" | "hh" | "hpp" | "cuh" => Language::Cpp,
        "sh" | "bash" => Language::Shell,
        "cs" | "fs" | "vb" => Language::Dotnet,
        "rb" | "erb" => Language::Ruby,
        "php" => Language::Php,
        _ => return None,
    })
}

fn ending(file_name: &str) -> Option<String> {
    let base = file_name.rsplit(['/', '\\']).next()?;
    let (stem, ending) = base.rsplit_once('.')?;
    (!stem.is_empty()).then(|| ending.to_ascii_lowercase())
}
