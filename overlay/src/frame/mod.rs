//! Ethernet frames and super-frames, cut to fit a path and joined again.
