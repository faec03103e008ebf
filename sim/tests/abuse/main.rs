//! What strangers may do to a host that answers everything, and to others by way of it.
//!
//! Every protocol that halloo answers over UDP is in one table ([`table::TABLE`]), with the responder and the rules that
//! `halloo serve --all` gives it; a new protocol is one entry there. The tests send it what an attacker would: noise,
//! altered requests and answers from forged sources, datagrams that make two hosts believe that they asked each other,
//! floods. A failure tells the seed and the datagram.

mod bench;
mod flood;
mod forged;
mod forgery;
mod loops;
mod marks;
mod places;
mod promises;
mod table;
