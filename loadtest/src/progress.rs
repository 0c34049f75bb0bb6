//! Progress bars for a person who waits, and silence for a pipe.

use indicatif::{ProgressBar, ProgressStyle};

/// Whether anybody looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    /// Bars go to standard error, and only if that is a terminal.
    pub(crate) fn new(is_wanted: bool) -> Self {
        use std::io::IsTerminal as _;
        Self { is_shown: is_wanted && std::io::stderr().is_terminal() }
    }

    pub(crate) fn bar(&self, title: &str, length: usize) -> ProgressBar {
        if !self.is_shown {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(
            "{msg:36} [{bar:32}] {human_pos}/{human_len} {per_sec} {eta}",
        );
        let style = style.expect("the template is well formed").progress_chars("=> ");
        ProgressBar::new(length as u64).with_style(style).with_message(title.to_owned())
    }
}
