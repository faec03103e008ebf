//! Without libFuzzer: list the targets, hand out their seeds, run a finding again.
#![expect(clippy::print_stdout, reason = "a list on the terminal is what was asked for")]

use halloo_fuzz::{TARGETS, Target, by_name, seeds};
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

const USAGE: &str = "\
usage: halloo-fuzz                       list the targets
       halloo-fuzz seeds TARGET FOLDER   write the target's seeds as bytes, for libFuzzer
       halloo-fuzz hex FILE              print bytes as a seed file
       halloo-fuzz run TARGET FILE...    run the target on files of bytes, such as findings";

pub(super) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => {
            list();
            Ok(())
        }
        ["seeds", target, folder] => known(target).and_then(|target| unpack(target, Path::new(folder))),
        ["hex", file] => fs::read(file).map(|bytes| print!("{}", seeds::emit(&bytes))),
        ["run", target, ref files @ ..] if !files.is_empty() => {
            known(target).and_then(|target| run(target, files))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for (name, _) in TARGETS {
        println!("{name}");
    }
}

fn known(name: &str) -> io::Result<&'static Target> {
    by_name(name).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no target {name}")))
}

fn unpack((name, _): &Target, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (file, bytes) in seeds::of(name)? {
        fs::write(folder.join(file.file_stem().unwrap_or_default()), bytes)?;
    }
    Ok(())
}

fn run((_, target): &Target, files: &[&str]) -> io::Result<()> {
    for file in files {
        target(&fs::read(file)?);
        println!("{file}: ok");
    }
    Ok(())
}
