//! `ndnping` and `ndnpingserver`: NDN's own commands, and NDN as one of halloo's schemes.
#![allow(dead_code)]

mod arguments;
mod text;
