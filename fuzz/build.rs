//! Names the one `cfg` that a build for fuzzing sets, so that the compiler can tell it from a slip of the pen.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(fuzzing)");
}
