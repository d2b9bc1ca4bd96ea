//! Which client is it? What is known of the devices in a network, found by the address of a connection.
//!
//! Not here: who may send (`listener` asks `ListenerSettings::allow`, and an entry here lets nobody in). Invariant: of all the
//! entries whose networks hold an address, the one with the narrowest network counts, in whatever order they are named.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding;
use ipnet::IpNet;

use crate::mail::{Address, Lane, ReversePath};
use crate::message::Level;
use crate::route::Pattern;
use crate::smtp::server::Profile;

/// What is known of some clients.
#[derive(Clone, Debug, PartialEq)]
pub struct Client {
    /// Its name, for logs, counters and the queue.
    pub name: String,
    /// Its networks; none of them in two clients.
    pub from: Vec<IpNet>,
    /// The name in From when the mail brings none.
    pub display: Option<String>,
    /// The charset of text that is not UTF-8 and names none.
    pub charset: Option<&'static Encoding>,
    /// Where answers go when the mail does not say. Must be qualified.
    pub reply_to: Option<Address>,
    /// What stands before every subject.
    pub subject_prefix: Option<String>,
    /// Whether the environment that cron tells in `X-Cron-Env` goes.
    pub drop_cron_env: bool,
    /// How much is repaired.
    pub level: Level,
    /// How much broken SMTP is put up with; `None`: as the listener says.
    pub profile: Option<Profile>,
    /// How long it may stay between two commands; `None`: as everybody.
    pub idle: Option<Duration>,
    /// How urgent its mail is.
    pub lane: Lane,
    /// Envelope senders it may use; empty: any.
    pub senders: Vec<Pattern>,
    /// Whether it may use the null sender, which is in no list.
    pub null_sender: bool,
    /// Envelope recipients it may write to; empty: any.
    pub recipients: Vec<Pattern>,
}

impl Client {
    /// Whether it may send as `sender`. What is compared is what is kept and sent.
    pub fn may_send_as(&self, sender: &ReversePath) -> bool {
        match sender.address() {
            None => self.null_sender,
            some => permits(&self.senders, some),
        }
    }

    /// Whether it may write to `recipient`.
    pub fn may_write_to(&self, recipient: &Address) -> bool {
        permits(&self.recipients, Some(recipient))
    }
}

/// Every pattern has been read as an address is read, and an address has one form for comparing ([`Address::key`]).
fn permits(patterns: &[Pattern], address: Option<&Address>) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.permits(address))
}

/// Every client there is something known of.
#[derive(Clone, Debug, Default)]
pub struct Clients(Vec<(IpNet, Arc<Client>)>);

impl Clients {
    /// Sorts them by their networks.
    pub fn new(clients: impl IntoIterator<Item = Client>) -> Clients {
        let mut all = Vec::new();
        for client in clients.into_iter().map(Arc::new) {
            all.extend(client.from.iter().map(|network| (*network, client.clone())));
        }
        all.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Clients(all)
    }

    /// Every client once, by name.
    pub fn all(&self) -> Vec<Arc<Client>> {
        let by_name: BTreeMap<&str, &Arc<Client>> =
            self.0.iter().map(|(_, client)| (client.name.as_str(), client)).collect();
        by_name.into_values().cloned().collect()
    }

    /// The client of this name.
    pub fn named(&self, name: &str) -> Option<Arc<Client>> {
        self.0.iter().find(|(_, client)| client.name == name).map(|(_, client)| client.clone())
    }

    /// The client with the narrowest network that holds `address`. `::ffff:10.0.0.1` is 10.0.0.1 (RFC 4291 section
    /// 2.5.5.2).
    pub fn find(&self, address: IpAddr) -> Option<Arc<Client>> {
        let address = address.to_canonical();
        self.0.iter().find(|(network, _)| network.contains(&address)).map(|(_, client)| client.clone())
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address, IPv4 in its own form.
    pub(super) addr: IpAddr,
    /// What is known of it.
    pub(super) client: Option<Arc<Client>>,
    /// The name of its client entry, else the address as text: for logs and the queue.
    pub(super) name: Arc<str>,
}

/// The label of every client without an entry.
const OTHER: &str = "other";

impl Peer {
    pub(super) fn new(addr: IpAddr, clients: &Clients) -> Peer {
        let addr = addr.to_canonical();
        let client = clients.find(addr);
        let name = client.as_ref().map_or_else(|| addr.to_string().into(), |client| client.name.as_str().into());
        Peer { addr, client, name }
    }

