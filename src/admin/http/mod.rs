//! The HTTP face: probes, metrics and the API of an operator, over the same commands as the control socket.
//!
//! ```text
//!  socket     opens the address or the Unix socket
//!  server     accepts; a place (places), TLS, deadlines; hands requests to the router
//!  gate       every request: the right host (trust), not from another site (trust), which token (tokens, sessions, asker)
//!  routes     which path is what: probes, login, reading, changes, submit
//!  answer     errors in the reader's language, and the headers of every answer
//! ```
//!
//! Nothing here is vital for mail: a panic in a handler answers 500, and the relay starts the server again if it ends.
//! Not here: what the commands mean (`admin`).

mod answer;
mod asker;
mod changes;
mod context;
mod gate;
mod input;
mod login;
mod places;
mod probes;
mod reading;
mod routes;
mod server;
mod sessions;
mod socket;
mod submit;
mod tokens;
mod trust;

pub use context::{HttpContext, HttpParts};
pub use server::serve;
pub use socket::{Socket, SocketError};
pub use tokens::{TokenError, Tokens};
