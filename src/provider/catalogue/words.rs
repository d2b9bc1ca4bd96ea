//! General rules on the words of a reply, for texts that no row describes: `words.tsv`.
//!
//! A rule belongs to a class. The class decides what follows, the rule which words show it. Rules are asked in the order of
//! the table. Invariants, each with a test: no rule pauses an account; a 4yz reply never fails a message or a recipient;
//! words about the account, its limits or its address never do either.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use super::line::Line;
use super::phrase::{List, Phrase, words};
use crate::provider::verdict::{Action, Basis, Phase, Remedy, Scope, Verdict};

/// Wordings of one rule whose remedy quotes them, at most; the number is bounded because a remedy is never freed.
const MOST_QUOTES: usize = 16;

/// What the words of a reply speak of.
#[derive(Debug)]
pub(super) struct Class {
    /// The name in logs and notices, such as `W-RATE`.
    pub(super) cause: &'static str,
    /// What follows from a 5yz reply.
    permanent: (Action, Scope),
    /// What follows from a 4yz reply.
    transient: (Action, Scope),
    /// What it is taken for and what to do, in English; it follows the quoted words.
    en: &'static str,
    /// The same in Chinese.
    zh: &'static str,
}

/// The same for 5yz and 4yz.
const fn always(act: (Action, Scope)) -> [(Action, Scope); 2] {
    [act, act]
}

const fn class(
    cause: &'static str,
    [permanent, transient]: [(Action, Scope); 2],
    en: &'static str,
    zh: &'static str,
) -> Class {
    Class { cause, permanent, transient, en, zh }
}

const COOL: [(Action, Scope); 2] = always((Action::Cool15, Scope::Account));
const MESSAGE_LATER: (Action, Scope) = (Action::RetrySoon, Scope::Message);
const RECIPIENT_LATER: (Action, Scope) = (Action::RetrySoon, Scope::Recipient);
const BAD_RECIPIENT: [(Action, Scope); 2] = [(Action::BounceRecipient, Scope::Recipient), RECIPIENT_LATER];
const BAD_MESSAGE: [(Action, Scope); 2] = [(Action::Bounce, Scope::Message), MESSAGE_LATER];
const REPAIR: [(Action, Scope); 2] = [(Action::Rewrite, Scope::Message), MESSAGE_LATER];