    /// The name of its client entry, else `other`: for counters. An address would be personal data there, and a new
    /// series for each.
    pub(super) fn label(&self) -> &str {
        self.client.as_ref().map_or(OTHER, |client| &client.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(name: &str, from: &[&str]) -> Client {
        Client {
            name: name.to_owned(),
            from: from.iter().map(|network| network.parse().unwrap()).collect(),
            display: None,
            charset: None,
            reply_to: None,
            subject_prefix: None,
            drop_cron_env: false,
            level: Level::Full,
            profile: None,
            idle: None,
            lane: Lane::Normal,
            senders: Vec::new(),
            null_sender: true,
            recipients: Vec::new(),
        }
    }

    #[test]
    fn the_narrowest_network_wins_in_any_order() {
        let mut all = vec![
            client("everybody", &["0.0.0.0/0", "::/0"]),
            client("office", &["10.0.0.0/8", "fc00::/7"]),
            client("floor", &["10.1.0.0/16"]),
            client("scanner", &["10.1.2.3/32", "192.168.1.0/24"]),
        ];
        for _ in 0..all.len() {
            all.rotate_left(1);
            let clients = Clients::new(all.clone());
            for (address, name) in [
                ("10.1.2.3", "scanner"),
                ("::ffff:10.1.2.3", "scanner"),
                ("10.1.2.4", "floor"),
                ("10.2.0.1", "office"),
                ("fd00::1", "office"),
                ("192.168.1.9", "scanner"),
                ("192.168.2.9", "everybody"),
                ("2001:db8::1", "everybody"),
            ] {
                let peer = Peer::new(address.parse().unwrap(), &clients);
                assert_eq!(&*peer.name, name, "{address}");
                assert!(peer.client.is_some_and(|client| client.name == name));
            }
        }
    }

    #[test]
    fn a_053_a_list_means_addresses_and_not_texts() {
        // A-052 too.
        let patterns = ["*@corp.example", "Boss@Else.example", "printer@"].map(|text| Pattern::parse(text).unwrap());
        let listed = Client {
            senders: patterns.to_vec(),
            recipients: patterns[..2].to_vec(),
            null_sender: false,
            ..client("listed", &["10.0.0.0/8"])
        };
        let sender = |text: &str| ReversePath::parse(text).is_ok_and(|sender| listed.may_send_as(&sender));
        let recipient = |text: &str| Address::parse(text).is_ok_and(|address| listed.may_write_to(&address));
        for good in ["a@corp.example", "A@CORP.EXAMPLE", "a@corp.example.", r#""a"@corp.example"#, "boss@else.example"]
        {
            assert!(sender(good) && recipient(good), "{good}");
        }
        for bad in [
            "a@evil.example",
            "a@sub.corp.example",
            "a@corp.example.evil",
            "a@xcorp.example",
            "boss2@else.example",
            "a@corp.example@evil.example",
            r#""a@corp.example"@evil.example"#,
            r#""x@evil.example x"@corp.example@evil.example"#,
            "a@corp.example\t",
            "a@corp.example..",
            "a@corp.example (evil)",
            "=?utf-8?q?a=40corp.example?=",
            "a@c\u{43e}rp.example",
            "a@xn--crp-5cd.example",
            "",
        ] {
            assert!(!sender(bad) && !recipient(bad), "{bad}");
        }
        // The next host may send these out of the domain.
        for routed in [
            r#""x@evil.example x"@corp.example"#,
            r#""x@evil.example"@corp.example"#,
            r#""x\@evil.example"@corp.example"#,
            "x%evil.example@corp.example",
            r#""x%evil.example"@corp.example"#,
            "evil.example!x@corp.example",
            "/S=x/PRMD=evil/@corp.example",
        ] {
            assert!(!sender(routed) && !recipient(routed), "{routed}");
            let named = Client { recipients: vec![Pattern::parse(routed).unwrap()], ..listed.clone() };
            assert!(named.may_write_to(&Address::parse(routed).unwrap()), "{routed} is in the list itself");
        }
        assert!(sender("printer") && !sender("scanner"));
        let open = client("open", &["10.0.0.0/8"]);
        assert!(open.may_send_as(&ReversePath::Null) && open.may_write_to(&Address::parse("a@evil.example").unwrap()));
    }

    #[test]
    fn a_client_nobody_knows_goes_by_its_address() {
        let clients = Clients::new([client("office", &["10.0.0.0/8"])]);
        let peer = Peer::new("::ffff:192.168.1.1".parse().unwrap(), &clients);
        assert_eq!((&*peer.name, peer.label(), &peer.client), ("192.168.1.1", "other", &None));
        let listed = Peer::new([10, 0, 0, 1].into(), &clients);
        assert_eq!((&*listed.name, listed.label()), ("office", "office"));
        assert!(Clients::default().find([10, 0, 0, 1].into()).is_none());
    }
}
