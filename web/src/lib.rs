//! The second driver of the house: echo for protocols whose well-kept libraries live on an async runtime.
#![forbid(unsafe_code)]
