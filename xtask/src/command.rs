//! Running other programs: quietly, with all they said kept in order, and with an end.

use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How a quiet run ended.
pub(crate) struct Finished {
    /// Whether it exited with 0.
    pub(crate) success: bool,
    /// What it wrote to both outputs, in the order in which it wrote it.
    pub(crate) output: String,
}

/// `cargo` with its arguments, the same cargo that runs this.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// A program of this workspace that is already built, beside this one in the target folder.
pub(crate) fn built(program: &str) -> std::io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(program))
}

/// Runs to the end and keeps what was said.
pub(crate) fn quietly(command: Command) -> Finished {
    within(command, None)
}

/// The same, but ends the program when `limit` has passed.
pub(crate) fn quietly_within(command: Command, limit: Duration) -> Finished {
    within(command, Some(limit))
}

/// Whether a program of that name can be run.
pub(crate) fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A plain user's PATH often lacks the system folders, and what lives there can still be run by path.
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(system)
        .any(|folder| folder.join(program).is_file())
}

fn within(mut command: Command, limit: Option<Duration>) -> Finished {
    let name = command.get_program().to_string_lossy().into_owned();
    run(&mut command, limit).unwrap_or_else(|error| Finished {
        success: false,
        output: format!("{name}: {error}\n"),
    })
}

fn run(command: &mut Command, limit: Option<Duration>) -> std::io::Result<Finished> {
    // One pipe for both outputs keeps their order.
    let (mut reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    // The command still holds the pipe's writing end; without this the reader would never see its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (done, finished) = mpsc::channel();
    let drain = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        // Nobody listens any more when the limit has passed.
        let _ = done.send(());
        read.map(|_| bytes)
    });
    let late = match limit {
        Some(limit) => finished.recv_timeout(limit).is_err(),
        None => finished.recv().is_err(),
    };
    if late {
        child.kill()?;
    }
    let status = child.wait()?;
    if late {
        return Ok(Finished {
            success: false,
            output: format!("ended after {} s\n", limit.unwrap_or_default().as_secs()),
        });
    }
    let bytes = drain.join().unwrap_or_else(|_| Ok(Vec::new()))?;
    Ok(Finished {
        success: status.success(),
        output: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// The exit code to end with after running something in the foreground.
pub(crate) fn exit_code(status: ExitStatus) -> std::process::ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    std::process::ExitCode::from(code.unwrap_or(1))
}
