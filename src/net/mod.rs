//! How a connection is made: TCP to a name ([`dial`]), through a proxy ([`proxy`]), TLS on both sides ([`tls`]),
//! the octets under a connection ([`stream`]), one HTTP request ([`http`]), and
//! the code that signs one ([`hmac`]).
//!
//! Not here: what is said over a connection (`smtp`, and the folders that drive it), and when one is made (`upstream`).

pub mod dial;
pub mod hmac;
pub mod http;
pub mod proxy;
pub mod stream;
pub mod tls;
