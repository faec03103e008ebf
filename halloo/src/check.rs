//! `halloo check`.

use crate::cli::CheckArgs;
use crate::config::{Config, Given};
use crate::key;
use crate::screen::{GOOD, Screen, Styled};
use crate::serve;
use anyhow::{Context, Result, ensure};
use nix::unistd::{Uid, User};
use std::io;
use std::process::ExitCode;

/// Says whether a configuration file is right.
pub(crate) fn run(args: &CheckArgs) -> Result<ExitCode> {
    let config = Config::load(&args.file)?;
    let name = args.file.display();
    check_host(&config).with_context(|| name.to_string())?;
    let mut screen = Screen::stdout();
    if args.print {
        let text = toml::to_string(&config.complete()).context("the configuration cannot be written")?;
        screen.line(format_args!("# {name}, with all defaults"))?;
        screen.line(text.trim_end())?;
    } else {
        screen.line(format_args!("{name}: {}", Styled(GOOD, "ok")))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What `halloo serve` would refuse on this host, as far as it shows without root and without listening.
fn check_host(config: &Config) -> Result<()> {
    config.check_listeners(&Given::default())?;
    serve::check_devices(config)?;
    if let Some(user) = &config.serve.user {
        // A directory of users that cannot be asked now may well be there later.
        let missing = matches!(User::from_name(user), Ok(None));
        ensure!(!missing, "serve.user: this host has no user `{user}`");
    }
    if let Some(path) = &config.serve.key_file
        && let Err(error) = key::read(path)
    {
        let hidden = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
        if !hidden || Uid::effective().is_root() {
            return Err(error);
        }
        crate::complain(format_args!(
            "halloo: {} is not checked: this user may not read it",
            path.display()
        ));
    }
    Ok(())
}
