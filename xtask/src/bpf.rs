//! `cargo xtask bpf`: from the XDP program's C source to the numbers that halloo is built with.
//!
//! The bytecode lies beside its source as text, so that a build needs no clang, and a change shows what it changes. One
//! version of clang makes it, or it would change with the machine.

use crate::command::{found, quietly};
use crate::report::Ending;
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

const CLANG: &str = "clang-14";
const SOURCE: &str = "io/src/xdp/program/echo.c";
const BYTECODE: &str = "io/src/xdp/bytecode.rs";
/// Octets of an instruction.
const INSTRUCTION: u64 = 8;
/// A map as the source describes it: five numbers of 32 bits.
const MAP_WORDS: usize = 5;
/// A relocation that puts a map's descriptor into an instruction.
const OF_MAP: object::elf::RelocationType = object::elf::R_BPF_64_64;

/// Compiles and writes.
pub(crate) fn run() -> Result<ExitCode> {
    let text = compile()?;
    fs::write(BYTECODE, &text).with_context(|| format!("cannot write {BYTECODE}"))?;
    println!("{BYTECODE}: {} lines", text.lines().count());
    Ok(ExitCode::SUCCESS)
}

/// Compiles and compares.
pub(crate) fn check() -> Ending {
    if !found(CLANG) {
        return Ending::NotRun(format!(
            "{CLANG} is missing, so nobody knows whether {BYTECODE} is that of {SOURCE}"
        ));
    }
    match compile() {
        Ok(text) if fs::read_to_string(BYTECODE).is_ok_and(|written| written == text) => {
            Ending::passed(format!("{BYTECODE} is what {SOURCE} compiles to"))
        }
        Ok(_) => Ending::Failed(format!(
            "{SOURCE} compiles to something else than {BYTECODE}: run `cargo xtask bpf`\n"
        )),
        Err(error) => Ending::Failed(format!("{error:#}\n")),
    }
}

fn compile() -> Result<String> {
    if !found(CLANG) {
        bail!("{CLANG} is missing; Debian has it in a package of that name");
    }
    let object = Path::new("target").join("xdp-echo.o");
    fs::create_dir_all("target").context("cannot make target/")?;
    let mut command = Command::new(CLANG);
    // Version 2 of the instruction set is in every kernel that attaches XDP programs by links.
    command.args([
        "-target",
        "bpf",
        "-mcpu=v2",
        "-O2",
        "-g0",
        "-fno-ident",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-c",
    ]);
    command.arg(SOURCE).arg("-o").arg(&object);
    let finished = quietly(command);
    if !finished.success {
        bail!("{SOURCE} does not compile\n{}", finished.output);
    }
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    write_text(&bytes)
}

/// A map of the program.
struct Map<'a> {
    name: &'a str,
    words: [u32; MAP_WORDS],
}

fn write_text(bytes: &[u8]) -> Result<String> {
    let file = object::File::parse(bytes)?;
    let maps = maps(&file)?;
    let program = file.section_by_name("xdp").context("no section xdp")?;
    let code: Vec<u64> = program
        .data()?
        .chunks_exact(INSTRUCTION as usize)
        .map(|octets| {
            octets
                .iter()
                .rev()
                .fold(0, |word, &octet| word << 8 | u64::from(octet))
        })
        .collect();
    let mut relocations = vec![];
    for (offset, relocation) in program.relocations() {
        let RelocationTarget::Symbol(symbol) = relocation.target() else {
            bail!("a relocation at {offset:#x} is to no symbol");
        };
        let name = file.symbol_by_index(symbol)?.name()?;
        let map = maps.iter().position(|map| map.name == name);
        let map = map.with_context(|| format!("`{name}` is no map: functions must be inlined"))?;
        match relocation.flags() {
            object::RelocationFlags::Elf { r_type: OF_MAP } => relocations.push((offset / INSTRUCTION, map)),
            flags => bail!("a relocation at {offset:#x} is of another kind: {flags:?}"),
        }
    }
    Ok(rust(&maps, &code, &relocations)?)
}

/// The maps in the order in which they lie in their section.
fn maps<'a>(file: &object::File<'a>) -> Result<Vec<Map<'a>>> {
    let section = file.section_by_name("maps").context("no section maps")?;
    let data = section.data()?;
    let mut maps = vec![];
    for symbol in file
        .symbols()
        .filter(|symbol| symbol.section_index() == Some(section.index()))
    {
        let name = symbol.name()?;
        if name.is_empty() {
            continue;
        }
        let start = usize::try_from(symbol.address())?;
        let octets = data
            .get(start..start + MAP_WORDS * 4)
            .with_context(|| format!("`{name}` is cut short"))?;
        let mut words = [0; MAP_WORDS];
        for (word, octets) in words.iter_mut().zip(octets.chunks_exact(4)) {
            *word = octets
                .iter()
                .rev()
                .fold(0, |word, &octet| word << 8 | u32::from(octet));
        }
        maps.push((start, Map { name, words }));
    }
    maps.sort_by_key(|&(start, _)| start);
    Ok(maps.into_iter().map(|(_, map)| map).collect())
}

fn rust(maps: &[Map<'_>], code: &[u64], relocations: &[(u64, usize)]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "//! Made by `cargo xtask bpf` with {CLANG} from program/echo.c; not to be changed by hand."
    )?;
    writeln!(
        text,
        "#![allow(clippy::unreadable_literal, reason = \"nobody reads machine code by its digits\")]"
    )?;
    writeln!(text, "\nuse super::maps::Plan;\n")?;
    writeln!(text, "/// The maps that the program works with.")?;
    writeln!(text, "pub(super) const MAPS: [Plan; {}] = [", maps.len())?;
    for Map {
        name,
        words: [kind, key, value, entries, flags],
    } in maps
    {
        writeln!(
            text,
            "    Plan {{ name: \"{name}\", kind: {kind}, key: {key}, value: {value}, entries: {entries}, flags: {flags} }},"
        )?;
    }
    writeln!(text, "];\n\n/// Which instruction takes which map's descriptor.")?;
    writeln!(
        text,
        "pub(super) const RELOCATIONS: [(usize, usize); {}] = [",
        relocations.len()
    )?;
    for line in relocations.chunks(8) {
        let line: Vec<_> = line.iter().map(|(at, map)| format!("({at}, {map}),")).collect();
        writeln!(text, "    {}", line.join(" "))?;
    }
    writeln!(
        text,
        "];\n\n/// The instructions, each as the kernel keeps it in 64 bits."
    )?;
    writeln!(text, "pub(super) static CODE: [u64; {}] = [", code.len())?;
    for line in code.chunks(6) {
        let line: Vec<_> = line.iter().map(|word| format!("{word:#018x},")).collect();
        writeln!(text, "    {}", line.join(" "))?;
    }
    writeln!(text, "];")?;
    Ok(text)
}
