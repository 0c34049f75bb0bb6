//! What must hold of every input, whoever wrote it: one property for each thing here that reads what
//! strangers write. `fuzz/` looks for inputs that break one; the tests run all those that are kept there.
//!
//! A property says more than that nothing panics. It reads the input a second time, by other code than
//! that which it tests, and the two must agree.

mod conditions;
mod cursors;
mod events;
mod headers;
mod json;
mod retry_after;
mod signatures;
#[cfg(test)]
mod tests;
mod urls;

/// Something that reads what strangers wrote.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also that of its folders in `fuzz/`.
    pub name: &'static str,
    /// Panics at an input of which its property does not hold.
    pub check: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target { name: "url_guard", check: urls::check },
    Target { name: "headers", check: headers::check },
    Target { name: "retry_after", check: retry_after::check },
    Target { name: "conditions", check: conditions::check },
    Target { name: "cursors", check: cursors::check },
    Target { name: "signatures", check: signatures::check },
    Target { name: "events", check: events::check },
];

/// An input as text; what is none is not for this reader.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
