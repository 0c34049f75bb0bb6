//! Waiting for something to become true, with a deadline instead of a guess.

use std::time::{Duration, Instant};

/// More than anything that is expected to happen takes on a busy machine with two cores.
pub const LONG: Duration = Duration::from_secs(30);

/// Looks until there is something, and gives it; panics at the deadline with `what` was waited for.
pub async fn wait_until<T, F, Fut>(what: &str, deadline: Duration, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain for {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Waits for something where nobody can `await`: on a thread of its own, since a runtime cannot wait
/// inside another one.
pub(crate) fn on_a_runtime<T: Default + Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be had").block_on(work)
    });
    waiting.join().unwrap_or_default()
}
