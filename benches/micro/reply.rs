//! What it costs to understand a refusal: the reply that makes most rows look, and replies that are in the catalogue.

use std::hint::black_box;

use yizhan::provider::{Catalogue, Group, Phase, reply_text};

use super::{micros, time};

/// Long, with words of many rows in it, and fitting none of them.
fn worst() -> String {
    let words = "too many recipients were rejected by the recipient for a daily limit and a quota that is not a number, \
                 the user and the mailbox, the sender and the frequency; see http://example.com/help?subtype=1 ";
    words.repeat(3)
}

pub(super) fn verdicts() {
    let catalogue = Catalogue::built_in();
    let begin = std::time::Instant::now();
    black_box(catalogue.classify(Group::Tencent, Phase::Data, 550, "Ip frequency limited"));
    println!("  {:8.2} us, the first one: the table is read", micros(begin.elapsed()));
    let (mut slowest, mut name) = (0.0, "");
    for group in Group::ALL {
        let text = reply_text([worst()]);
        for phase in [Phase::Auth, Phase::Rcpt, Phase::Data] {
            for code in [454, 550, 554] {
                let once = micros(time(|| _ = black_box(catalogue.classify(group, phase, code, &text))));
                if once > slowest {
                    (slowest, name) = (once, group.word());
                }
            }
        }
    }
    println!("  {slowest:8.2} us, {} characters that nobody has described, the slowest group ({name})", worst().len());
    for (what, group, phase, code, text) in [
        ("QQ's rate limit", Group::Tencent, Phase::Data, 550, "Ip frequency limited"),
        (
            "Microsoft's quota",
            Group::Microsoft,
            Phase::Data,
            554,
            "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message due to a permanent exception",
        ),
        ("no such recipient", Group::Generic, Phase::Rcpt, 550, "5.1.1 no such user"),
    ] {
        let once = time(|| _ = black_box(catalogue.classify(group, phase, code, text)));
        println!("  {:8.2} us, {what}", micros(once));
    }
}
