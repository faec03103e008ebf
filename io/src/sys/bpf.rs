//! bpf(2): maps, programs, and links that attach them.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands, types and flags of linux/bpf.h.
const MAP_CREATE: i32 = 0;
const MAP_LOOKUP: i32 = 1;
const MAP_UPDATE: i32 = 2;
const MAP_DELETE: i32 = 3;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const LINK_CREATE: i32 = 28;
const TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// Kinds of maps with a value for each processor.
const PERCPU_HASH: u32 = 5;
const PERCPU_ARRAY: u32 = 6;
const LRU_PERCPU_HASH: u32 = 10;
/// As many as a kernel can be built for (CONFIG_NR_CPUS).
const MOST_PROCESSORS: usize = 8_192;
/// Room for what the verifier says about a program that it refuses.
const LOG: usize = 1 << 20;

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    kind: u32,
    key: u32,
    value: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    node: u32,
    name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct MapElement {
    map: u32,
    reserved: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    kind: u32,
    instructions: u32,
    code: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
    device: u32,
    attach: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    device: u32,
    attach: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    verdict: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_sizes: [u32; 2],
    contexts: [u64; 2],
}

/// What a map is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) kind: u32,
    /// Bytes of a key.
    pub(crate) key: u32,
    /// Bytes of a value; where there is one for each processor, of one of these.
    pub(crate) value: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

/// A map, with the sizes that the kernel takes its keys and values for.
#[derive(Debug)]
pub(crate) struct BpfMap {
    fd: OwnedFd,
    key: usize,
    /// What a call reads or writes at once.
    value: usize,
}

/// A call of bpf(2), with an attribute of the kind that the command takes.
///
/// # Safety
/// Every address in `attribute` must point to memory of the size that the command reads or writes there, until the call
/// returns.
unsafe fn bpf<T>(command: i32, attribute: &mut T) -> io::Result<i32> {
    // SAFETY: the attribute lives until the call returns and is as long as is said; what it points to is the caller's
    // promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attribute),
            mem::size_of::<T>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result as i32)
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the kernel has just made it, for nobody else.
    unsafe { OwnedFd::from_raw_fd(number) }
}

