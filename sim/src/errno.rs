//! The operating system's error numbers that this world reports (Linux).

pub(crate) const EXIST: i32 = 17;
pub(crate) const NODEV: i32 = 19;
pub(crate) const MSGSIZE: i32 = 90;
pub(crate) const AFNOSUPPORT: i32 = 97;
pub(crate) const ADDRINUSE: i32 = 98;
pub(crate) const ADDRNOTAVAIL: i32 = 99;
pub(crate) const NETUNREACH: i32 = 101;
pub(crate) const CONNRESET: i32 = 104;
pub(crate) const TIMEDOUT: i32 = 110;
pub(crate) const CONNREFUSED: i32 = 111;
pub(crate) const HOSTUNREACH: i32 = 113;
