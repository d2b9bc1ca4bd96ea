//! `yizhan repair`: what the relay would make of a message in a file, without sending or keeping it.
//!
//! The message goes the way of every message: `intake::arrival`, then the sender rewriting of an account. What is shown is what
//! would be stored and sent but for id and date, which are of this moment. Not here: what a person or a program reads
//! of it (`report`). Invariant: nothing is written but `--out`, and what a long body needs while the command runs.

use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::intake::Client;
use crate::intake::arrival::{Arrival, Circumstances, Mended};
use crate::intake::refusal::Refusal;
use crate::mail::{Address, Id, ReversePath};
use crate::message::{SenderRewrite, rewrite_sender};
use crate::queue::{BodyDraft, Spool};

use super::failure::CommandFailure;
use super::runtime;
use super::screen::{self, Lang};
use super::settings_arguments::SettingsArguments;

mod report;

use report::{Letter, Report};

/// Stands in for the owner's mailbox where there is no account (RFC 2606 section 2 keeps the domain free).
const NOBODY: &str = "account@example.invalid";

/// What `repair` takes.
#[derive(Args)]
pub(super) struct Arguments {
    /// The message as a device would send it, dots not doubled; `-` reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Treat it as mail of [client.NAME]
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Rewrite the sender as [account.NAME] does (default: the first)
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The envelope sender (MAIL FROM); default: none
    #[arg(long, value_name = "ADDRESS", value_parser = ReversePath::parse)]
    from: Option<ReversePath>,
    /// An envelope recipient (RCPT TO; may be repeated); default: the account's own mailbox
    #[arg(long, value_name = "ADDRESS", value_parser = Address::parse)]
    to: Vec<Address>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the message there as it would be sent
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArguments,
}

pub(super) fn run(arguments: Arguments, lang: Lang) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.load(true)?.settings;
    let client = choose(&settings.clients, |client| &client.name, arguments.client.as_deref(), "client")?;
    let account = choose(&settings.accounts, |account| &account.name, arguments.account.as_deref(), "account")?;
    let account = account.or(settings.accounts.first());
    let (from, to) = (arguments.from.unwrap_or(ReversePath::Null), arguments.to);
    let mail = read(&arguments.file, settings.limits.message_size)?;
    let bench = Bench { settings: &settings, client, account, from, to };
    let (after, report) = runtime::start()?.block_on(bench.examine(&mail, lang))?;
    if let (Some(path), Some(after)) = (&arguments.out, &after) {
        std::fs::write(path, [&after.head[..], b"\r\n", &after.body].concat())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        screen::say_json(&report)?;
    } else {
        report.show(lang);
    }
    Ok(if after.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The one with this name; none when no name was given.
fn choose<'a, T>(
    all: &'a [T],
    name_of: impl Fn(&T) -> &String,
    name: Option<&str>,
    what: &str,
) -> Result<Option<&'a T>, CommandFailure> {
    let Some(name) = name else { return Ok(None) };
    let names = || all.iter().map(|one| name_of(one).as_str()).collect::<Vec<_>>().join(", ");
    let found = all.iter().find(|one| name_of(one) == name);
    let none = || format!("there is no [{what}.{}] in the settings; there is: {}", screen::harmless(name), names());
    found.map(Some).ok_or_else(|| CommandFailure::not_found(none()))
}

/// The whole message, or one octet more than a message may have.
fn read(file: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let most = limit.saturating_add(1);
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut octets)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut octets))
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(octets)
}

/// Everything that has a say in the repair, beside the message.
struct Bench<'a> {
    settings: &'a Settings,
    client: Option<&'a Client>,
    account: Option<&'a config::Account>,
    from: ReversePath,
    to: Vec<Address>,
}

impl Bench<'_> {
    /// The message as it would be sent, and what there is to say; no message when the relay would refuse it.
    async fn examine(&self, mail: &[u8], lang: Lang) -> anyhow::Result<(Option<Letter>, Report)> {
        let before = Letter::as_sent(mail);
        let mut report = Report::new(self.client.map(|client| client.name.as_str()), &before);
        if mail.len() as u64 > self.settings.limits.message_size {
            // What the session says that counted the octets.
            report.refused = Some("552 5.3.4 Message too large".to_owned());
            return Ok((None, report));
        }
        let spool = Workshop::new();
        let mended = match self.mend(mail, &spool).await {
            Ok(mended) => mended,
            Err(refusal) => {
                report.refused = Some(refusal.reply.to_string());
                return Ok((None, report));
            }
        };
        let mut body = Vec::new();
        let mut reader = mended.body.reader();
        while let Some(chunk) = reader.next_chunk().await? {
            body.extend_from_slice(&chunk);
        }
        let mut after = Letter { head: mended.head.to_vec(), body };
        report.repairs(&mended.repairs, lang);
        if let Some(account) = self.account {
            let rewrite = SenderRewrite {
                address: &account.address,
                display: None,
                policy: account.from_policy(),
                keep_dkim: account.keep_dkim,
            };
            after.head = rewrite_sender(&after.head, &rewrite, &account.aliases);
            report.account = Some(account.name.clone());
            report.sender_rewritten = after.head != mended.head;
        }
        report.compare(&before, &after);
        Ok((Some(after), report))
    }

    /// The way of every message into the queue.
    async fn mend(&self, mail: &[u8], spool: &Workshop) -> Result<Mended, Refusal> {
        let now = Clock::system().now();
        let nobody = Address::parse(NOBODY).expect("it is an address");
        // As in the relay, the owner is the mailbox of the first account, whichever account sends.
        let owner = self.settings.accounts.first().map_or(&nobody, |first| &first.address);
        let to = if self.to.is_empty() { std::slice::from_ref(owner) } else { &self.to[..] };
        let network = self.client.and_then(|client| client.from.first());
        let about = Circumstances {
            id: Id::new(now, u64::from(std::process::id())),
            date: &now.rfc5322(),
            host: &self.settings.hostname,
            helo: self.client.map_or("device", |client| &client.name),
            with: "SMTP",
            addr: network.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |network| network.addr()),
            owner,
            from: &self.from,
            to,
        };
        let mut arrival = Arrival::new(spool.draft(), self.client.cloned().map(Arc::new));
        arrival.take(mail).await?;
        arrival.mend(&about, spool.draft()).await
    }
}

/// Where long bodies lie while the command runs.
struct Workshop {
    folder: PathBuf,
    spool: Arc<Spool>,
}

impl Workshop {
    fn new() -> Workshop {
        let folder = std::env::temp_dir().join(format!("yizhan-repair-{}", std::process::id()));
        Workshop { spool: Arc::new(Spool::new(folder.clone(), 0)), folder }
    }

    fn draft(&self) -> BodyDraft {
        BodyDraft::new(self.spool.clone())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // It is there only if a body was long; what cannot be removed lies in the system's own folder for such things.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
