//! Feeds one target with inputs that libFuzzer makes up. `RELAY_FUZZ_TARGET` names it; see `scripts/fuzz`.
#![no_main]

use std::sync::LazyLock;

use engine::fuzzing::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("RELAY_FUZZ_TARGET").unwrap_or_default();
    let names = TARGETS.map(|target| target.name).join(", ");
    TARGETS
        .into_iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("RELAY_FUZZ_TARGET must be one of {names}, not {name:?}"))
});

fuzz_target!(init: { LazyLock::force(&TARGET); }, |data: &[u8]| {
    (TARGET.check)(data);
});
