//! A deliberate fault for tests of crash safety: builds without debug assertions have none.

/// Aborts, panics or hangs where `RELAY_FAULT` asks for it: `abort:`, `panic:` or `hang:` and the kind
/// of event. What hangs waits to be killed.
#[cfg(debug_assertions)]
pub(crate) fn point(kind: &str) {
    use std::sync::LazyLock;
    #[expect(clippy::disallowed_methods, reason = "a test's switch, not a setting")]
    static FAULT: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
        let value = std::env::var("RELAY_FAULT").ok()?;
        let (what, kind) = value.split_once(':')?;
        Some((what.to_owned(), kind.to_owned()))
    });
    let Some((what, _)) = FAULT.as_ref().filter(|(_, wanted)| wanted == kind) else { return };
    match what.as_str() {
        "abort" => std::process::abort(),
        "panic" => panic!("a fault asked for by RELAY_FAULT"),
        "hang" => {
            tracing::warn!(kind, "hanging, as RELAY_FAULT asks for");
            loop {
                std::thread::park();
            }
        }
        _ => {}
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_kind: &str) {}
