//! One program for all targets: with libFuzzer where the build asks for it, else a replay of files.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
mod guided {
    use std::sync::LazyLock;

    /// libFuzzer owns the command line, so the environment names the target.
    static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
        let name = std::env::var("HALLOO_FUZZ_TARGET").unwrap_or_default();
        let Some((_, run)) = halloo_fuzz::by_name(&name) else {
            let known: Vec<_> = halloo_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
            eprintln!(
                "HALLOO_FUZZ_TARGET is {name:?}; it must be one of {}",
                known.join(", ")
            );
            std::process::exit(2);
        };
        *run
    });

    libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
}

#[cfg(not(fuzzing))]
#[path = "replay.rs"]
mod replay;

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    replay::main()
}
