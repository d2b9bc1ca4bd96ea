//! The way of a line of the log to standard error: a bounded buffer, and a thread that empties it.
//!
//! A reader that stops (a stalled pipe, a terminal that is held) makes every write wait. That must hold up nothing but the
//! log. Not here: what a line looks like (`log`). Invariants: [`Writer::push`] never waits for the reader; lines keep their
//! order; a line that does not fit is dropped whole and counted, and a line in its place reports how many were.

use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A buffer that has grown longer is not kept.
const KEPT: usize = 16 * 1024;
/// How long to wait before a write is repeated that the system does not take now (a non-blocking standard error).
const AGAIN: Duration = Duration::from_millis(20);

/// Makes the line that reports the number of dropped lines, with its line end.
pub(super) type Report = Box<dyn Fn(u64) -> String + Send + Sync>;

/// A buffer of lines and its thread.
#[derive(Clone)]
pub(super) struct LogWriter(Arc<Shared>);

struct Shared {
    buffer: Mutex<Buffer>,
    /// There is something to write.
    filled: Condvar,
    /// Everything is written, or some of it.
    written: Condvar,
    /// Octets that may wait.
    most: usize,
    /// Lines that were dropped, until [`Writer::take_dropped`] asks.
    dropped: AtomicU64,
    report: Report,
}

#[derive(Default)]
struct Buffer {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines that were dropped behind `lines`, not reported yet.
    dropped: u64,
    /// Lines that are reported in `lines`.
    reported: u64,
    /// The thread has lines of which it does not know yet whether they can be written.
    writing: bool,
    /// The last write failed: a report of that waits for the next line.
    failed: bool,
    /// Writes that the system took.
    progress: u64,
}

