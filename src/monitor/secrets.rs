//! Which variables there are, so that the redactor finds the values of the secret ones wherever they stand.

use std::collections::BTreeMap;

use super::state::State;
use crate::config::{Action, EnvChange};

/// All values that each variable has, or may be given by a rule. The redactor takes one value per name and judges a name by
/// its parts: `1_DB_PASSWORD` is as secret as `DB_PASSWORD`.
pub(super) fn variables(state: &State) -> BTreeMap<String, String> {
    let process = &state.config.process;
    let mut all = state.environment.clone();
    for (name, value) in process.env.iter().chain(&state.memory.overlay) {
        add(&mut all, name, value);
    }
    for rule in &state.config.rules {
        match &rule.action {
            Action::RestartWithEnv { set } => {
                for (name, change) in set {
                    match change {
                        EnvChange::Literal(value) => add(&mut all, name, value),
                        EnvChange::Half | EnvChange::Double => {}
                    }
                }
            }
            Action::CustomCommand { env, .. } => env.iter().for_each(|(name, value)| add(&mut all, name, value)),
            Action::Restart | Action::Pause | Action::Abort | Action::Notify | Action::Ignore => {}
        }
    }
    all
}

fn add(all: &mut BTreeMap<String, String>, name: &str, value: &str) {
    let mut free = name.to_owned();
    let mut number = 1_u32;
    while all.get(&free).is_some_and(|there| there != value) {
        free = format!("{number}_{name}");
        number = number.saturating_add(1);
    }
    all.insert(free, value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Redactor;

    #[test]
    fn every_value_of_a_secret_variable_is_known() {
        let mut all = BTreeMap::new();
        for (name, value) in [("DB_PASSWORD", "first-value"), ("DB_PASSWORD", "next-value"), ("BATCH", "last-value")] {
            add(&mut all, name, value);
            add(&mut all, name, value);
        }
        assert_eq!(all.len(), 3);
        let mut redactor = Redactor::new(&BTreeMap::new());
        redactor.learn(&all);
        assert_eq!(redactor.redact("first-value → next-value, last-value"), "<secret:1> → <secret:2>, last-value");
        redactor.learn(&all);
        assert_eq!(redactor.redact("next-value"), "<secret:2>");
    }
}
