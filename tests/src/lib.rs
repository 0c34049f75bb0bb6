//! Placeholder until its modules arrive.
