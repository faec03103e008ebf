//! Datagrams of the overlay, parsed and emitted (`docs/wire/overlay.md`).
