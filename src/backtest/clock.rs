//! The time of a log: what its stamps say, and what is assumed where there are none or wrong ones. Pure.

/// Lines without a stamp come at this rate, until stamps tell that they come faster.
const LINES_PER_SECOND: u64 = 100;
/// A stamp that is further ahead than this is a new beginning, or wrong: milliseconds.
const AHEAD: i64 = 24 * 60 * 60 * 1000;
/// A stamp that is further behind than this is so too. Less is the disorder of several writers: milliseconds.
const BEHIND: i64 = 60 * 1000;
/// So many stamps in a row are believed though they are far ahead …
const BELIEVED_AHEAD: u32 = 2;
/// … and so many though they are far behind: a clock that was set back, a stamp before them that was wrong.
const BELIEVED_BEHIND: u32 = 32;

/// Wall clock of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogClock {
    /// Milliseconds since the epoch.
    now: i64,
    /// Milliseconds that passed since the log's first line.
    elapsed: u64,
    stamped: bool,
    /// Stamps that agreed with the clock since it was last set.
    agreed: u32,
    /// Lines without a stamp since the clock was moved.
    unstamped: u64,
    per_second: u64,
    /// The last stamp that was believed, and lines without one since.
    base: (i64, u64),
    /// Stamps in a row that were not believed.
    doubted: Option<Doubted>,
}

#[derive(Clone, Copy, Debug)]
struct Doubted {
    ahead: bool,
    last: i64,
    count: u32,
}

/// What a line does to the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It was printed so many milliseconds after the clock's time.
    After(u64),
    /// The log goes on at another time. How long it was silent nobody knows.
    Anew {
        /// Milliseconds since the epoch.
        at: i64,
        /// It was silent for longer than a day, if its stamps are right.
        silent: bool,
    },
}

impl LogClock {
    /// A clock at `now`, as good as that is known.
    pub(super) fn new(now: i64) -> Self {
        Self {
            now,
            elapsed: 0,
            stamped: false,
            agreed: 0,
            unstamped: 0,
            per_second: LINES_PER_SECOND,
            base: (now, 0),
            doubted: None,
        }
    }

    /// Milliseconds since the epoch.
    pub(super) fn now(&self) -> i64 {
        self.now
    }

    /// Milliseconds that passed since the log's first line.
    pub(super) fn elapsed(&self) -> u64 {
        self.elapsed
    }

    /// Whether a line bore a stamp.
    pub(super) fn is_stamped(&self) -> bool {
        self.stamped
    }

    /// Milliseconds that the lines since the clock was moved are taken to have lasted.
    pub(super) fn assumed(&self) -> u64 {
        self.unstamped.saturating_mul(1000) / self.per_second
    }

    /// Takes a line.
    pub(super) fn line(&mut self, stamp: Option<i64>) -> Move {
        let Some(stamp) = stamp else { return self.without_stamp() };
        if !self.stamped {
            self.stamped = true;
            return Move::Anew { at: stamp, silent: false };
        }
        let ahead = stamp.saturating_sub(self.now);
        if (-BEHIND..=AHEAD).contains(&ahead) {
            self.doubted = None;
            self.agreed = self.agreed.saturating_add(1);
            self.learn_rate(stamp);
            self.unstamped = 0;
            return Move::After(u64::try_from(ahead).unwrap_or(0));
        }
        let ahead = ahead > 0;
        let goes_on = |doubted: &Doubted| doubted.ahead == ahead && (!ahead || stamp >= doubted.last);
        let count = self.doubted.filter(goes_on).map_or(0, |doubted| doubted.count) + 1;
        self.doubted = Some(Doubted { ahead, last: stamp, count });
        if count < if ahead { BELIEVED_AHEAD } else { BELIEVED_BEHIND } {
            return self.without_stamp();
        }
        // After a single stamp it was that one, more likely, that was wrong.
        Move::Anew { at: stamp, silent: ahead && self.agreed > 1 }
    }

    fn without_stamp(&mut self) -> Move {
        self.unstamped = self.unstamped.saturating_add(1);
        self.base.1 = self.base.1.saturating_add(1);
        Move::After(self.assumed())
    }

