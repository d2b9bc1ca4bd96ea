//! What a panic is to the relay: said in the log on one line, counted, and kept from going further than its task.
//!
//! A panic is a mistake of ours. Whoever works for one client or one message runs inside [`confined`] or [`caught`], and
//! what is lost is that piece of work. What everybody needs is not confined: there the process ends (`drain`'s `vital`).
//! The runtime that cannot wake its own threads is no mistake of ours, and nothing can be confined then: the process ends at
//! once, with one line of the log. Not here: what the client is told, and what becomes of the message. Invariant: nothing
//! that a panic quotes reaches the log, because what it quotes may come from a peer, or be a secret.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use super::counter::Counters;

/// The longest text of a panic that is written, in characters.
const LONGEST: usize = 200;

/// Whether a panic ends the process ([`fatal`]).
static FATAL: AtomicBool = AtomicBool::new(false);

/// Whether the process is on its way out.
static ENDING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Where the last panic of this thread was, until [`caught`] takes it.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The files in which Tokio meets the descriptors that wake its threads.
const DRIVER: [&str; 2] = ["/runtime/io/driver.rs", "/runtime/signal/mod.rs"];

/// From now on every panic of this process is one line of the log, with its place, in place of Rust's own words.
pub fn report() {
    std::panic::set_hook(Box::new(say));
}

fn say(info: &PanicHookInfo<'_>) {
    if ENDING.load(Ordering::SeqCst) {
        // What follows from the end of the process is not news.
        wait_for_the_end();
    }
    if info.location().is_some_and(|place| is_runtime_driver(place.file())) {
        return end_of_runtime(info.payload());
    }
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    PLACE.with_borrow_mut(|last| last.clone_from(&place));
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let words = words(info.payload());
    // Names of functions only; there is one when RUST_BACKTRACE asks for it.
    let trace = Backtrace::capture();
    let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
    tracing::error!(event = "panic", %place, thread, trace, "panicked: {words}; this is a mistake in yizhan, please report it");
    if FATAL.load(Ordering::SeqCst) {
        end();
    }
}

/// Whether a panic at `file` means that the runtime cannot wait for sockets, or wake its threads, any more.
fn is_runtime_driver(file: &str) -> bool {
    file.contains("tokio") && DRIVER.iter().any(|end| file.ends_with(end))
}

/// Nothing can go on, and an orderly stop would need the same descriptor: it would wait for ever.
fn end_of_runtime(payload: &(dyn Any + Send)) {
    if ENDING.swap(true, Ordering::SeqCst) {
        wait_for_the_end();
    }
    let (what, why) = (words(payload), system_error(payload));
    tracing::error!(
        event = "broken",
        part = "the runtime",
        "the system failed a call that everything needs ({what}: {why}); the relay ends with exit code 1, to be started \
         anew; what was answered 250 is in the queue"
    );
    end();
}

/// What the system said, by the number in the text of a panic: the text itself is not written.
fn system_error(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map_or("", String::as_str);
    let digits = text.split("code: ").nth(1).unwrap_or_default();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits
        .parse()
        .map_or_else(|_| "no reason given".to_owned(), |code| std::io::Error::from_raw_os_error(code).to_string())
}

/// Ends the process, once the log is written.
fn end() -> ! {
    ENDING.store(true, Ordering::SeqCst);
    super::log::flush();
    std::process::exit(1)
}

/// For a thread that panics while another one ends the process.
fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

/// Runs `work`; a panic in it ends the process with exit code 1, once it is logged. For the start of the runtime, which after
/// a panic would wait for ever for the threads that it could not start.
pub fn fatal<T>(work: impl FnOnce() -> T) -> T {
    FATAL.store(true, Ordering::SeqCst);
    let end = work();
    FATAL.store(false, Ordering::SeqCst);
    end
}

