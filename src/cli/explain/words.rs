//! The sentences of `yizhan explain`: what a verdict means and what the relay does, in two languages.
//!
//! Not here: what the owner should do; that stands in the catalogue itself. Invariant: every action has its sentences,
//! and they say no more than what the relay does.

use crate::cli::screen::Lang;
use crate::provider::{Action, Basis, Grade, Scope, Verdict};

/// What the provider wants to say, whatever the first digit is.
pub(super) fn means(verdict: Verdict, code: u16, lang: Lang) -> String {
    let (en, zh) = match verdict.action {
        // More than that would be a guess.
        _ if !verdict.is_known() => ("No row and no rule describes these words yet.", "目录和规则里都还没有这种说法。"),
        Action::Ok => ("It is no refusal.", "这不是拒绝。"),
        Action::RetrySoon => ("Not now; it passes within minutes.", "暂时不行，几分钟内会过去。"),
        Action::Cool15 => ("Too much for the moment; it passes.", "一时太多，会自己过去。"),
        Action::Cool15ThenPause => (
            "The log-in is refused; the reason may pass, or may need you.",
            "登录被拒；原因可能自己消失，也可能要您处理。",
        ),
        Action::RetryHour => ("A limit was reached; it passes by itself.", "到了限额，会自己解除。"),
        Action::RetryHourThenPause => {
            ("Log-ins are locked; the lock passes, its cause does not.", "登录被锁；锁会解除，原因不会自己消失。")
        }
        Action::RetryDay => {
            ("A limit of the day, or a block that lasts; it passes by itself.", "当日限额或较长的封锁，会自己解除。")
        }
        Action::Pause => ("Nothing is taken until somebody changes something.", "有人处理之前，什么都不收。"),
        Action::Bounce => ("This message is refused for good.", "这封邮件被永久拒绝。"),
        Action::BounceRecipient => ("This recipient is refused for good.", "这个收件人被永久拒绝。"),
        Action::Rewrite => ("The form of the sender or the header is not liked.", "发件人或邮件头的写法不被接受。"),
        Action::Split => ("Too many recipients at one time.", "一次的收件人太多。"),
        Action::RetryThenBounce => ("The code says that it is refused for good.", "代码表示永久拒绝。"),
    };
    let (about, about_zh) = match verdict.scope {
        Scope::Session => ("this connection", "这条连接"),
        Scope::Account => ("the account", "账号"),
        Scope::Host => ("the public address of this relay", "本中继的公网 IP"),
        Scope::Domain => ("the whole domain", "整个域名"),
        Scope::Config => ("a setting", "设置"),
        Scope::Message => ("this message", "这封邮件"),
        Scope::Recipient => ("this recipient", "这个收件人"),
    };
    let (lies, lies_zh) = lie(verdict, code);
    match lang {
        Lang::En => format!("{en} It is about {about}.{lies}"),
        Lang::Zh => format!("{zh}针对的是{about_zh}。{lies_zh}"),
    }
}

/// RFC 5321 section 4.2.1 says that 4yz passes and 5yz does not; providers do not keep to it.
fn lie(verdict: Verdict, code: u16) -> (&'static str, &'static str) {
    let passes = matches!(
        verdict.action,
        Action::RetrySoon | Action::Cool15 | Action::RetryHour | Action::RetryHourThenPause | Action::RetryDay
    );
    let stays = matches!(verdict.action, Action::Pause | Action::Bounce | Action::BounceRecipient | Action::Rewrite);
    match code / 100 {
        // A guess does not contradict the provider.
        _ if verdict.basis != Basis::Row => ("", ""),
        5 if passes => (" The 5 in front says the opposite, and is wrong.", "开头的 5 表示永久，其实不是。"),
        4 if stays => (" The 4 in front says that it passes, and is wrong.", "开头的 4 表示暂时，其实不是。"),
        _ => ("", ""),
    }
}