    /// Lines that were taken to last longer than they did come faster than was assumed.
    fn learn_rate(&mut self, stamp: i64) {
        let (base, lines) = self.base;
        let too_far = self.now.saturating_add_unsigned(self.assumed()) > stamp;
        if too_far {
            let seconds = u64::try_from(stamp.saturating_sub(base) / 1000).unwrap_or(0).max(1);
            self.per_second = self.per_second.max(lines / seconds);
        }
        self.base = (base.max(stamp), 0);
    }

    /// Lets time pass, as far as lines were taken.
    pub(super) fn advance(&mut self, millis: u64) {
        self.unstamped = 0;
        self.now = self.now.saturating_add_unsigned(millis);
        self.elapsed = self.elapsed.saturating_add(millis);
    }

    /// Goes on at another time.
    pub(super) fn set(&mut self, now: i64) {
        let count = self.doubted.take().map_or(1, |doubted| doubted.count);
        *self = Self { now, agreed: count, unstamped: 0, base: (now, 0), ..*self };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines: how many, and the stamp of each in seconds.
    type Run = (u32, Option<i64>);

    /// What lines moved, in seconds: elapsed, now.
    fn play(lines: &[Run]) -> (u64, i64) {
        let mut clock = LogClock::new(0);
        for &(count, stamp) in lines {
            for _ in 0..count {
                match clock.line(stamp.map(|seconds| seconds * 1000)) {
                    Move::After(millis) if millis >= 1000 => clock.advance(millis),
                    Move::After(_) => {}
                    Move::Anew { at, silent: _ } => clock.set(at),
                }
            }
        }
        clock.advance(clock.assumed());
        (clock.elapsed() / 1000, clock.now() / 1000)
    }

    #[test]
    fn stamps_rule_and_between_them_a_rate_is_assumed() {
        const DAY: i64 = 24 * 3600;
        const NOON: i64 = 20_000 * DAY;
        let at = |seconds: i64| Some(NOON + seconds);
        let rows: [(&str, &[Run], (u64, i64)); 11] = [
            ("no stamps", &[(1_000, None)], (10, 10)),
            ("stamps", &[(3, at(0)), (3, at(5)), (3, at(99))], (99, NOON + 99)),
            ("a banner before", &[(200, None), (1, at(0)), (1, at(5))], (7, NOON + 5)),
            ("a stamp, then none", &[(1, at(0)), (3_000, None)], (30, NOON + 30)),
            ("never beyond the next for long", &[(1, at(0)), (300, None), (1, at(9)), (1, at(10))], (10, NOON + 10)),
            ("disorder", &[(1, at(10)), (9, at(0)), (1, at(11)), (9, at(1)), (1, at(12))], (2, NOON + 12)),
            ("one wrong ahead", &[(2, at(0)), (1, at(40 * DAY)), (1, at(5))], (5, NOON + 5)),
            ("one wrong at first", &[(1, Some(3)), (2, at(0)), (1, at(5))], (5, NOON + 5)),
            ("first in the future", &[(1, at(40 * DAY)), (32, at(0)), (1, at(5))], (5, NOON + 5)),
            ("set back", &[(2, at(7_200)), (32, at(3_600)), (1, at(3_605))], (5, NOON + 3_605)),
            (
                "once in two days",
                &[(1, at(0)), (1, at(2 * DAY)), (1, at(4 * DAY)), (1, at(4 * DAY + 1))],
                (1, NOON + 4 * DAY + 1),
            ),
        ];
        for (name, lines, expected) in rows {
            assert_eq!(play(lines), expected, "{name}");
        }
    }

    #[test]
    fn lines_that_come_faster_are_learned() {
        let mut lines = Vec::new();
        (0..600).for_each(|second| lines.extend([(1, Some(second)), (1_000, None)]));
        let (elapsed, now) = play(&lines);
        assert!((590..=620).contains(&elapsed) && now == i64::try_from(elapsed).unwrap(), "{elapsed} {now}");
    }
}
