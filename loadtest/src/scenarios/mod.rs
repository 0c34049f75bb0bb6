//! The loads that can be put on Relay, one file each.

pub(crate) mod steady;
