//! Stacks in structured lines whose type and message stand in fields beside them: .NET's `StackTrace`, Ruby's backtraces,
//! PHP's traces.

use serde_json::{Map, Value};

/// Fields that hold the exception behind the one around them.
const CAUSES: &[&str] = &["previous", "InnerException", "innerException", "inner_exception", "cause", "Cause"];
/// Fields that name the type.
const TYPES: &[&str] =
    &["class", "type", "ClassName", "className", "exception_class", "exception.class", "error_class", "name", "Type"];
/// Fields that hold the message.
const MESSAGES: &[&str] = &["message", "Message", "error_message", "exception.message", "msg"];
/// Most causes of a chain that are followed.
const MAX_CAUSES: usize = 16;

/// The stack as a text with a head in front, as the language's own runtime prints it.
///
/// `parents` are the objects around the stack's field, outermost first. `None` where nothing beside the stack names a type.
pub(super) fn with_head(stack: &Value, parents: &[&Map<String, Value>]) -> Option<String> {
    let fields = parents.last()?;
    let exception = name(fields)?;
    let message = text(fields, MESSAGES).unwrap_or_default();
    let mut whole = format!("{exception}: {message}");
    if let Some(place) = php_place(fields) {
        whole.push_str(" in ");
        whole.push_str(&place);
    }
    match stack {
        Value::String(lines) => {
            whole.push('\n');
            whole.push_str(lines);
        }
        Value::Array(lines) => {
            for (index, line) in lines.iter().enumerate() {
                whole.push('\n');
                whole.push_str(&frame_line(index, line.as_str()?));
            }
        }
        _ => return None,
    }
    Some(whole)
}

/// Whether the stack belongs to the cause of an exception that has a stack of its own.
pub(super) fn is_cause(parents: &[&Map<String, Value>]) -> bool {
    parents.windows(2).any(|pair| {
        let [outer, inner] = pair else { return false };
        CAUSES
            .iter()
            .any(|name| outer.get(*name).and_then(Value::as_object).is_some_and(|cause| std::ptr::eq(cause, *inner)))
    })
}

/// Types of the causes of the exception that `parents` end with, nearest first.
pub(super) fn causes(parents: &[&Map<String, Value>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut fields = parents.last().copied();
    while let Some(inner) = fields.and_then(|fields| CAUSES.iter().find_map(|name| fields.get(*name)?.as_object())) {
        if found.len() >= MAX_CAUSES {
            break;
        }
        found.extend(name(inner));
        fields = Some(inner);
    }
    found
}

fn name(fields: &Map<String, Value>) -> Option<String> {
    let named = text(fields, TYPES).filter(|name| is_type(name));
    // A flat record may name the type where others keep the whole exception.
    named.or_else(|| text(fields, &["exception", "error"]).filter(|name| is_type(name)))
}

fn is_type(name: &str) -> bool {
    let last = name.rsplit(['\\', '.', ':']).next().unwrap_or(name);
    last.starts_with(char::is_uppercase) && !name.contains(char::is_whitespace)
}

fn text(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| fields.get(*name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
}

/// Where PHP threw: `"file": "/srv/x.php:3"`, or `"file"` and `"line"`.
fn php_place(fields: &Map<String, Value>) -> Option<String> {
    let file = fields.get("file")?.as_str()?;
    if file.ends_with(".php") {
        let line = fields.get("line")?.as_u64()?;
        return Some(format!("{file}:{line}"));
    }
    file.contains(".php:").then(|| file.to_owned())
}

/// A frame of a list; PHP's lists only name places.
fn frame_line(index: usize, line: &str) -> String {
    match line.rsplit_once(':') {
        Some((file, number)) if file.ends_with(".php") => format!("#{index} {file}({number})"),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::driver::{Driver, RawLine, Role};

    #[test]
    fn a_head_is_made_of_the_fields_beside_the_stack() {
        let rows = [
            (
                "Newtonsoft.Json",
                r#"{"msg":"x","exception":{"ClassName":"System.InvalidOperationException","Message":"boom","InnerException":{"ClassName":"System.FormatException","Message":"y","InnerException":null},"StackTraceString":"   at Acme.X.Y() in /app/X.cs:line 3\n   at Acme.P.Main() in /app/P.cs:line 9"}}"#,
                "System.InvalidOperationException boom [/app/X.cs:3, /app/P.cs:9] [System.FormatException]",
            ),
            (
                "a list of Ruby's frames",
                r#"{"message":"failed","exception":{"name":"RuntimeError","message":"boom","stack_trace":["/app/x.rb:12:in 'Job#run'","/app/y.rb:3:in 'call'"]}}"#,
                "RuntimeError boom [/app/x.rb:12, /app/y.rb:3] []",
            ),
            (
                "a text of Ruby's frames",
                r#"{"msg":"failed","err":{"name":"ArgumentError","message":"bad","stack":"/app/x.rb:12:in `run'\n  /app/main.rb:3:in `<main>'"}}"#,
                "ArgumentError bad [/app/x.rb:12, /app/main.rb:3] []",
            ),
            (
                "Monolog's JSON, with a cause whose stack is longer",
                r#"{"message":"x","context":{"exception":{"class":"App\\Broken","message":"outer","code":7,"file":"/srv/m.php:5","trace":["/srv/m.php:7"],"previous":{"class":"TypeError","message":"inner","code":0,"file":"/srv/m.php:4","trace":["/srv/m.php:5","/srv/m.php:7"]}}}}"#,
                "App\\Broken outer [/srv/m.php:5, /srv/m.php:7] [TypeError]",
            ),
            (
                "PHP, flat",
                r##"{"message":"boom","exception":"RuntimeException","file":"/srv/x.php","line":3,"trace":"#0 /srv/y.php(12): f()\n#1 {main}"}"##,
                "RuntimeException boom [/srv/x.php:3, /srv/y.php:12] []",
            ),
            ("a list of something else", r#"{"exception":{"type":"Note","message":"x"},"backtrace":["a","b"]}"#, ""),
        ];
        for (name, line, expected) in rows {
            let mut driver = Driver::new(&[]);
            let raw = RawLine { number: 1, start: 0, end: line.len() as u64, bytes: line.as_bytes() };
            let mut found = driver.push(&raw, Role::Starter);
            found.extend(driver.flush());
            let told: Vec<String> = found
                .iter()
                .map(|found| {
                    let trace = &found.trace;
                    let frames: Vec<String> = trace
                        .frames
                        .iter()
                        .map(|f| format!("{}:{}", f.file.as_deref().unwrap_or("-"), f.line.unwrap_or(0)))
                        .collect();
                    let exception = trace.exception.as_deref().unwrap_or("-");
                    format!("{exception} {} [{}] [{}]", trace.message, frames.join(", "), trace.cause_chain.join(", "))
                })
                .collect();
            assert_eq!(told.join("\n"), expected, "{name}");
        }
    }
}
