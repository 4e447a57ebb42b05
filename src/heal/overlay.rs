//! `restart_with_env`: how variables change.

use std::collections::BTreeMap;

use crate::config::EnvChange;

/// Where a variable's current value comes from, nearest first.
#[derive(Clone, Copy, Debug)]
pub struct Bases<'a> {
    /// What earlier rules of this run have set.
    pub overlay: &'a BTreeMap<String, String>,
    /// `process.env`.
    pub process_env: &'a BTreeMap<String, String>,
    /// The monitor's environment, which the child inherits.
    pub environment: &'a BTreeMap<String, String>,
}

impl Bases<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        [self.overlay, self.process_env, self.environment].into_iter().find_map(|map| map.get(name)).map(String::as_str)
    }
}

/// What the changes come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Variables to put into the overlay.
    pub set: BTreeMap<String, String>,
    /// One line each for people: `BATCH_SIZE: 8 → 4`, or why a variable was left as it was.
    pub notes: Vec<String>,
}

/// Computes new values. A base that is no whole number leaves the variable alone and says so.
pub fn change(changes: &BTreeMap<String, EnvChange>, bases: Bases<'_>) -> Changed {
    let mut changed = Changed::default();
    for (name, change) in changes {
        let before = bases.get(name);
        match new_value(change, before) {
            Ok(after) => {
                changed.notes.push(format!("{name}: {} → {after}", before.unwrap_or("(not set)")));
                changed.set.insert(name.clone(), after);
            }
            Err(why) => changed.notes.push(format!("{name} left as it was: {why}")),
        }
    }
    changed
}

fn new_value(change: &EnvChange, before: Option<&str>) -> Result<String, String> {
    let (word, compute): (&str, fn(i64) -> i64) = match change {
        EnvChange::Literal(text) => return Ok(text.clone()),
        EnvChange::Half => ("half", |number| (number / 2).max(1)),
        EnvChange::Double => ("double", |number| number.saturating_mul(2).max(1)),
    };
    let Some(before) = before else {
        return Err(format!(
            "`{word}` needs a value to begin with, and it is set neither by an earlier rule, nor in `process.env`, nor in the environment"
        ));
    };
    match before.trim().parse::<i64>() {
        Ok(number) => Ok(compute(number).to_string()),
        Err(_) => Err(format!("`{word}` needs a whole number to begin with, not `{before}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn values_change_as_the_table_says() {
        struct Row {
            name: &'static str,
            change: EnvChange,
            overlay: &'static [(&'static str, &'static str)],
            process_env: &'static [(&'static str, &'static str)],
            environment: &'static [(&'static str, &'static str)],
            after: Option<&'static str>,
            note: &'static str,
        }
        let rows = [
            Row {
                name: "half of process.env",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[("N", "8")],
                environment: &[("N", "100")],
                after: Some("4"),
                note: "N: 8 → 4",
            },
            Row {
                name: "half of the overlay first",
                change: EnvChange::Half,
                overlay: &[("N", "4")],
                process_env: &[("N", "8")],
                environment: &[],
                after: Some("2"),
                note: "N: 4 → 2",
            },
            Row {
                name: "half of the environment last",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[],
                environment: &[("N", "9")],
                after: Some("4"),
                note: "N: 9 → 4",
            },
            Row {
                name: "half never goes below one",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[("N", "1")],
                environment: &[],
                after: Some("1"),
                note: "N: 1 → 1",
            },
            Row {
                name: "half of a negative number",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[("N", "-8")],
                environment: &[],
                after: Some("1"),
                note: "N: -8 → 1",
            },
            Row {
                name: "double",
                change: EnvChange::Double,
                overlay: &[],
                process_env: &[("N", "8")],
                environment: &[],
                after: Some("16"),
                note: "N: 8 → 16",
            },
            Row {
                name: "double at the end of the range",
                change: EnvChange::Double,
                overlay: &[],
                process_env: &[("N", "9223372036854775807")],
                environment: &[],
                after: Some("9223372036854775807"),
                note: "N: 9223372036854775807 → 9223372036854775807",
            },
            Row {
                name: "literal without a base",
                change: EnvChange::Literal("x".into()),
                overlay: &[],
                process_env: &[],
                environment: &[],
                after: Some("x"),
                note: "N: (not set) → x",
            },
            Row {
                name: "no number",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[("N", "many")],
                environment: &[],
                after: None,
                note: "N left as it was: `half` needs a whole number to begin with, not `many`",
            },
            Row {
                name: "a fraction",
                change: EnvChange::Double,
                overlay: &[],
                process_env: &[("N", "0.5")],
                environment: &[],
                after: None,
                note: "N left as it was: `double` needs a whole number to begin with, not `0.5`",
            },
            Row {
                name: "not set",
                change: EnvChange::Half,
                overlay: &[],
                process_env: &[],
                environment: &[],
                after: None,
                note: "N left as it was: `half` needs a value to begin with, and it is set neither by an earlier rule, nor in `process.env`, nor in the environment",
            },
        ];
        for row in rows {
            let changed = change(
                &BTreeMap::from([("N".to_owned(), row.change)]),
                Bases {
                    overlay: &map(row.overlay),
                    process_env: &map(row.process_env),
                    environment: &map(row.environment),
                },
            );
            assert_eq!(changed.set.get("N").map(String::as_str), row.after, "{}", row.name);
            assert_eq!(changed.notes, [row.note], "{}", row.name);
        }
    }
}
