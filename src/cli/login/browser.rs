//! The sign-in with a browser (RFC 8252): an address to open, and a port of this machine that the browser comes back to. Over
//! ssh the person brings the port along, or pastes the address that the browser could not open.
//!
//! Invariant: a request or a line that is not the answer to this sign-in changes nothing.

use std::io::{BufRead as _, Read as _};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::{Scene, Stopped, interrupted};
use crate::cli::finding::{Finding, words};
use crate::cli::screen::one_line;
use crate::net::tls::primitives::random;
use crate::oauth::answer::{Refusal, Tokens};
use crate::oauth::browser::{BrowserSignIn, ReturnError, Wish, tunnel_command};
use crate::oauth::fault::{self, TokenError};
use crate::oauth::{exchange, request};
use crate::secret::Secret;

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long a browser may take for its request.
const REQUEST: Duration = Duration::from_secs(10);
/// Octets of the longest request line, or pasted line, that is read.
const LONGEST: u64 = 16 * 1024;

/// Shows the address, and waits until the browser, or the person, comes back with a code.
pub(super) async fn sign_in(scene: &Scene<'_>) -> Result<Tokens, Stopped> {
    let local = |text: String| Stopped::from(TokenError::Refused { verdict: fault::CLIENT_SECRET, text });
    let Some(authorize) = &scene.oauth.authorize else {
        return Err(local("the settings name no address to sign in at".to_owned()));
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| local(error.to_string()))?;
    let port = listener.local_addr().map_err(|error| local(error.to_string()))?.port();
    let mut chance = [0; 64];
    random(&mut chance).map_err(|error| local(error.to_string()))?;
    let host = if scene.oauth.redirect_to_name { "localhost" } else { "127.0.0.1" };
    let sign_in = BrowserSignIn::new(&format!("http://{host}:{port}"), &chance);
    let wish = Wish {
        authorize: authorize.as_str(),
        client_id: &scene.oauth.client_id,
        scope: &scene.oauth.scope,
        user: &scene.oauth.user,
    };
    show(scene, &sign_in.address(wish), port);
    let code = tokio::select! {
        code = from_the_browser(&listener, &sign_in) => code?,
        code = from_the_terminal(scene, &sign_in) => code?,
        stopped = interrupted() => return Err(stopped),
        () = sleep(PATIENCE) => return Err(too_late()),
    };
    let form = request::authorization_code(&scene.client, &code, sign_in.redirect(), sign_in.verifier());
    Ok(exchange::tokens(scene.oauth, &form).await?)
}

fn show(scene: &Scene<'_>, address: &str, port: u16) {
    let user = one_line(&scene.oauth.user);
    scene.tell(
        &format!(
            "\nTo sign in for {user}, open this address in a browser:\n\n{address}\n\nSign in as {user}, and accept."
        ),
        &format!("\n为 {user} 登录，请在浏览器中打开：\n\n{address}\n\n以 {user} 登录并同意。"),
    );
    if let Some(server) =
        std::env::var("SSH_CONNECTION").ok().and_then(|text| text.split(' ').nth(2).map(str::to_owned))
    {
        let user = std::env::var("USER").unwrap_or_else(|_| "root".to_owned());
        let command = tunnel_command(port, &format!("{user}@{server}"));
        scene.tell(
            &format!("\nThis machine is reached over ssh. Let the browser come back through it, in another terminal:\n\n    {command}"),
            &format!("\n本机通过 ssh 访问。请在另一个终端里打开回程通道：\n\n    {command}"),
        );
    }
    scene.tell(
        "\nIf the browser ends on a page that it cannot open, paste the address of that page here, and press Enter.\n\
         Waiting for 15 minutes; Ctrl-C gives up and stores nothing.",
        "\n如果浏览器最后停在打不开的页面，请把该页面的地址粘贴到这里并按回车。\n等待 15 分钟；按 Ctrl-C 取消，不保存任何内容。",
    );
}

/// The code of the first request that is the answer.
async fn from_the_browser(listener: &TcpListener, sign_in: &BrowserSignIn) -> Result<Secret, Stopped> {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(Some(line)) = timeout(REQUEST, request_line(&mut stream)).await else { continue };
        let code = sign_in.code(&line);
        let page = match &code {
            Ok(_) => "Signed in. You may close this window. 登录成功，可以关闭此窗口。",
            Err(ReturnError::Refused(..)) => "The sign-in was refused; the terminal says why. 登录被拒，原因见终端。",
            Err(ReturnError::NotOurs) => "This is not the answer to the sign-in. 这不是本次登录的结果。",
        };
        let body = format!("<!doctype html><meta charset=\"utf-8\"><title>Yizhan</title><p>{page}</p>\n");
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        );
        let _ = timeout(REQUEST, stream.write_all(answer.as_bytes())).await;
        match code {
            Ok(code) => return Ok(code),
            Err(ReturnError::Refused(error, description)) => return Err(refused(error, description)),
            Err(ReturnError::NotOurs) => {}
        }
    }
}

/// The first line of a request.
async fn request_line(stream: &mut TcpStream) -> Option<String> {
    let mut input = Vec::new();
    loop {
        if let Some(end) = memchr::memchr(b'\n', &input) {
            return Some(String::from_utf8_lossy(&input[..end]).trim().to_owned());
        }
        if input.len() as u64 > LONGEST || stream.read_buf(&mut input).await.ok()? == 0 {
            return None;
        }
    }
}

/// The code of the first pasted line that is the answer. Without a terminal it waits for ever.
async fn from_the_terminal(scene: &Scene<'_>, sign_in: &BrowserSignIn) -> Result<Secret, Stopped> {
    let (lines, mut pasted) = mpsc::channel::<String>(1);
    // The thread ends with the process: nothing can wake a read from a terminal.
    let reader = move || {
        let stdin = std::io::stdin();
        loop {
            let mut line = String::new();
            match stdin.lock().take(LONGEST).read_line(&mut line) {
                Ok(octets) if octets > 0 && lines.blocking_send(line).is_ok() => {}
                Ok(_) | Err(_) => return,
            }
        }
    };
    let started = std::thread::Builder::new().name("paste".to_owned()).spawn(reader);
    while let (Ok(_), Some(line)) = (&started, pasted.recv().await) {
        match sign_in.code(&line) {
            Ok(code) => return Ok(code),
            Err(ReturnError::Refused(error, description)) => return Err(refused(error, description)),
            Err(ReturnError::NotOurs) if line.trim().is_empty() => {}
            Err(ReturnError::NotOurs) => scene.tell(
                "This is not the address that this sign-in ends at; it begins with http:// and has code= and state= in it.",
                "这不是本次登录结束时的地址；它以 http:// 开头，含有 code= 和 state=。",
            ),
        }
    }
    std::future::pending().await
}

fn refused(error: String, description: String) -> Stopped {
    Refusal::Error { status: 400, error, description }.into()
}

fn too_late() -> Stopped {
    Stopped::Person(Finding::fail(
        "token",
        words("no browser came back", "浏览器没有返回"),
        words("no sign-in came within 15 minutes", "15 分钟内没有完成登录"),
        words("run the command again; nothing was stored", "请重新运行该命令；没有保存任何内容"),
    ))
}
