//! What `halloo ping` takes for HTTP targets, and for those under TLS.

use clap::Args;
use halloo_protocols::http::StatusSet;
use halloo_tls::Pin;

/// Options of `http://` and `https://` targets.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "HTTP and TLS")]
pub struct HttpArgs {
    /// Statuses that are good: 200, 2xx, 200-299, or several with commas [default: 2xx]
    ///
    /// Any other is shown as a refusal, and so is a redirection to another host, as captive portals make it.
    #[arg(long, value_name = "STATUS")]
    pub expect_status: Option<StatusSet>,

    /// Text that the body of a good answer holds
    #[arg(long, value_name = "TEXT")]
    pub expect_body: Option<String>,

    /// Ask by this method [default: GET, with --size POST]
    #[arg(long, value_name = "METHOD")]
    pub method: Option<String>,

    /// Send this header field too; may be repeated
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    pub header: Vec<(String, String)>,

    /// Open a connection for each probe
    #[arg(long)]
    pub no_keep_alive: bool,

    /// Trust the certificate with this SHA-256 fingerprint, and no other
    ///
    /// `halloo serve` prints that of a certificate that it made for itself.
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "insecure")]
    pub pin: Option<Pin>,

    /// Trust any certificate
    #[arg(long)]
    pub insecure: bool,
}

/// Reads `Name: value`.
fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| "write NAME: VALUE, such as `Accept: text/plain`".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
