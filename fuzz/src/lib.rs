//! What a stranger can send, sent: one function for each parser or small machine that reads foreign bytes.
//!
//! A target takes any bytes and panics if what it drives breaks a promise. The same function serves the smoke test
//! (`cargo test -p halloo-fuzz`), the fuzzer that coverage guides, and the replay of a finding: README.md.
#![forbid(unsafe_code)]

mod feed;
mod http;
mod icmp;
mod ip;
mod links;
mod ndn;
mod ndn_face;
mod ntp;
mod overlay;
mod overlay_frame;
mod probe;
mod prober;
mod quic;
mod responder;
pub mod seeds;
mod sip;
mod stamp;
mod stream;
mod stun;
mod surroundings;
mod text;

/// A fuzz target: its name, which is also its folder in `corpus/`, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. One more is one line here and a folder of seeds.
pub const TARGETS: &[Target] = &[
    ("http_prober", http::prober),
    ("icmp_prober", icmp::prober),
    ("ip_echo_respond", ip::respond),
    ("ip_prober_recognise", ip::prober),
    ("links_journal", links::journal),
    ("links_settings", links::settings),
    ("ndn_face", ndn_face::face),
    ("ndn_name", ndn::name),
    ("ndn_packet", ndn::packet),
    ("ndn_prober", ndn::prober),
    ("ndn_reassembler", ndn::reassembler),
    ("ndn_server", ndn::server),
    ("ndn_status", ndn::status),
    ("ntp_prober", ntp::prober),
    ("ntp_server", ntp::server),
    ("overlay_certificate", overlay::certificate),
    ("overlay_content", overlay_frame::content),
    ("overlay_control", overlay::control),
    ("overlay_frame", overlay_frame::frame),
    ("overlay_join", overlay_frame::join),
    ("overlay_message", overlay::message),
    ("overlay_session", overlay::session),
    ("probe_parse", probe::parse),
    ("quic_server", quic::server),
    ("serve_config", text::serve_config),
    ("sip_prober", sip::prober),
    ("sip_server", sip::server),
    ("stamp_prober", stamp::prober),
    ("stamp_reflector", stamp::reflector),
    ("stun_prober", stun::prober),
    ("stun_server", stun::server),
    ("target", text::target),
    ("tcp_prober_stream", stream::tcp_prober),
    ("udp_prober_recognise", prober::udp_recognise),
    ("udp_responder", responder::udp_echo),
];

/// The target of this name.
pub fn by_name(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|(known, _)| *known == name)
}
