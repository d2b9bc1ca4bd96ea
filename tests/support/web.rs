//! The HTTP face of a relay, asked octet by octet: nothing is added to what a test writes.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::office::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The fields of its head, in lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.split_once(':').filter(|(field, _)| *field == name).map(|(_, v)| v.trim()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the error in it; fails unless it has this status.
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}\n{}", self.text());
        let error = &self.json()["error"];
        assert!(error["message"].is_string() && error["remedy"].is_string(), "{error}");
        error["code"].as_str().expect("every error has a code").to_owned()
    }

    /// Fails unless it has this status.
    pub fn with_status(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}\n{}", self.text());
        self
    }
}

/// A request: its first line is `METHOD PATH`, the fields are those that were added, besides Host and the length.
#[derive(Clone, Debug)]
pub struct Ask {
    line: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request for `localhost`, without a token.
pub fn ask(line: &str) -> Ask {
    Ask { line: line.to_owned(), fields: vec![("Host".into(), "localhost".into())], body: Vec::new() }
}

impl Ask {
    /// With one more field, or another Host.
    pub fn with(mut self, name: &str, value: &str) -> Ask {
        if name == "Host" {
            self.fields.retain(|(known, _)| known != "Host");
        }
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a token.
    pub fn token(self, token: &str) -> Ask {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// With a JSON body.
    pub fn json(self, value: &serde_json::Value) -> Ask {
        self.body("application/json", value.to_string().as_bytes())
    }

    /// With a body.
    pub fn body(mut self, kind: &str, body: &[u8]) -> Ask {
        self.body = body.to_vec();
        self.with("Content-Type", kind)
    }

    /// Its octets, with `Connection: close`.
    pub fn octets(&self) -> Vec<u8> {
        let mut text = format!("{} HTTP/1.1\r\nConnection: close\r\n", self.line);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() || self.line.starts_with("POST") {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        let mut octets = (text + "\r\n").into_bytes();
        octets.extend_from_slice(&self.body);
        octets
    }

    /// Sends it to `addr`.
    pub async fn at(&self, addr: SocketAddr) -> Answer {
        let stream = TcpStream::connect(addr).await.expect("the relay listens");
        exchange(stream, &self.octets()).await.unwrap_or_else(|| panic!("no answer to {}", self.line))
    }

    /// Sends it over a stream.
    pub async fn over(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Answer {
        exchange(stream, &self.octets()).await.unwrap_or_else(|| panic!("no answer to {}", self.line))
    }
}

/// Writes octets and reads one answer; `None` when the peer hangs up without one.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, octets: &[u8]) -> Option<Answer> {
    let exchanged = async {
        // A server that refuses early may not read the rest.
        let _ = stream.write_all(octets).await;
        read_answer(&mut stream).await
    };
    timeout(PATIENCE, exchanged).await.expect("the relay answers in time")
}

/// Reads one answer; its length is in its head.
pub async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Answer> {
    let mut input = Vec::new();
    let head_end = loop {
        if let Some(at) = input.windows(4).position(|octets| octets == b"\r\n\r\n") {
            break at;
        }
        match stream.read_buf(&mut input).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
    };
    let head = String::from_utf8_lossy(&input[..head_end]).to_string();
    let (line, fields) = head.split_once("\r\n").unwrap_or((&head, ""));
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let fields: Vec<String> = fields
        .lines()
        .map(|field| field.split_once(':').map_or(field.to_owned(), |(n, v)| format!("{}:{v}", n.to_ascii_lowercase())))
        .collect();
    let mut answer = Answer { status, head: fields.join("\n"), body: input.split_off(head_end + 4) };
    let length: usize = answer.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    while answer.body.len() < length {
        match stream.read_buf(&mut answer.body).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    Some(answer)
}
