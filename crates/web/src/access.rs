//! Marker for requests whose sender is known.

/// Extension of requests whose client had to identify itself, by a password or a verified certificate, and
/// did.
///
/// It belongs to the request and not to the server, because the web config file may change while a connection
/// is open.
#[derive(Debug, Clone, Copy)]
pub struct Known;
