//! A progress bar for long work; silent where nobody watches.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar with a title. Draws on standard error, and only on a terminal.
pub(crate) fn bar(title: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} ({eta})")
        .expect("the template is well formed");
    let bar = ProgressBar::new(0).with_style(style).with_message(title);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
