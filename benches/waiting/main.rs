//! `cargo bench --bench waiting`: what it costs to have 200,000 messages that may not go.
//!
//! Ten accounts, each with a pool of its own (routes by client), in a whole relay: all of them paused, then all but one
//! with their budgets spent. Processor time is that of the whole process, while nobody asks anything of it. After that
//! the same queue by itself, without a relay, and single parts: the verdict of a reply, the reservation of a budget.
//!
//! The queue is filled by another process (this program, with `fill`), so that its memory is not counted here. Not a test:
//! the figures go into `docs/performance.md`. With `queue` as the first word
//! only the queue by itself is measured. `cargo bench --bench waiting -- 1000000 1000` takes another number of messages and of
//! clients.
#![allow(clippy::print_stdout, reason = "the figures are the product")]

mod fill;
mod parts;
#[path = "../micro/reply.rs"]
mod reply;
#[path = "../micro/round.rs"]
mod round;
mod usage;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use yizhan::app::Relay;
use yizhan::clock::Clock;
use yizhan::config::{FileSource, Overrides, Settings, Sources, load};
use yizhan::mail::Lane;

use round::{micros, time};

/// Accounts, and pools with mail in them.
const ACCOUNTS: usize = 10;
/// Messages that wait.
const MESSAGES: usize = 200_000;
/// Clients that they are of, each in every pool and lane.
const CLIENTS: usize = 10;
/// How long nothing happens while it is measured.
const QUIET: Duration = Duration::from_secs(10);
/// What a relay may do after its start, before it is quiet.
const SETTLE: Duration = Duration::from_secs(3);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [word, folder, number, clients] if word == "fill" => {
            fill::fill(Path::new(folder), number.parse().expect("a number"), clients.parse().expect("a number"));
        }
        [word, number, clients] if word == "queue" => {
            queue(number.parse().expect("a number"), clients.parse().expect("a number"));
        }
        [] => measure(MESSAGES, CLIENTS),
        [number] => measure(number.parse().expect("a number of messages"), CLIENTS),
        [number, clients, ..] => {
            measure(number.parse().expect("a number of messages"), clients.parse().expect("a number of clients"));
        }
    }
}

fn measure(messages: usize, clients: usize) {
    let folder = std::env::temp_dir().join(format!("yz-waiting-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts on this machine");
    println!("{messages} messages of {clients} clients, {ACCOUNTS} accounts");
    runtime.block_on(relay(&folder, messages, clients));
    runtime.block_on(parts::queue(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    println!("parts");
    parts::budget();
    reply::verdicts();
}

/// The queue without a relay around it.
fn queue(messages: usize, clients: usize) {
    let folder = std::env::temp_dir().join(format!("yz-waiting-{}", std::process::id()));
    fill::fill(&folder, messages, clients);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts on this machine");
    println!("{messages} messages of {clients} clients, {ACCOUNTS} pools");
    runtime.block_on(parts::queue(&folder));
    let _ = std::fs::remove_dir_all(&folder);
}

/// The whole relay, with every account paused, then with budgets that are spent.
async fn relay(folder: &Path, messages: usize, clients: usize) {
    // Stands for every provider. It takes connections and says nothing.
    let provider = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let settings = settings(folder, provider.local_addr().expect("it is bound").port());
    let empty = Relay::start(&settings, Clock::system()).expect("the relay starts");
    for account in empty.accounts() {
        empty.delivery().pause(account, "benchmark").await.expect("it can be written");
    }
    usage::quiet("nothing waits, all accounts paused", SETTLE, QUIET).await;
    empty.stop(Duration::from_secs(5)).await;

    let begin = Instant::now();
    let filler = std::process::Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["fill".as_ref(), folder.as_os_str(), messages.to_string().as_ref(), clients.to_string().as_ref()])
        .status();
    assert!(filler.expect("it can be started").success(), "the queue was filled");
    let rate = messages as f64 / begin.elapsed().as_secs_f64();
    println!("  {rate:8.0} messages/s were put, 64 tasks");

    let begin = Instant::now();
    let relay = Relay::start(&settings, Clock::system()).expect("the relay starts");
    println!("  {:8.1} ms from opening the queue until the doors are open", begin.elapsed().as_secs_f64() * 1e3);
    usage::quiet("all accounts paused", SETTLE, QUIET).await;
    resume(&relay, &provider, ACCOUNTS - 1).await;
    for account in &relay.accounts()[..ACCOUNTS - 1] {
        // Alarms may use all of a budget; what they leave nobody gets.
        while account.account.reserve(Lane::Alarm, 1, Clock::system().now()).is_ok() {}
        relay.delivery().resume(account).await.expect("it can be written");
    }
    usage::quiet("nine budgets spent, one account stopped again", SETTLE, QUIET).await;
    relay.stop(Duration::from_secs(1)).await;
}

/// From `resume` until the first octet of TCP for the next message: plan, lease, the log-in counted on disk, connect.
async fn resume(relay: &Relay, provider: &TcpListener, place: usize) {
    let (account, mut times) = (&relay.accounts()[place], Vec::new());
    for _ in 0..20 {
        let begin = Instant::now();
        relay.delivery().resume(account).await.expect("it can be written");
        let taken = provider.accept().await.expect("loopback");
        times.push(begin.elapsed());
        relay.delivery().pause(account, "benchmark").await.expect("it can be written");
        // The attempt ends with the line; it was not the message's fault.
        drop(taken);
        while account.availability(Clock::system().now()).under_way > 0 {
            // Attempts that were begun before the account was stopped.
            if let Ok(Ok(more)) = tokio::time::timeout(Duration::from_millis(50), provider.accept()).await {
                drop(more);
            }
        }
    }
    times.sort();
    let (middle, worst) = (micros(times[times.len() / 2]) / 1e3, micros(times[times.len() - 1]) / 1e3);
    println!("  {middle:8.2} ms from `resume` to the connection for its next message ({worst:.2} at most, 20 times)");
}

fn settings(folder: &Path, port: u16) -> Settings {
    let mut text = format!("data_dir = {:?}\n", folder.display().to_string());
    for place in 0..ACCOUNTS {
        text += &format!(
            "[account.a{place}]\nprovider = \"custom\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"implicit\"\n\
             user = \"box{place}@bench.test\"\nsecret = \"0123456789\"\n\
             [account.a{place}.budget]\nmessages_per_hour = 500\nlogins_per_hour = 1000\n\
             [client.c{place}]\nfrom = [\"10.0.{place}.0/24\"]\n[[route]]\nclient = \"c{place}\"\naccount = \"a{place}\"\n"
        );
    }
    let sources = Sources {
        file: FileSource::Text { name: "bench.toml".into(), text },
        env: BTreeMap::new(),
        // Port 0 is for trials, and those are made on the command line.
        overrides: Overrides { listen: vec!["127.0.0.1:0".to_owned()], ..Overrides::default() },
        machine: "relay.bench.test".to_owned(),
        can_ask: false,
    };
    load(sources).unwrap_or_else(|problems| panic!("{problems}")).settings
}
