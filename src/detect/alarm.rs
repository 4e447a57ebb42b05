//! One condition over several looks: fires once when enough looks agree, and is armed again by as many that agree on the
//! opposite.

/// A condition that is looked at again and again. A look that could not be made is no look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Alarm {
    bad: u32,
    good: u32,
    fired: bool,
}

impl Alarm {
    /// Takes what a look saw. Whether the alarm goes off now.
    pub(super) fn see(&mut self, bad: bool, confirmations: u32) -> bool {
        if bad {
            self.good = 0;
            self.bad = self.bad.saturating_add(1);
            let goes_off = !self.fired && self.bad >= confirmations;
            self.fired |= goes_off;
            return goes_off;
        }
        self.bad = 0;
        self.good = self.good.saturating_add(1);
        if self.good >= confirmations {
            self.fired = false;
        }
        false
    }

    /// Whether it has gone off and has not been armed again.
    pub(super) fn is_on(&self) -> bool {
        self.fired
    }

    /// Bad looks in a row.
    pub(super) fn in_a_row(&self) -> u32 {
        self.bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_off_once_per_episode() {
        // A look each: `x` is bad, `.` is good. The alarm goes off at `X`.
        let rows = [
            ("two agree", 2, "x X x x x"),
            ("one odd look", 2, "x . x . x ."),
            ("again after recovery", 2, "x X . . x X"),
            ("no recovery by one good look", 2, "x X . x x . x"),
            ("at once", 1, "X x . X"),
        ];
        for (case, confirmations, looks) in rows {
            let mut alarm = Alarm::default();
            for (at, look) in looks.split(' ').enumerate() {
                assert_eq!(alarm.see(look != ".", confirmations), look == "X", "{case}, look {at}");
            }
        }
    }
}
