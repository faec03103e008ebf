//! Running the tools that set a lab up, where any failure ends the test with the tool's own words.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// A command from its parts, with nothing to read.
pub(crate) fn command(
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// What the command printed; panics unless it succeeded.
#[track_caller]
pub(crate) fn must(mut command: Command) -> String {
    match command.output() {
        Ok(output) => succeeded(&command, output),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

/// As [`must`], with `input` on standard input.
#[track_caller]
pub(crate) fn must_read(mut command: Command, input: &str) -> String {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let mut stdin = child.stdin.take().expect("standard input was just piped");
    // A tool that ends before it has read everything says why on standard error, which is shown below.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    match child.wait_with_output() {
        Ok(output) if output.status.success() => text(&output.stdout),
        Ok(output) => panic!(
            "{command:?}: {}\n{}given:\n{input}",
            output.status,
            text(&output.stderr)
        ),
        Err(error) => panic!("{command:?}: {error}"),
    }
}

#[track_caller]
fn succeeded(command: &Command, output: Output) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    assert!(
        status.success(),
        "{command:?}: {status}\n{}{}",
        text(&stdout),
        text(&stderr)
    );
    text(&stdout)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