/// All classes. The names stand in the first column of `words.tsv`.
pub(super) const CLASSES: [Class; 16] = [
    class(
        "W-SPLIT",
        always((Action::Split, Scope::Message)),
        "too many recipients in one mail. The relay sends to smaller groups.",
        "一封邮件的收件人太多。中继会分成小批发送。",
    ),
    class(
        "W-BUSY",
        always(RECIPIENT_LATER),
        "a recipient that takes no mail just now. The relay tries again later.",
        "收件人暂时不能收信。中继稍后再试。",
    ),
    class(
        "W-RCPT",
        BAD_RECIPIENT,
        "a recipient that does not exist or does not take this mail. Compare the address, or ask the recipient.",
        "收件人不存在，或不接收这封信。请核对地址，或询问对方。",
    ),
    class(
        "W-FULL",
        BAD_RECIPIENT,
        "a recipient whose mailbox is full. Ask the recipient to make room, and send again.",
        "收件人的邮箱已满。请对方清理后再发。",
    ),
    class(
        "W-RATE",
        COOL,
        "sending too fast. The relay waits and goes on by itself. If it comes often, lower the budget of the account.",
        "发送过快。中继等待后自动继续。经常出现就请调低限额。",
    ),
    class(
        "W-QUOTA",
        COOL,
        "a limit on what the account may send. The relay waits and tries again. If it comes often, lower the budget, or \
         ask the provider for a higher limit.",
        "账号的发信额度已到。中继等待后再试。经常出现就请调低限额，或向服务商申请更高额度。",
    ),
    class(
        "W-ACCOUNT",
        COOL,
        "the account: blocked, not activated, or not allowed to send. The relay keeps the mail and tries again. Log in on \
         the provider's web page and look for a notice.",
        "账号有问题：被封、未激活或不允许发信。中继保留邮件并会再试。请登录服务商网页查看是否有通知。",
    ),
    class(
        "W-RELAY",
        COOL,
        "a server that does not take mail of this account for other domains. The relay keeps the mail and tries again. \
         Look at `host`, `port` and `user` of the account.",
        "服务器不为该账号转发到其他域名。中继保留邮件并会再试。请检查该账号的 host、port 和 user。",
    ),
    class(
        "W-BLOCK",
        always((Action::Cool15, Scope::Host)),
        "the public address of this relay: it is on a block list, or its name in the DNS is missing. The relay keeps the \
         mail and tries again. Ask the provider of the line, or use another one.",
        "本中继的公网 IP：被列入黑名单，或缺少反向解析。中继保留邮件并会再试。请询问宽带服务商，或换一条线路。",
    ),
    class(
        "W-SENDER",
        REPAIR,
        "a sender that this account may not use. The relay puts the address of the account there once; if it is refused \
         again, look at `user` in the settings.",
        "该账号不能使用这个发件人。中继会改用账号自己的地址再发一次；若再被拒，请检查设置里的 user。",
    ),
    class(
        "W-HEADER",
        REPAIR,
        "a header that the server does not accept. The relay puts it in the strictest form once; if it is refused again, \
         correct the header where the mail is made.",
        "服务器不接受邮件头。中继会改成最严格的写法再发一次；若再被拒，请在产生邮件的地方改正。",
    ),
    class(
        "W-LATER",
        always(MESSAGE_LATER),
        "trouble that passes, whatever the code says. The relay tries again.",
        "暂时的故障，不管代码是什么。中继会再试。",
    ),
    class("W-LOOP", BAD_MESSAGE, "a mail that goes in a circle. Look for a forwarding rule that sends it back.", {
        "邮件在循环转发。请检查是否有把它转回来的规则。"
    }),
    class("W-SIZE", BAD_MESSAGE, "a mail that is too large for this server. Send less at once.", {
        "邮件超过该服务器的大小限制。请分开发送。"
    }),
    class(
        "W-CONTENT",
        BAD_MESSAGE,
        "the contents: text, link or attachment. Change them and send again.",
        "邮件内容：正文、链接或附件。请修改后再发。",
    ),
    class(
        "W-TLS",
        COOL,
        "a server that wants an encrypted connection first. Set port 465 with tls = \"implicit\", or port 587 with tls = \
         \"starttls\".",
        "服务器要求先加密。请设 465 端口配 tls = \"implicit\"，或 587 端口配 tls = \"starttls\"。",
    ),
];

/// Where the words of a rule mean what its class says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Mail,
    Rcpt,
    Data,
    /// After DATA, where the reply names an address, a recipient, or an enhanced code x.1.x or x.2.x.
    DataAboutAddress,
    /// After DATA, where the reply names a recipient, or an enhanced code x.1.x or x.2.x.
    DataAboutRecipient,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) class: &'static Class,
    places: Vec<Place>,
    phrase: Phrase,
    /// What the words mean, in the other language: Chinese for English words, English for Chinese ones.
    gloss: &'static str,
    remedies: Mutex<BTreeMap<String, Remedy>>,
}

/// The rules of the table, in match order.
pub(super) static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let (mut lists, mut rules) = (Vec::new(), Vec::new());
    for line in include_str!("../words.tsv").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('=').and_then(|line| line.split_once('\t')) {
            Some((name, list)) => {
                let list: List = (name, words(list, &lists).expect("a test reads the table"));
                lists.push(list);
            }
            None => rules.push(Rule::read(line, &lists).unwrap_or_else(|| panic!("a test reads the table: {line}"))),
        }
    }
    rules
});

/// Whether it speaks of a recipient before anything else is looked at.
pub(super) fn about_recipient(rule: &Rule) -> bool {
    matches!(rule.class.cause, "W-BUSY" | "W-RCPT" | "W-FULL")
}

/// The first of `rules` that fits, if a rule may decide here at all.
pub(super) fn decide<'r>(rules: impl IntoIterator<Item = &'r Rule>, phase: Phase, line: &Line) -> Option<Verdict> {
    let decides = matches!(phase, Phase::Mail | Phase::Rcpt | Phase::Data) && (400..600).contains(&line.code());
    let mut rules = rules.into_iter().filter(|_| decides);
    rules.find_map(|rule| rule.verdict(phase, line))
}

