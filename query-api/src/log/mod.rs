//! The log itself, for those who audit it, and what it says of time.

pub(crate) mod events;
mod follow;
pub(crate) mod head;
mod page;
pub(crate) mod point_in_time;
mod recorded;
pub(crate) mod stream;
mod time_range;

pub(crate) use follow::FOLLOWERS;
pub(crate) use time_range::{TimeRange, TimeRangeParameters, demanded_before};