/// What may be written of the text of a panic: all of a text that stands in the source; of one that was put together,
/// what comes before the first thing that is quoted.
fn words(payload: &(dyn Any + Send)) -> String {
    let quotes = |c: char| matches!(c, '`' | '"' | '\'' | '[' | '{' | '(' | ':') || c.is_control();
    let text = match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.split(quotes).next().unwrap_or_default().trim_end(),
        (None, None) => "",
    };
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Runs `work` to its end, or to its panic: then `None`, one more is counted for `task`, and what `work` owned is gone.
/// What it had only borrowed may be half changed.
pub fn confined<T>(
    task: &'static str,
    counters: &Counters,
    work: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    // Boxed, because a future that is handed on is kept twice in the one that takes it.
    let mut work = Box::pin(work);
    async move {
        poll_fn(|context| match caught(task, counters, || work.as_mut().poll(context)) {
            Some(Poll::Ready(end)) => Poll::Ready(Some(end)),
            Some(Poll::Pending) => Poll::Pending,
            None => Poll::Ready(None),
        })
        .await
    }
}

/// The same for work that waits for nothing.
pub fn caught<T>(task: &'static str, counters: &Counters, work: impl FnOnce() -> T) -> Option<T> {
    // What was borrowed is either made anew by the caller, or made of values that are changed as a whole.
    let end = catch_unwind(AssertUnwindSafe(work));
    if end.is_err() {
        counters.add_panic(task, PLACE.take());
    }
    end.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::counter::PANICS;

    fn payload(work: impl FnOnce()) -> Box<dyn Any + Send> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_err()
    }

    #[test]
    fn a_093_what_a_panic_quotes_is_not_written() {
        let code = "secretcode";
        let slice = payload(|| drop(code[..99].to_owned()));
        let refused = code.parse::<u8>().map_err(|_| code);
        let error = payload(|| drop(refused.expect("the code is good").to_string()));
        let equal = payload(|| assert_eq!(code, "other", "not the {code}"));
        for (payload, begin) in [(slice, ""), (error, "the code is good"), (equal, "assertion")] {
            let words = words(payload.as_ref());
            assert!(words.starts_with(begin) && !words.contains(code), "{words}");
        }
        assert_eq!(
            words(payload(|| panic!("plain: it stands in the source")).as_ref()),
            "plain: it stands in the source"
        );
        assert_eq!(words(payload(|| std::panic::panic_any(7)).as_ref()), "");
        assert_eq!(words(payload(|| panic!("{} {}", "x".repeat(500), 1)).as_ref()).len(), LONGEST);
    }

    #[test]
    fn a_093_what_the_system_said_is_taken_by_its_number() {
        let refused = || -> std::io::Result<()> { Err(std::io::Error::from_raw_os_error(5)) };
        let error = payload(|| refused().expect("failed to wake I/O driver"));
        let text = refused().unwrap_err().to_string();
        assert_eq!((words(error.as_ref()).as_str(), system_error(error.as_ref())), ("failed to wake I/O driver", text));
        assert_eq!(system_error(payload(|| panic!("{} code: x", 1)).as_ref()), "no reason given");
        let ours = |file| is_runtime_driver(file);
        assert!(
            ours("/registry/tokio-1.54.1/src/runtime/io/driver.rs") && ours("vendor/tokio/src/runtime/signal/mod.rs")
        );
        assert!(!ours("/registry/tokio-1.54.1/src/runtime/blocking/pool.rs") && !ours("src/runtime/io/driver.rs"));
    }

    #[tokio::test]
    async fn a_093_a_panic_is_counted_and_goes_no_further() {
        let counters = Counters::default();
        assert_eq!(confined("session", &counters, async { 1 }).await, Some(1));
        let late = async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        assert_eq!(confined::<()>("session", &counters, late).await, None);
        assert_eq!(caught::<()>("order", &counters, || panic!("on purpose")), None);
        assert_eq!(counters.sum(PANICS, &[]), 2);
        assert_eq!(counters.sum(PANICS, &[("task", "session")]), 1);
        assert_eq!(counters.last_panic().map(|lost| lost.task), Some("order"));
    }
}
