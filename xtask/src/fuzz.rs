//! `cargo xtask fuzz`: fuzzing guided by coverage, on stable Rust (see fuzz/README.md).

use crate::command::{cargo, exit_code};
use crate::packages;
use crate::report::Ending;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where instrumented builds and growing corpora live, apart from all other builds.
const FOLDER: &str = "target/fuzz";

/// Where findings stay until somebody has looked at them: a cleaned target folder must not take them along.
const FINDINGS: &str = "fuzz/artifacts";

/// What makes the compiler count which edges were taken, and shows libFuzzer what is compared with what.
const RUSTFLAGS: &[&str] = &[
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Runs `target` for so many seconds, or lists the targets.
pub(crate) fn run(target: Option<&str>, seconds: u64) -> Result<ExitCode> {
    let targets = replay(&[])?;
    let Some(target) = target else {
        print!("{targets}");
        return Ok(ExitCode::SUCCESS);
    };
    if !targets.lines().any(|known| known == target) {
        bail!("no fuzz target {target}; there are:\n{targets}");
    }
    if let Ending::NotRun(why) | Ending::Failed(why) = packages::ensure(packages::FOR_FUZZ) {
        bail!("{why}");
    }
    let folder = std::path::absolute(Path::new(FOLDER))?;
    let (seeds, corpus) = (
        folder.join("seeds").join(target),
        folder.join("corpus").join(target),
    );
    for made in [corpus.as_path(), Path::new(FINDINGS)] {
        std::fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    replay(&["seeds", target, &seeds.to_string_lossy()])?;

    let status = Command::new(build(&folder)?)
        .arg(&corpus)
        .arg(&seeds)
        .arg(format!("-max_total_time={seconds}"))
        // libFuzzer puts the name of a finding right behind this.
        .arg(format!("-artifact_prefix={FINDINGS}/{target}-"))
        .args(["-max_len=4096", "-print_final_stats=1"])
        .env("HALLOO_FUZZ_TARGET", target)
        .status()
        .context("cannot run the fuzzer")?;
    if !status.success() {
        println!("findings are in {FINDINGS}; fuzz/README.md says what to do with them");
    }
    Ok(exit_code(status))
}

/// Builds the fuzzer and returns its path.
fn build(folder: &Path) -> Result<PathBuf> {
    let host = host()?;
    let mut command = cargo(&[
        "build",
        "--release",
        "--package",
        "halloo-fuzz",
        "--bin",
        "halloo-fuzz",
    ]);
    // Naming the target, though it is this host, keeps the flags away from build scripts and macros.
    let status = command
        .args(["--target", &host, "--target-dir"])
        .arg(folder)
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\u{1f}"))
        // Whole-program optimisation would run before the counters are put in.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the fuzzer does not build");
    }
    Ok(folder.join(host).join("release").join("halloo-fuzz"))
}

/// What the same program says when it is built without libFuzzer.
fn replay(arguments: &[&str]) -> Result<String> {
    let output = cargo(&["run", "--quiet", "--package", "halloo-fuzz", "--"])
        .args(arguments)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The compiler's name for this machine, such as `x86_64-unknown-linux-gnu`.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("cannot run rustc")?;
    String::from_utf8(output.stdout)?
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .context("rustc does not tell its host")
}
