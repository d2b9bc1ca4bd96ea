//! Memory while many clients guess passwords: a fixed amount for two comparisons, and none afterwards.

use std::process::Command;

use super::{MIB, Plan, Scene, connect, pour};
use crate::support::entrance::plain;
use crate::support::office::until;
use crate::support::peers::program;
use crate::support::program::{clean, finish};
use crate::support::skip::need;
use tokio::task::JoinSet;
use yizhan::secret::{Secret, password};

/// What a container of this size must hold, with the program itself.
const MOST: u64 = 64 * MIB;
/// Heap that stays after a flood: connections, counters, log lines.
const LEFT: u64 = 4 * MIB;

/// A value of proc(5), `status`, in octets.
fn status(scene: &Scene, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", scene.program.pid())).expect("it still runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux says it");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_059_any_number_of_guesses_takes_the_memory_of_two_and_gives_it_back() {
    let prlimit = need!(program("prlimit"));
    let hash = password::hash(&Secret::new("right"), &[3; password::SALT]);
    let tables = format!("[user.printer]\npassword = \"{hash}\"\n");
    let scene = Scene::open(
        "guesses",
        Plan { tables: &tables, set: &[("LISTENER__LOCAL__AUTH", "verify")], ..Plan::default() },
    )
    .await;
    let rest = status(&scene, "RssAnon");
    // Room for two workspaces, and for the address space that the allocator reserves for each new thread.
    let limit = format!("--as={}", status(&scene, "VmSize") + 640 * MIB);
    let mut command = clean(Command::new(prlimit), ["--pid", &scene.program.pid().to_string()]);
    command.arg(limit);
    finish(command).await.with_code(0);
    // Twice: what an allocator maps apart at first it may keep for itself the second time.
    for round in 0..2 {
        let mut guessers = JoinSet::new();
        for n in 0..60_u8 {
            let door = scene.door();
            guessers.spawn(async move {
                let stream = connect([127, 0, 2, n + 1], door).await;
                let guess = |m| plain(&format!("user {n} {round}"), &format!("guess {m}"));
                let lines = (0..2).map(|m| format!("AUTH PLAIN {}\r\n", guess(m)));
                let (_, said) = pour(stream, lines.map(String::into_bytes).chain([b"QUIT\r\n".to_vec()])).await;
                said
            });
        }
        let said = guessers.join_all().await.concat();
        assert!(said.matches("535 5.7.8").count() == 120, "{said}");
        assert!(scene.program.peak_memory() < MOST, "{} MiB", scene.program.peak_memory() / MIB);
        until("the memory to be given back", async || (status(&scene, "RssAnon") < rest + LEFT).then_some(())).await;
    }
    let mut device = scene.device([127, 0, 3, 1]).await;
    device.ask(&format!("AUTH PLAIN {}", plain("nobody", "x")), "535").await;
    scene.greets().await;
}
