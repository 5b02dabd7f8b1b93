//! Whether a rate is sustained: the same rule for every benchmark that asks for one.

/// The share of what is asked for that has to be answered in time, in percent.
const IN_TIME_PERCENT: u64 = 99;
/// How far behind the read models may be, in seconds: more would be noticed by who looks at a balance.
const LAG_MAX_S: f64 = 1.0;

/// What was asked for at a rate, and what came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    /// How many requests were due.
    pub(crate) asked: u64,
    /// How many of them were answered, and well, in the time that they were measured.
    pub(crate) in_time: u64,
    /// How many were not answered well.
    pub(crate) errors: u64,
    /// The most that read models were behind meanwhile, in seconds.
    pub(crate) lag_s: f64,
}

impl Demand {
    /// Whether it could have gone on like this.
    pub(crate) fn sustained(self) -> bool {
        let Self { asked, in_time, errors, lag_s } = self;
        errors == 0 && in_time * 100 >= asked * IN_TIME_PERCENT && lag_s <= LAG_MAX_S
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MET: Demand = Demand { asked: 1_000, in_time: 990, errors: 0, lag_s: 1.0 };

    #[test]
    fn a_rate_is_sustained_up_to_each_bound() {
        assert!(MET.sustained());
    }

    #[test]
    fn a_rate_is_not_sustained_beyond_any_bound() {
        assert!(!Demand { in_time: 989, ..MET }.sustained());
        assert!(!Demand { errors: 1, ..MET }.sustained());
        assert!(!Demand { lag_s: 1.001, ..MET }.sustained());
        assert!(!Demand { lag_s: f64::INFINITY, ..MET }.sustained());
    }
}
