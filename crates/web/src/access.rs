//! Whether it is known who sent a request.

/// An extension of the requests of clients that had to show who they are, by a password or a certificate that
/// was verified, and have.
///
/// It is of the request, and not of the server: the web config file may change while a connection is open.
#[derive(Debug, Clone, Copy)]
pub struct Known;
