//! What an idle connection costs: memory of the relay with and without thousands of them, divided.
//!
//! One session has done everything before the first look, so that pages which any session needs are not counted here.

use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::Plan;
use crate::client::{self, Client};
use crate::relay::Relay;
use crate::table::Table;

/// Connections of one address.
const OF_ONE: u32 = 100;
/// After the last word, before the memory is looked at.
const SETTLE: Duration = Duration::from_millis(1500);
/// KiB a connection.
const GOAL: f64 = 16.0;

pub(crate) fn measure(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let count = if plan.quick { 1_000 } else { 5_000 };
    plain(count, table)?;
    tls(count / 5, table)
}

fn plain(count: u32, table: &mut Table) -> anyhow::Result<()> {
    let (relay, message) = (Relay::start()?, client::message());
    let mut first = Client::connect(relay.port(), 0)?;
    first.hello()?;
    first.send(&message)?;
    first.quit()?;
    let before = settled(&relay);
    let each = |now: f64| (now - before) / f64::from(count);
    let mut clients = (0..count).map(|n| Client::connect(relay.port(), n / OF_ONE)).collect::<Result<Vec<_>, _>>()?;
    table.goal(format!("an idle connection of {count}, greeted"), each(settled(&relay)), "KiB", GOAL);
    clients.iter_mut().try_for_each(Client::hello)?;
    table.goal("- after EHLO", each(settled(&relay)), "KiB", GOAL);
    for client in &mut clients {
        client.send(&message)?;
    }
    table.goal("- after a message of 4 KiB", each(settled(&relay)), "KiB", GOAL);
    drop(clients);
    table.note("- what is kept of each when all are gone", each(settled(&relay)), "KiB");
    Ok(())
}

fn tls(count: u32, table: &mut Table) -> anyhow::Result<()> {
    let relay = Relay::start()?;
    let (port, ca) = relay.tls();
    let connector = yizhan::net::tls::connector(Some(ca.file()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connect = |place: u32| {
        let connector = connector.clone();
        async move {
            let stream = client::connect_from(port, place)?;
            stream.set_nonblocking(true)?;
            let mut stream = yizhan::net::tls::handshake(&connector, "localhost", TcpStream::from_std(stream)?).await?;
            let mut greeting = [0; 512];
            let octets = stream.read(&mut greeting).await?;
            greeting[..octets].starts_with(b"220").then_some(stream).context("no greeting")
        }
    };
    runtime.block_on(async {
        drop(connect(0).await?);
        let before = settled(&relay);
        let mut streams = Vec::new();
        for n in 0..count {
            streams.push(connect(n / OF_ONE).await?);
        }
        let each = (settled(&relay) - before) / f64::from(count);
        table.note(format!("an idle connection of {count} in TLS, greeted"), each, "KiB");
        Ok(())
    })
}

/// Its memory once it has calmed down.
fn settled(relay: &Relay) -> f64 {
    std::thread::sleep(SETTLE);
    relay.memory()
}
