//! What an operator writes: targets on the command line, and configuration files.

use halloo::reads::{Target, config};

/// What is understood is written back to the same target; what is not has a reason in one line.
pub(crate) fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Target::parse(text) {
        Ok(target) => {
            let written = target.to_string();
            let again = Target::parse(&written).expect("a target reads back what it writes");
            assert_eq!(again.to_string(), written);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file is taken, or refused with its name in the message.
pub(crate) fn serve_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Some(error) = config("fuzzed.toml", text) {
        assert!(error.contains("fuzzed.toml"), "{error}");
    }
}
