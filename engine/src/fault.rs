//! A deliberate fault for tests of crash safety: builds without debug assertions have none.

/// Aborts or panics where `RELAY_FAULT` asks for it: `abort:<kind>` or `panic:<kind>` of event.
#[cfg(debug_assertions)]
pub(crate) fn point(kind: &str) {
    use std::sync::LazyLock;
    #[expect(clippy::disallowed_methods, reason = "a test's switch, not a setting")]
    static FAULT: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
        let value = std::env::var("RELAY_FAULT").ok()?;
        let (what, kind) = value.split_once(':')?;
        Some((what.to_owned(), kind.to_owned()))
    });
    match FAULT.as_ref() {
        Some((what, wanted)) if wanted == kind && what == "abort" => std::process::abort(),
        Some((what, wanted)) if wanted == kind && what == "panic" => {
            panic!("a fault asked for by RELAY_FAULT")
        }
        _ => {}
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn point(_kind: &str) {}