fn raw(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn kernel_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    // The last byte stays zero.
    for (to, from) in bytes[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

impl BpfMap {
    /// Makes an empty map.
    pub(crate) fn create(name: &str, shape: Shape) -> io::Result<BpfMap> {
        let mut attribute = MapCreate {
            kind: shape.kind,
            key: shape.key,
            value: shape.value,
            entries: shape.entries,
            flags: shape.flags,
            name: kernel_name(name),
            ..MapCreate::default()
        };
        // SAFETY: nothing in the attribute points anywhere.
        let fd = unsafe { bpf(MAP_CREATE, &mut attribute) }?;
        let value = match shape.kind {
            PERCPU_HASH | PERCPU_ARRAY | LRU_PERCPU_HASH => {
                shape.value.next_multiple_of(8) as usize * possible_processors()
            }
            _ => shape.value as usize,
        };
        Ok(BpfMap {
            fd: descriptor(fd),
            key: shape.key as usize,
            value,
        })
    }

    /// Writes the value of a key.
    ///
    /// # Panics
    /// If a key or value is not as long as those of the map.
    pub(crate) fn update(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        assert_eq!((key.len(), value.len()), (self.key, self.value));
        let mut attribute = self.element(key);
        attribute.value = value.as_ptr().addr() as u64;
        // SAFETY: key and value are alive and as long as the map has them.
        unsafe { bpf(MAP_UPDATE, &mut attribute) }.map(drop)
    }

    /// Reads the value of a key, if it has one; where there is one for each processor, all of them, each from a
    /// multiple of eight bytes on.
    ///
    /// # Panics
    /// As [`BpfMap::update`].
    pub(crate) fn lookup(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        assert_eq!(key.len(), self.key);
        let mut value = vec![0u8; self.value];
        let mut attribute = self.element(key);
        attribute.value = value.as_mut_ptr().expose_provenance() as u64;
        // SAFETY: the key is as long as the map has it, and so is the value, which nobody else has while the kernel
        // writes it.
        match unsafe { bpf(MAP_LOOKUP, &mut attribute) } {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets a key.
    ///
    /// # Panics
    /// As [`BpfMap::update`].
    pub(crate) fn delete(&self, key: &[u8]) -> io::Result<()> {
        assert_eq!(key.len(), self.key);
        let mut attribute = self.element(key);
        // SAFETY: the key is alive and as long as the map has it.
        match unsafe { bpf(MAP_DELETE, &mut attribute) } {
            Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }

    /// The number that an instruction refers to it by.
    pub(crate) fn number(&self) -> u32 {
        raw(&self.fd)
    }

    fn element(&self, key: &[u8]) -> MapElement {
        MapElement {
            map: raw(&self.fd),
            key: key.as_ptr().addr() as u64,
            ..MapElement::default()
        }
    }
}

/// At least as many processors as the kernel writes a value for. What /sys tells may be another's view, and one too few
/// would let the kernel write behind the memory that it is given; the mask of this system call is never too short.
fn possible_processors() -> usize {
    let mut mask = [0u64; MOST_PROCESSORS / 64];
    // SAFETY: the mask is as long as is said, and nobody else has it while the kernel writes it.
    let octets = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            mem::size_of_val(&mask),
            mask.as_mut_ptr(),
        )
    };
    usize::try_from(octets).map_or(MOST_PROCESSORS, |octets| octets * 8)
}

/// Loads an XDP program. Where the kernel refuses it, its reasons come with the error.
pub(crate) fn load_xdp(name: &str, code: &[u64]) -> Result<OwnedFd, (io::Error, String)> {
    let licence = c"MIT";
    let mut attribute = ProgLoad {
        kind: TYPE_XDP,
        instructions: code.len() as u32,
        code: code.as_ptr().addr() as u64,
        licence: licence.as_ptr().addr() as u64,
        name: kernel_name(name),
        attach: ATTACH_XDP,
        ..ProgLoad::default()
    };
    // SAFETY: the instructions and the licence are alive, as long as is said and closed with a zero.
    if let Ok(fd) = unsafe { bpf(PROG_LOAD, &mut attribute) } {
        return Ok(descriptor(fd));
    }
    // A log costs the verifier time, so it is asked for only when there is something to say.
    let mut log = vec![0u8; LOG];
    attribute.log_level = 1;
    attribute.log_size = LOG as u32;
    attribute.log = log.as_mut_ptr().expose_provenance() as u64;
    // SAFETY: as above, and the log is as long as is said.
    match unsafe { bpf(PROG_LOAD, &mut attribute) } {
        Ok(fd) => Ok(descriptor(fd)),
        Err(error) => {
            let end = log.iter().position(|&byte| byte == 0).unwrap_or(LOG);
            Err((error, String::from_utf8_lossy(&log[..end]).into_owned()))
        }
    }
}

/// Attaches a program to an interface for as long as the descriptor is open. `flags` are XDP_FLAGS_*.
pub(crate) fn link_xdp(program: BorrowedFd<'_>, device: u32, flags: u32) -> io::Result<OwnedFd> {
    let mut attribute = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        device,
        attach: ATTACH_XDP,
        flags,
    };
    // SAFETY: nothing in the attribute points anywhere.
    unsafe { bpf(LINK_CREATE, &mut attribute) }.map(descriptor)
}

/// Runs a program once on a frame. Returns its verdict, and the frame as it left it.
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8]) -> io::Result<(u32, Vec<u8>)> {
    let mut out = vec![0; frame.len() + 256];
    let mut attribute = TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        size_in: frame.len() as u32,
        size_out: out.len() as u32,
        data_in: frame.as_ptr().addr() as u64,
        data_out: out.as_mut_ptr().expose_provenance() as u64,
        repeat: 1,
        ..TestRun::default()
    };
    // SAFETY: both frames are alive and as long as is said.
    unsafe { bpf(PROG_TEST_RUN, &mut attribute) }?;
    out.truncate(attribute.size_out as usize);
    Ok((attribute.verdict, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_every_processor_that_may_be() {
        let told = std::fs::read_to_string("/sys/devices/system/cpu/possible").expect("readable");
        // A list such as `0-3,8-11`.
        let last = told.trim().rsplit([',', '-']).next().expect("one at least");
        let last: usize = last.parse().expect("a number");
        assert!(
            (last + 1..=MOST_PROCESSORS).contains(&possible_processors()),
            "{told}"
        );
    }
}
