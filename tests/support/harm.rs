//! Harm to the ground that the real program stands on: a disk that is small, full or crowded, and system calls that
//! fail, are late, or kill (`strace`).
//!
//! Needs root or a right that a machine may not give; each says so as [`Missing`]. Not here: what a test makes of it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;

use super::office::until;
use super::peers::{program, require_root};
use super::program::{Program, Site, YIZHAN, clean};
use super::skip::Missing;

/// A small disk of its own; unmounted when dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts it over `folder`, which is made, with these options of tmpfs(5): `size=12m`, `nr_inodes=2000`.
    pub fn mount(folder: &Path, options: &str) -> Result<Disk, Missing> {
        require_root("a tmpfs")?;
        fs::create_dir_all(folder).expect("the folder is ours");
        let option = format!("{options},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "tmpfs"]).arg(folder).output();
        match mounted {
            Ok(ran) if ran.status.success() => Ok(Disk(folder.to_owned())),
            // A container has a root that may not mount.
            other => Err(Missing(format!("the right to mount a tmpfs: {other:?}"))),
        }
    }

    /// Takes all the space that is left.
    pub fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.0.join("filler")).expect("an inode is free");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Gives that space back.
    pub fn free(&self) {
        fs::remove_file(self.0.join("filler")).expect("it is there");
    }

    /// Makes empty files until there is no inode left.
    pub fn crowd(&self) {
        let folder = self.0.join("crowd");
        fs::create_dir_all(&folder).expect("there is an inode left");
        let mut number = 0;
        while fs::File::create(folder.join(number.to_string())).is_ok() {
            number += 1;
        }
    }

    /// Removes those files.
    pub fn uncrowd(&self) {
        fs::remove_dir_all(self.0.join("crowd")).expect("it is ours");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The number of the capability (capabilities(7)).
const CAP_SYS_PTRACE: u32 = 19;

/// `strace`, where it can look into the relay: a process that may not be dumped shows its memory only to `CAP_SYS_PTRACE`.
fn strace() -> Result<PathBuf, Missing> {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("Linux says it");
    let capabilities = u64::from_str_radix(line.trim(), 16).expect("it is hexadecimal");
    if capabilities & 1 << CAP_SYS_PTRACE == 0 {
        return Err(Missing("the right to trace a process (CAP_SYS_PTRACE)".to_owned()));
    }
    program("strace")
}

/// The relay under `strace` with these options.
pub fn under_strace(site: &Site, options: &[&str]) -> Result<Command, Missing> {
    // One processor, and so one thread that serves all clients: calls can be counted (`when=`).
    let mut command = Command::new(program("taskset")?);
    command.args(["-c", "0"]).arg(strace()?);
    command.args(["-f", "-qq", "-o"]).arg(site.folder.path().join("trace")).args(options);
    command.arg(YIZHAN);
    Ok(clean(command, site.run_arguments()))
}

/// Starts it, unless this machine does not let us trace.
pub async fn start_under_strace(site: &Site, options: &[&str]) -> Result<Program, Missing> {
    start_traced(under_strace(site, options)?).await
}

/// Starts a command of [`under_strace`], unless this machine does not let us trace.
pub async fn start_traced(command: Command) -> Result<Program, Missing> {
    let relay = Program::spawn(command);
    let may = relay.line("that it listens", |line| {
        let denied = line.contains("PTRACE") || line.contains("Operation not permitted");
        (line.contains("\"listening\"") || denied).then_some(!denied)
    });
    if may.await { Ok(relay) } else { Err(Missing("the right to trace a process".to_owned())) }
}

/// What the trace says.
pub fn trace(site: &Site) -> String {
    fs::read_to_string(site.folder.path().join("trace")).expect("strace writes it")
}

/// The process under `strace`, by the number in the lock of its data folder.
pub fn traced(site: &Site) -> Pid {
    let text = fs::read_to_string(site.data.join("yizhan.lock")).expect("the relay runs");
    Pid::from_raw(text.trim().parse().expect("a number")).expect("not zero")
}

/// `strace` on a relay that runs already, until this is dropped.
#[derive(Debug)]
pub struct Tracer(Child);

impl Tracer {
    /// Attaches to all threads of `pid` with these options, and waits until it has them.
    pub async fn attach(pid: i32, options: &[&str]) -> Result<Tracer, Missing> {
        let mut command = Command::new(strace()?);
        command.args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()]).args(options);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("strace starts");
        let held = until("strace to have the relay, or to be refused", async || {
            if !matches!(child.try_wait(), Ok(None)) {
                return Some(false);
            }
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
            let traced = |path: PathBuf| {
                let status = fs::read_to_string(path.join("status")).unwrap_or_default();
                status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
            };
            tasks.map(|task| task.path()).all(traced).then_some(true)
        });
        if held.await { Ok(Tracer(child)) } else { Err(Missing("the right to trace a process".to_owned())) }
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
