//! The function around a line in a parsed text.

use tree_sitter::{Node, Tree};

use super::grammar::{Grammar, Role};

/// Longest head of one definition, in characters.
const MAX_HEAD: usize = 160;
/// Deepest path that is followed: deeper nesting is no program that a person wrote.
const MAX_DEPTH: usize = 2048;

/// What is around a line.
#[derive(Debug, Default)]
pub(super) struct Enclosing {
    /// Heads, outermost first.
    pub(super) heads: Vec<String>,
    /// Name of the innermost named function.
    pub(super) function: Option<String>,
    /// Rows of the innermost function in the parsed text, both inclusive, decorators included.
    pub(super) rows: Option<(usize, usize)>,
    /// Last row of that function's head.
    pub(super) head_end: usize,
}

/// Finds what is around the bytes `from..to` of `text`.
pub(super) fn find(tree: &Tree, text: &[u8], from: usize, to: usize, grammar: Grammar) -> Enclosing {
    let path = path_to(tree, from, to);
    let mut found = Enclosing::default();
    let mut function: Option<(usize, bool)> = None;
    for (depth, node) in path.iter().enumerate() {
        let role = grammar.role(node.kind());
        let name = match role {
            Some(Role::Function) => node.child_by_field_name("name").map(|name| slice(text, name)),
            Some(Role::Unnamed) => path.get(..depth).and_then(|above| assigned_name(above, text)),
            Some(Role::Container) => None,
            None => continue,
        };
        match role {
            Some(Role::Container) => found.heads.push(head(*node, *node, text)),
            // A named function beats an unnamed one inside it: a callback alone says little about where one is.
            _ if name.is_none() && function.is_some_and(|(_, named)| named) => {}
            _ => {
                if function.is_some_and(|(_, named)| !named) {
                    found.heads.pop();
                }
                let outer = path.get(..depth).map_or(*node, |above| statement(above, *node));
                found.heads.push(head(outer, *node, text));
                function = Some((depth, name.is_some()));
                found.function = name.or(found.function);
            }
        }
    }
    if let Some((depth, _)) = function
        && let (Some(node), Some(above)) = (path.get(depth), path.get(..depth))
    {
        let start = first_row(statement(above, *node));
        found.rows = Some((start, last_row(*node)));
        found.head_end = head_end_row(*node);
    }
    found
}

/// The nodes that hold the bytes, from the root inwards.
fn path_to(tree: &Tree, from: usize, to: usize) -> Vec<Node<'_>> {
    let mut cursor = tree.walk();
    let mut path = vec![cursor.node()];
    while path.len() < MAX_DEPTH && cursor.goto_first_child_for_byte(from).is_some() {
        let node = cursor.node();
        if node.start_byte() > from || node.end_byte() < to {
            break;
        }
        path.push(node);
    }
    // The line may hold the head of a definition only: its decorator, or `const f = () => …`.
    for _ in 0..6 {
        let Some(next) = path.last().and_then(|node| definition_on_line(*node)) else { break };
        path.push(next);
    }
    path
}

fn definition_on_line(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "decorated_definition" => node.child_by_field_name("definition"),
        "decorator" => node.parent().and_then(|parent| parent.child_by_field_name("definition")),
        "export_statement" => node.child_by_field_name("declaration").or_else(|| node.child_by_field_name("value")),
        "lexical_declaration" | "variable_declaration" if node.named_child_count() == 1 => node.named_child(0),
        "expression_statement" => node.named_child(0).filter(|child| child.kind() == "assignment_expression"),
        "assignment_expression" => node.child_by_field_name("right"),
        "variable_declarator" | "pair" | "field_definition" | "public_field_definition" => {
            node.child_by_field_name("value")
        }
        _ => None,
    }
}

