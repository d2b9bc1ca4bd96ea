//! How a connection is made: TCP to a name ([`dial`]), through a proxy ([`proxy`]), TLS on both sides ([`tls`]),
//! the octets under a connection ([`stream`]), and one HTTP request ([`http`]).
//!
//! Not here: what is said over a connection (`smtp`, and the folders that drive it), and when one is made (`upstream`).

pub mod dial;
pub mod http;
pub mod proxy;
pub mod stream;
pub mod tls;
