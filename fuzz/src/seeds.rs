//! The seeds in `corpus/`: one text file each, octets in hex, `#` begins a comment. Text can be read, reviewed and
//! merged; libFuzzer wants bytes and gets a copy (README.md).

use std::io;
use std::path::{Path, PathBuf};

/// A seed and the file that it came from.
pub type Seed = (PathBuf, Vec<u8>);

/// The seeds of a target in the order of their names.
///
/// # Errors
/// If the folder or a file in it cannot be read, or a file is not hex.
pub fn of(target: &str) -> io::Result<Vec<Seed>> {
    let mut files: Vec<PathBuf> = folder(target)
        .read_dir()?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    files
        .into_iter()
        .map(|file| read(&file).map(|bytes| (file, bytes)))
        .collect()
}

/// The folder of all targets' seeds.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn folder(target: &str) -> PathBuf {
    corpus().join(target)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let text = std::fs::read_to_string(file)?;
    parse(&text).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is not hex", file.display()),
        )
    })
}

/// The octets of a seed file's text.
pub fn parse(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16))
        .collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect(),
    )
}

/// A seed file's text, 16 octets a line.
pub fn emit(bytes: &[u8]) -> String {
    let line = |chunk: &[u8]| {
        let octets: Vec<String> = chunk.iter().map(|octet| format!("{octet:02x}")).collect();
        octets.join(" ") + "\n"
    };
    bytes.chunks(16).map(line).collect()
}