/// What the relay does about it.
pub(super) fn relay(verdict: Verdict, lang: Lang) -> String {
    let one = matches!(verdict.scope, Scope::Message | Scope::Recipient);
    let (en, zh) = match verdict.action {
        Action::Ok => ("Goes on.", "继续。"),
        Action::RetrySoon if verdict.scope.holds_account() => {
            ("Holds the mail of the account for some minutes, then goes on.", "暂停该账号的邮件几分钟，然后继续。")
        }
        Action::RetrySoon => {
            ("Tries the message again within minutes, then more and more seldom.", "几分钟后重试，之后间隔越来越长。")
        }
        Action::Cool15
        | Action::Cool15ThenPause
        | Action::RetryHour
        | Action::RetryHourThenPause
        | Action::RetryDay
            if one =>
        {
            ("Tries this message again later; all other mail goes on.", "稍后重试这封邮件，其他邮件照常发送。")
        }
        Action::Cool15 if verdict.basis == Basis::Words => (
            "Tries the message again after a quarter of an hour. If a second message or recipient meets such words before one is accepted, it holds the mail of the account for a quarter of an hour at a time. Nothing bounces.",
            "一刻钟后重试这封邮件；若在有邮件被接收之前又有一封邮件或一位收件人遇到类似的话，就暂停该账号的邮件，每次一刻钟。不会退信。",
        ),
        Action::Cool15 => (
            "Holds the mail of the account for a quarter of an hour, then goes on. Nothing bounces.",
            "暂停该账号的邮件一刻钟，然后继续。不会退信。",
        ),
        Action::Cool15ThenPause => (
            "Holds the mail of the account and logs in again after a quarter of an hour; refused again, it waits longer and tells you. Nothing bounces.",
            "暂停该账号的邮件，一刻钟后再登录；若再被拒，等得更久并通知您。不会退信。",
        ),
        Action::RetryHour => (
            "Holds the mail of the account for an hour, longer if it comes again, then goes on. Nothing bounces.",
            "暂停该账号的邮件一小时，再遇到就更久，然后继续。不会退信。",
        ),
        Action::RetryHourThenPause => (
            "Holds the mail of the account for an hour; refused again, it waits longer and tells you. Nothing bounces.",
            "暂停该账号的邮件一小时；若再被拒，等得更久并通知您。不会退信。",
        ),
        Action::RetryDay => (
            "Holds the mail of the account until the next day, then goes on. Nothing bounces.",
            "暂停该账号的邮件到第二天，然后继续。不会退信。",
        ),
        Action::Pause => {
            ("Stops the account, keeps all its mail and tells you.", "停用该账号，保留它的所有邮件，并通知您。")
        }
        Action::Bounce => ("Gives the message up and sends a notice.", "放弃这封邮件，并发出失败通知。"),
        Action::BounceRecipient => (
            "Gives this recipient up and sends a notice; the others are not touched.",
            "放弃这个收件人，并发出失败通知；其他收件人不受影响。",
        ),
        Action::Rewrite => (
            "Puts sender and header in the strictest form and sends once more; refused again, it gives up and sends a notice.",
            "把发件人和邮件头改成最严格的写法再发一次；若再被拒，就放弃并发出失败通知。",
        ),
        Action::Split => ("Sends to fewer recipients at a time.", "分成更小的批次发送。"),
        Action::RetryThenBounce => (
            "Tries again later; gives up, with a notice, only when it is refused again while other mail goes out.",
            "稍后再试；只有在其他邮件能发出而它仍被拒时才放弃，并发出失败通知。",
        ),
    };
    let told = match (verdict.alert, lang) {
        (false, _) => "",
        (true, Lang::En) => " It tells you, too.",
        (true, Lang::Zh) => "同时通知您。",
    };
    format!("{}{told}", lang.pick(en, zh))
}

/// Where the catalogue has it from.
pub(super) fn founded(verdict: Verdict, grade: Option<Grade>, lang: Lang) -> &'static str {
    let (en, zh) = match grade {
        _ if !verdict.is_known() => ("the first digit only", "仅凭第一位数字"),
        None => ("the first digit only", "仅凭第一位数字"),
        Some(Grade::Sure) => {
            ("a document of the provider, a standard, or two transcripts", "服务商文档、标准，或两份会话记录")
        }
        Some(Grade::Seen) => ("one report", "一份报告"),
        Some(Grade::Hearsay) => ("hearsay", "传闻"),
        Some(Grade::Unverified) => ("not confirmed by anybody", "未经证实"),
        Some(Grade::Guessed) => ("a guess from the words of the reply", "根据回复里的词语推测"),
        Some(Grade::Own) => ("your own row", "您自己的规则"),
    };
    lang.pick(en, zh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Catalogue, Group, Phase, UserRow};

    #[test]
    fn only_a_digit_that_lies_is_called_a_liar() {
        let catalogue = Catalogue::built_in();
        let of = |code, text: &str| means(catalogue.classify(Group::Tencent, Phase::Data, code, text), code, Lang::En);
        assert!(of(550, "Ip frequency limited").ends_with("The 5 in front says the opposite, and is wrong."));
        assert!(!of(550, "Mail content denied").contains("wrong"));
        assert!(!of(451, "whatever").contains("wrong"));
        let own = UserRow { pattern: "moon".into(), action: "pause".into(), ..UserRow::default() };
        let verdict = Catalogue::with(vec![own]).unwrap().classify(Group::Generic, Phase::Data, 450, "moon");
        assert!(means(verdict, 450, Lang::Zh).ends_with("开头的 4 表示暂时，其实不是。"));
        assert_eq!(founded(verdict, Some(Grade::Own), Lang::En), "your own row");
    }

    #[test]
    fn what_holds_one_message_back_does_not_speak_of_the_account() {
        let catalogue = Catalogue::built_in();
        let busy = catalogue.classify(Group::Tencent, Phase::Rcpt, 550, "Mailbox unavailable or access denied");
        assert!(relay(busy, Lang::En).starts_with("Tries this message again later"));
        let limit = catalogue.classify(Group::Tencent, Phase::Rcpt, 550, "Sender frequency limited");
        assert!(relay(limit, Lang::En).starts_with("Holds the mail of the account"));
        let alarm = catalogue.classify(Group::Tencent, Phase::Connect, 550, "Connection denied");
        assert!(relay(alarm, Lang::Zh).ends_with("同时通知您。"));
    }
}
