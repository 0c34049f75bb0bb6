//! Looks at the built console again when it has changed: its files have other names then.

fn main() {
    println!("cargo:rerun-if-changed=../console/dist");
}
