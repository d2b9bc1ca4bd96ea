//! What the machine under the relay does wrong, row by row: disks, kills, clocks, limits, and mistakes of our own.
//!
//! The real program, wherever it is the process that is harmed; `strace` and small tmpfs disks do the harm. Time is moved
//! by hand or by `faketime`. A test that needs root or a program that is not there says so and is skipped.
//!
//! | row | what | where |
//! | --- | --- | --- |
//! | A-080 | a full disk | `a_080_*` in tests/delivery/disk.rs, `a_080_*` here (SIZE, temporary files), tests/queue/damage.rs |
//! | A-081 | no inodes, read-only, taken away, not ours | `a_081_*` here, tests/queue/damage.rs, tests/listener/limits.rs |
//! | A-082 | a sync that fails | `a_082_*` in tests/delivery/disk.rs, and here at each of the first syncs |
//! | A-083 | interrupted and short writes | `a_083_*` here |
//! | A-084 | kill -9 at each stage | `a_084_*` here at exact calls; tests/delivery/crash.rs, queue/damage.rs, queue/survival.rs at random |
//! | A-085 | an image of a power cut | `a_085_*` in tests/delivery/crash.rs and tests/queue/damage.rs |
//! | A-086 | damaged rows, files, versions, lengths | `a_086_*` in tests/queue/damage.rs; the alert, and a read error in the transfer, here |
//! | A-087 | two relays on one queue | `a_087_*` in tests/commands/cli.rs, delivery/relay.rs, queue/damage.rs |
//! | A-088 | a clock that jumps | `a_088_*` here; cooling and budgets in `account::breaker`, `budget`, `alarm` |
//! | A-089 | zone, language, 2038, leap second | `a_089_*` here, `clock::tests` |
//! | A-090 | no memory, no threads | `a_090_*` here |
//! | A-091 | SIGTERM in the middle | `a_091_*` here, tests/delivery/relay.rs, tests/commands/cli.rs |
//! | A-092 | settings, password, certificate change | `a_092_*` here, tests/delivery/relay.rs, tests/listener/tls.rs |
//! | A-093 | a panic | `a_093_*` here, `telemetry::panic`, `drain` |
//! | A-044, A-048 | modes, core files, links, pipes | `a_044_*`, `a_048_*` here |

mod brittle;
mod crash;
mod disk;
mod panics;
mod planted;
mod process;
mod time;
mod unreadable;

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::support::load::{Books, Courier, letter};
use crate::support::program::Site;
use yizhan::sandbox::{Fault, Sandbox, Stage, What};

/// Hands in one letter and gives the reply; it is in the books afterwards. `None` when the relay has hung up.
pub(crate) async fn send(books: &Books, door: SocketAddr, size: usize) -> Option<String> {
    let token = books.token();
    let mut courier = Courier::connect(door).await.ok()?;
    let reply = courier.send(&letter(&token, size)).await.ok()?;
    books.enter(token, &reply);
    Some(reply)
}

/// As [`send`]; it must be taken.
pub(crate) async fn taken(books: &Books, door: SocketAddr, size: usize) {
    let reply = send(books, door, size).await.expect("the relay does not hang up");
    assert!(reply.starts_with("250 2.0.0 queued as "), "{reply}");
}

/// The relay as somebody else, who owns its data folder: root may do everything.
pub(crate) fn run_as(site: &Site, uid: u32, gid: u32) -> Command {
    std::fs::create_dir(&site.data).expect("the folder is ours");
    for path in [&site.data, &site.code] {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("we are root");
    }
    let mut command = site.run_command();
    command.uid(uid).gid(gid);
    command
}

/// The provider takes nothing for now, and says so.
pub(crate) fn not_now(sandbox: &Sandbox) {
    sandbox.fault(Fault::forever(Stage::Mail, What::Reply(b"451 4.3.0 later\r\n".to_vec())));
}

/// The provider says nothing at all, so that nothing is written because of it. For relays that are killed: who waits for
/// it goes on waiting after the faults are cleared.
pub(crate) fn nobody_home(sandbox: &Sandbox) {
    sandbox.fault(Fault::forever(Stage::Connect, What::Stall));
}