/// Name that an unnamed function gets from the nodes above it.
fn assigned_name(above: &[Node<'_>], text: &[u8]) -> Option<String> {
    let parent = above.last()?;
    let name = match parent.kind() {
        "variable_declarator" => parent.child_by_field_name("name")?,
        "assignment_expression" => parent.child_by_field_name("left")?,
        "pair" => parent.child_by_field_name("key")?,
        "field_definition" | "public_field_definition" => {
            parent.child_by_field_name("property").or_else(|| parent.child_by_field_name("name"))?
        }
        _ => return None,
    };
    let name = slice(text, name);
    let last = name.rsplit('.').next().unwrap_or(&name).trim_matches(['"', '\'', '`']);
    (!last.is_empty() && last.len() <= MAX_HEAD && !last.contains(char::is_whitespace)).then(|| last.to_owned())
}

/// The node with what belongs to it: decorators, `export`, the statement that an unnamed function stands in.
fn statement<'tree>(above: &[Node<'tree>], node: Node<'tree>) -> Node<'tree> {
    let mut outer = node;
    for candidate in above.iter().rev() {
        match candidate.kind() {
            "decorated_definition" | "export_statement" => outer = *candidate,
            "variable_declarator"
            | "lexical_declaration"
            | "variable_declaration"
            | "assignment_expression"
            | "expression_statement"
            | "pair"
            | "field_definition"
            | "public_field_definition"
            | "call_expression"
            | "arguments"
            | "await_expression"
            | "argument_list"
            | "return_statement" => outer = *candidate,
            _ => break,
        }
        if candidate.start_position().row + 8 < node.start_position().row {
            // A huge object literal or call is no head of this function.
            return node;
        }
    }
    outer
}

/// First row with the attributes in front of the node.
fn first_row(node: Node<'_>) -> usize {
    let mut first = node;
    while let Some(before) =
        first.prev_sibling().filter(|before| matches!(before.kind(), "attribute_item" | "decorator"))
    {
        first = before;
    }
    first.start_position().row
}

/// Last row; a node that ends at column 0 ends on the row before.
fn last_row(node: Node<'_>) -> usize {
    let end = node.end_position();
    if end.column == 0 { end.row.saturating_sub(1).max(node.start_position().row) } else { end.row }
}

fn head_end_row(node: Node<'_>) -> usize {
    let end = head_end(node);
    (0..node.child_count())
        .filter_map(|at| node.child(at))
        .take_while(|child| child.end_byte() <= end)
        .last()
        .map_or(node.start_position().row, |child| child.end_position().row)
}

/// Byte at which the head ends: the body's start, or Python's colon.
fn head_end(node: Node<'_>) -> usize {
    let Some(body) = node.child_by_field_name("body") else { return node.end_byte() };
    let mut cursor = node.walk();
    let colon = node.children(&mut cursor).take_while(|child| child.start_byte() < body.start_byte());
    colon.filter(|child| child.kind() == ":").last().map_or(body.start_byte(), |colon| colon.start_byte())
}

/// `def load(self, path)`: the definition up to its body, without decorators and annotations, on one line.
fn head(outer: Node<'_>, node: Node<'_>, text: &[u8]) -> String {
    let from = if outer.kind() == "decorated_definition" { node } else { outer };
    let bytes = text.get(head_start(from)..head_end(node)).unwrap_or_default();
    let bytes = bytes.get(..MAX_HEAD * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut head = String::new();
    for word in text.split_whitespace() {
        if !head.is_empty() {
            head.push(' ');
        }
        head.push_str(word);
    }
    if head.chars().count() > MAX_HEAD {
        head = head.chars().take(MAX_HEAD).chain(['…']).collect();
    }
    head
}

fn head_start(node: Node<'_>) -> usize {
    let mut cursor = node.walk();
    let skipped = |kind: &str| matches!(kind, "decorator" | "annotation" | "marker_annotation" | "attribute_item");
    for child in node.children(&mut cursor) {
        if child.kind() == "modifiers" {
            let mut inner = child.walk();
            let first = child.children(&mut inner).find(|modifier| !skipped(modifier.kind()));
            match first {
                Some(first) => return first.start_byte(),
                None => continue,
            }
        }
        if !skipped(child.kind()) {
            return child.start_byte();
        }
    }
    node.start_byte()
}

fn slice(text: &[u8], node: Node<'_>) -> String {
    let bytes = text.get(node.start_byte()..node.end_byte()).unwrap_or_default();
    String::from_utf8_lossy(bytes.get(..MAX_HEAD * 4).unwrap_or(bytes)).into_owned()
}