impl LogWriter {
    /// Starts the thread. At most `most` octets wait for it; as many may be on their way.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(most: usize, report: Report, sink: impl Write + Send + 'static) -> std::io::Result<LogWriter> {
        let writer = LogWriter(Arc::new(Shared {
            buffer: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            most,
            dropped: AtomicU64::new(0),
            report,
        }));
        let this = writer.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || this.run(sink))?;
        Ok(writer)
    }

    /// Puts a line into the buffer, or drops it.
    pub(super) fn push(&self, line: &[u8]) {
        let mut buffer = self.buffer();
        if buffer.lines.len() + line.len() > self.0.most {
            buffer.dropped += 1;
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.report_dropped(&mut buffer);
        buffer.lines.extend_from_slice(line);
        drop(buffer);
        self.0.filled.notify_one();
    }

    /// Lines that were dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.0.dropped.swap(0, Ordering::Relaxed)
    }

    /// Waits until everything is written, as long as the reader takes something within `patience`. True when all is written.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let mut buffer = self.buffer();
        let (mut since, mut progress) = (Instant::now(), buffer.progress);
        while buffer.writing || buffer.is_due() {
            if buffer.progress != progress {
                (since, progress) = (Instant::now(), buffer.progress);
            }
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.written.wait_timeout(buffer, left);
            buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Writes what is in the buffer, for ever.
    fn run(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            let reported = self.take(&mut lines);
            let left = self.write(&mut sink, &lines);
            let lost = lines[lines.len() - left..].iter().filter(|&&octet| octet == b'\n').count() as u64;
            if lines.capacity() > KEPT {
                lines = Vec::new();
            }
            lines.clear();
            let mut buffer = self.buffer();
            buffer.failed = left > 0;
            if left > 0 {
                self.0.dropped.fetch_add(lost, Ordering::Relaxed);
                buffer.dropped += lost + reported;
            }
        }
    }

    /// Waits for lines, and puts them into `lines`, which is empty. Returns how many dropped ones are reported in them.
    fn take(&self, lines: &mut Vec<u8>) -> u64 {
        let mut buffer = self.buffer();
        buffer.writing = false;
        while !buffer.is_due() {
            self.0.written.notify_all();
            buffer = self.0.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
        // They were dropped behind what is taken here, and before all that comes.
        self.report_dropped(&mut buffer);
        buffer.writing = true;
        std::mem::swap(&mut buffer.lines, lines);
        std::mem::take(&mut buffer.reported)
    }

    /// Returns how many octets at the end could not be written.
    fn write(&self, sink: &mut impl Write, mut lines: &[u8]) -> usize {
        while !lines.is_empty() {
            match sink.write(lines) {
                Ok(0) => break,
                Ok(count) => {
                    lines = &lines[count..];
                    self.buffer().progress += 1;
                    self.0.written.notify_all();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(_) => break,
            }
        }
        lines.len()
    }

    fn report_dropped(&self, buffer: &mut Buffer) {
        let dropped = std::mem::take(&mut buffer.dropped);
        if dropped > 0 {
            buffer.lines.extend_from_slice((self.0.report)(dropped).as_bytes());
            buffer.reported += dropped;
        }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        // Each change leaves whole lines.
        self.0.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// Whether there is something to write now.
    fn is_due(&self) -> bool {
        !self.lines.is_empty() || (self.dropped > 0 && !self.failed)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    const SECONDS: Duration = Duration::from_secs(20);

    /// A reader that takes something when the test says so, and what it got.
    struct Pipe(Receiver<io::Result<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            // When the test has let go of it, it takes everything.
            self.0.recv().unwrap_or(Ok(()))?;
            self.1.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pipe(most: usize) -> (LogWriter, SyncSender<io::Result<()>>, impl Fn() -> String) {
        let ((gate, open), got) = (sync_channel(0), Arc::new(Mutex::new(Vec::new())));
        let report: Report = Box::new(|count| format!("dropped {count}\n"));
        let writer = LogWriter::start(most, report, Pipe(open, got.clone())).unwrap();
        (writer, gate, move || String::from_utf8(got.lock().unwrap().clone()).unwrap())
    }

    /// Waits until the thread has taken what was pushed.
    fn taken(writer: &LogWriter) {
        let begin = Instant::now();
        while !writer.buffer().lines.is_empty() {
            assert!(begin.elapsed() < SECONDS);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_the_line_in_their_place_says_how_many() {
        let (writer, gate, got) = pipe(24);
        writer.push(b"first..\n");
        taken(&writer);
        for n in 0..1000 {
            writer.push(format!("line{n:03}\n").as_bytes());
        }
        assert_eq!((writer.take_dropped(), writer.take_dropped()), (997, 0));
        assert!(!writer.flush(Duration::from_millis(20)), "nobody reads");
        drop(gate);
        assert!(writer.flush(SECONDS));
        writer.push(b"last...\n");
        assert!(writer.flush(SECONDS));
        assert_eq!(got(), "first..\nline000\nline001\nline002\ndropped 997\nlast...\n");
    }

    #[test]
    fn a_line_that_finds_room_again_comes_behind_the_report() {
        let (writer, gate, got) = pipe(16);
        writer.push(b"first..\n");
        taken(&writer);
        for line in [&b"second.\n"[..], b"a line that is too long for it\n", b"fourth.\n"] {
            writer.push(line);
        }
        drop(gate);
        assert!(writer.flush(SECONDS));
        assert_eq!(got(), "first..\nsecond.\ndropped 1\nfourth.\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_reported_when_it_can() {
        let (writer, gate, got) = pipe(1024);
        writer.push(b"1\n2\n");
        gate.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        assert!(writer.flush(SECONDS), "there is nothing that could be written");
        assert_eq!(writer.take_dropped(), 2);
        writer.push(b"3\n");
        gate.send(Err(ErrorKind::Interrupted.into())).unwrap();
        gate.send(Err(ErrorKind::WouldBlock.into())).unwrap();
        gate.send(Ok(())).unwrap();
        assert!(writer.flush(SECONDS));
        assert_eq!(got(), "dropped 2\n3\n");
    }

    #[test]
    fn lines_of_many_threads_all_arrive_and_each_threads_in_order() {
        let (writer, gate, got) = pipe(1 << 20);
        drop(gate);
        thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let writer = &writer;
                scope.spawn(move || (0..2000).for_each(|n| writer.push(format!("{name}{n:04}\n").as_bytes())));
            }
        });
        assert!(writer.flush(SECONDS));
        let got = got();
        assert_eq!((got.lines().count(), writer.take_dropped()), (8000, 0));
        for name in ["a", "b", "c", "d"] {
            assert!(got.lines().filter(|line| line.starts_with(name)).is_sorted());
        }
    }
}
