//! What operators see of a process: its log on standard error, its metrics on an address of their own,
//! its spans where they have them collected.

mod log;
mod metrics;
#[cfg(feature = "otlp")]
mod trace;
#[cfg(not(feature = "otlp"))]
#[path = "untraced.rs"]
mod trace;

pub(crate) use self::log::init_logging;
pub(crate) use self::metrics::{install_metrics, metrics_server};
pub(crate) use self::trace::start_traces;
