//! The HTTP side that all pretended providers share.

pub(crate) mod listener;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod route;
pub(crate) mod serve;