impl Rule {
    fn read(line: &'static str, lists: &[List]) -> Option<Rule> {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let &[cause, places, phrase, gloss] = columns.as_slice() else { return None };
        let place = |word: &str| match word {
            "mail" => Some(Place::Mail),
            "rcpt" => Some(Place::Rcpt),
            "data" => Some(Place::Data),
            "data@" => Some(Place::DataAboutAddress),
            "data#" => Some(Place::DataAboutRecipient),
            _ => None,
        };
        Some(Rule {
            class: CLASSES.iter().find(|class| class.cause == cause)?,
            places: places.split(',').map(place).collect::<Option<_>>()?,
            phrase: Phrase::read(phrase, lists)?,
            gloss,
            remedies: Mutex::default(),
        })
    }

    fn verdict(&self, phase: Phase, line: &Line) -> Option<Verdict> {
        let permanent = line.code() >= 500;
        // The code says already that it passes.
        let says_more = permanent || self.class.cause != "W-LATER";
        if !says_more || !self.places.iter().any(|place| place.holds(phase, line.words())) {
            return None;
        }
        let quote = self.phrase.find(line.words())?;
        let (action, scope) = if permanent { self.class.permanent } else { self.class.transient };
        let remedy = self.remedy(quote);
        Some(Verdict { cause: self.class.cause, scope, action, alert: false, basis: Basis::Words, remedy })
    }

    /// The remedy that quotes these words. It lives as long as the process, because a verdict is `Copy`.
    fn remedy(&self, quote: String) -> Remedy {
        // Remedies are put in one at a time; nothing can be half done.
        let mut remedies = self.remedies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remedy) = remedies.get(&quote) {
            return *remedy;
        }
        let quote = if remedies.len() < MOST_QUOTES { quote } else { String::new() };
        *remedies.entry(quote.clone()).or_insert_with(|| self.class.remedy_of(&quote, self.gloss))
    }
}

impl Class {
    /// The remedy for these words; it quotes none where there are too many wordings. `gloss` is in
    /// the language that the words are not in. The texts are never freed.
    pub(super) fn remedy_of(&self, quote: &str, gloss: &str) -> Remedy {
        let (what, what_zh) = if quote.is_empty() {
            ("words of the reply".to_owned(), "回复里的词语".to_owned())
        } else if gloss.is_ascii() {
            (format!("words \"{quote}\" ({gloss})"), format!("“{quote}”"))
        } else {
            (format!("words \"{quote}\""), format!("“{quote}”（{gloss}）"))
        };
        let en = format!("The relay guesses from the {what}. They speak of {}", self.en);
        let zh = format!("中继根据{what_zh}推测：{}", self.zh);
        Remedy { en: en.leak(), zh: zh.leak() }
    }
}

impl Place {
    fn holds(self, phase: Phase, words: &str) -> bool {
        match self {
            Place::Mail => phase == Phase::Mail,
            Place::Rcpt => phase == Phase::Rcpt,
            Place::Data => phase == Phase::Data,
            Place::DataAboutAddress => phase == Phase::Data && (words.contains('@') || names_recipient(words)),
            Place::DataAboutRecipient => phase == Phase::Data && names_recipient(words),
        }
    }
}

/// Whether the text says that it is about a recipient: in words, or by an enhanced code x.1.x or x.2.x (RFC 3463
/// sections 3.2 and 3.3).
fn names_recipient(words: &str) -> bool {
    let code = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        let mut parts = word.split('.');
        let (class, subject, detail) = (parts.next(), parts.next(), parts.next());
        matches!((class, subject), (Some("4" | "5"), Some("1" | "2")))
            // x.1.7 and x.1.8 are about the sender.
            && detail.is_some_and(|detail| !matches!(detail, "7" | "8") || subject == Some("2"))
            && parts.next().is_none()
    };
    ["recipient", "收件人", "收信人"].iter().any(|word| words.contains(word)) || words.split(' ').any(code)
}
