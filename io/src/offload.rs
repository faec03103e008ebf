//! `struct virtio_net_hdr` (VIRTIO 1.2 section 5.1.6), as TUN and packet sockets put it before each packet.

use halloo_base::Offload;

/// Bytes of the header.
pub(crate) const HEADER: usize = 10;

/// The header's bytes, in this host's order.
pub(crate) fn emit(offload: Offload) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = offload.flags;
    bytes[1] = offload.segmentation;
    let fields = [
        offload.header_len,
        offload.segment_size,
        offload.checksum_start,
        offload.checksum_offset,
    ];
    for (room, field) in bytes[2..].chunks_exact_mut(2).zip(fields) {
        room.copy_from_slice(&field.to_ne_bytes());
    }
    bytes
}

/// What a header says.
pub(crate) fn parse(bytes: &[u8; HEADER]) -> Offload {
    let field = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    Offload {
        flags: bytes[0],
        segmentation: bytes[1],
        header_len: field(2),
        segment_size: field(4),
        checksum_start: field(6),
        checksum_offset: field(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_lies_where_the_kernel_looks() {
        let offload = Offload {
            flags: 1,
            segmentation: 5,
            header_len: 28,
            segment_size: 1_200,
            checksum_start: 20,
            checksum_offset: 6,
        };
        let bytes = emit(offload);
        assert_eq!(parse(&bytes), offload);
        let expected: Vec<u8> = [28u16, 1_200, 20, 6]
            .iter()
            .flat_map(|field| field.to_ne_bytes())
            .collect();
        assert_eq!((bytes[0], bytes[1], &bytes[2..]), (1, 5, &expected[..]));
    }
}
