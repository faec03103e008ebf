//! The classic capture file format, with nanosecond stamps (draft-ietf-opsawg-pcap).

use super::Packet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
const VERSION: (u16, u16) = (2, 4);
const SNAP_LENGTH: u32 = 262_144;
const LINKTYPE_ETHERNET: u32 = 1;

/// A capture file that is being written. The first error is kept until the end: a capture goes on without its file.
#[derive(Debug)]
pub(super) struct PcapFile {
    out: BufWriter<File>,
    broken: Option<io::Error>,
}

impl PcapFile {
    pub(super) fn create(path: &Path) -> io::Result<PcapFile> {
        let mut out = BufWriter::new(File::create(path)?);
        out.write_all(&file_header())?;
        Ok(PcapFile { out, broken: None })
    }

    pub(super) fn write(&mut self, packet: &Packet) {
        if self.broken.is_none() {
            let written = self.out.write_all(&record_header(packet));
            self.broken = written.and_then(|()| self.out.write_all(&packet.frame)).err();
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        match self.broken {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[0..4].copy_from_slice(&NANOSECOND_MAGIC.to_le_bytes());
    header[4..6].copy_from_slice(&VERSION.0.to_le_bytes());
    header[6..8].copy_from_slice(&VERSION.1.to_le_bytes());
    header[16..20].copy_from_slice(&SNAP_LENGTH.to_le_bytes());
    header[20..24].copy_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
    header
}

fn record_header(packet: &Packet) -> [u8; 16] {
    let len = packet.frame.len() as u32;
    let seconds = (packet.at.0 / 1_000_000_000) as u32;
    let nanoseconds = (packet.at.0 % 1_000_000_000) as u32;
    let mut header = [0; 16];
    for (slot, value) in header.chunks_exact_mut(4).zip([seconds, nanoseconds, len, len]) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    header
}
