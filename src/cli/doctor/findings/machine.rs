//! The machine: data folder, disk, ports, where clients seem to come from, the clock.
//!
//! Not here: looking at them (`probe::machine`), and anything about an account.

use std::net::{IpAddr, SocketAddr};

use crate::cli::finding::{Finding, Words, words};
use crate::clock::{EARLIEST, Timestamp};
use crate::intake::nat_detection::hides_others;

/// With fewer messages than this, one address proves nothing.
const ENOUGH_MESSAGES: usize = 5;

/// The data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its path.
    pub(crate) path: String,
    /// Whether it is there.
    pub(crate) exists: bool,
    /// Why nothing can be written there (or, when it does not exist, why it cannot be made).
    pub(crate) problem: Option<String>,
    /// The user id it belongs to, when that is not ours.
    pub(crate) foreign: Option<u32>,
    /// Octets free for us; none when the system does not say.
    pub(crate) free: Option<u64>,
    /// `limits.disk_free`.
    pub(crate) wanted: u64,
}

/// The data folder can be written.
pub(crate) fn folder(facts: &Folder) -> Finding {
    let path = &facts.path;
    match (&facts.problem, facts.foreign) {
        (Some(problem), _) => Finding::fail(
            "data",
            words(format!("{path} cannot be written"), format!("{path} 无法写入")),
            words(problem.clone(), problem.clone()),
            words(
                format!(
                    "give it to the user of the relay (chown, mode 0700), or choose another folder with data_dir; `ls -ld {path}` shows whose it is"
                ),
                format!(
                    "把该目录交给中继的用户（chown，权限 0700），或用 data_dir 另选目录；`ls -ld {path}` 可查看归属"
                ),
            ),
        ),
        // Root can write everywhere, so "writable" would prove nothing about the relay.
        (None, Some(owner)) => Finding::ok(
            "data",
            words(
                format!("{path} belongs to user {owner}, not to us; run doctor as that user to see more"),
                format!("{path} 属于用户 {owner}，不是当前用户；以该用户运行 doctor 可以查得更多"),
            ),
        ),
        (None, None) if facts.exists => {
            Finding::ok("data", words(format!("{path} can be written"), format!("{path} 可以写入")))
        }
        (None, None) => Finding::ok(
            "data",
            words(
                format!("{path} is not there yet; `yizhan run` makes it"),
                format!("{path} 尚不存在；`yizhan run` 会创建"),
            ),
        ),
    }
}

/// There is room on its disk.
pub(crate) fn disk(facts: &Folder) -> Finding {
    let Some(free) = facts.free else {
        return Finding::skip("disk", words("the system does not say how much is free", "系统没有给出剩余空间"));
    };
    let (has, wanted) = (crate::cli::screen::size(free), crate::cli::screen::size(facts.wanted));
    let what = words(
        format!("{has} are free, limits.disk_free is {wanted}"),
        format!("剩余 {has}，limits.disk_free 为 {wanted}"),
    );
    let remedy = words(
        "make room on the disk of the data folder, or move data_dir to a larger one",
        "清理数据目录所在磁盘，或把 data_dir 移到更大的磁盘",
    );
    if free < facts.wanted {
        let cause = words(
            "the relay takes no mail while less than limits.disk_free is left: clients get 421 or 452",
            "剩余空间低于 limits.disk_free 时中继不收邮件，客户端会得到 421 或 452",
        );
        Finding::fail("disk", what, cause, remedy)
    } else if free < facts.wanted.saturating_mul(2) {
        let cause = words("soon the relay will take no more mail", "很快中继将无法再收邮件");
        Finding::warn("disk", what, cause, remedy)
    } else {
        Finding::ok("disk", what)
    }
}

/// What is at the address of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// A relay greeted us with our host name.
    Ours,
    /// Somebody else: the first line it said, and the process that `/proc` names.
    Taken {
        /// What it said.
        banner: Option<String>,
        /// Process id and name.
        owner: Option<(u32, String)>,
    },
    /// Nobody, and we may listen there.
    Free,
    /// Nobody, and we may not listen there: a privilege is missing.
    Forbidden,
    /// The machine has no such address.
    NoAddress,
    /// The system said something else.
    Odd(String),
}

/// The port of a listener is ours, or free.
pub(crate) fn port(listener: &str, addr: SocketAddr, runs: bool, door: &Door) -> Finding {
    let place = format!("{addr} (listener.{listener})");
    let what = |en: &str, zh: &str| words(format!("{place} {en}"), format!("{place} {zh}"));
    match door {
        Door::Ours if runs => Finding::ok("port", what("is open, and ours", "已打开，是本中继")),
        Door::Ours => Finding::fail(
            "port",
            what("is open, but not by the relay of this data folder", "已打开，但不是这个数据目录的中继"),
            words(
                "another yizhan with our host name answers there; none runs on this data folder",
                "另一个同名的 yizhan 在那里应答；这个数据目录上没有中继在运行",
            ),
            words(
                "`systemctl status yizhan` or `docker ps` finds it; give doctor the same --config and --data-dir",
                "用 `systemctl status yizhan` 或 `docker ps` 找到它；给 doctor 相同的 --config 和 --data-dir",
            ),
        ),
        Door::Taken { banner, owner } => Finding::fail(
            "port",
            what("is taken by another program", "被其他程序占用"),
            taken(banner.as_deref(), owner.as_ref()),
            words(
                format!(
                    "stop it (`ss -ltnp 'sport = :{}'` names it; often postfix, exim4 or sendmail), or choose another port with listener.{listener}.bind",
                    addr.port()
                ),
                format!(
                    "停止它（`ss -ltnp 'sport = :{}'` 可查，常见为 postfix、exim4、sendmail），或用 listener.{listener}.bind 换端口",
                    addr.port()
                ),
            ),
        ),
        Door::Free if runs => Finding::fail(
            "port",
            what("is not open, although the relay runs", "没有打开，尽管中继正在运行"),
            words("the running relay was started with other settings", "正在运行的中继用的是另一份配置"),
            words("restart it, so that it reads the settings again", "重启中继，使其重新读取配置"),
        ),
        Door::Free => Finding::ok(
            "port",
            what("is free; no relay runs on this data folder", "空闲；这个数据目录上没有中继在运行"),
        ),
        Door::Forbidden => Finding::fail(
            "port",
            what("is free, but we may not listen there", "空闲，但无权监听"),
            words("a port below 1024 needs a privilege", "1024 以下的端口需要特权"),
            words(
                format!(
                    "one of: setcap cap_net_bind_service=+ep on the program; AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit; sysctl net.ipv4.ip_unprivileged_port_start={}; another port",
                    addr.port()
                ),
                format!(
                    "任选其一：对程序 setcap cap_net_bind_service=+ep；在 unit 中写 AmbientCapabilities=CAP_NET_BIND_SERVICE；sysctl net.ipv4.ip_unprivileged_port_start={}；换端口",
                    addr.port()
                ),
            ),
        ),
        Door::NoAddress => Finding::fail(
            "port",
            what("cannot be opened", "无法打开"),
            words("this machine has no such address", "本机没有这个地址"),
            words(
                format!("use an address of this machine (`ip addr`) in listener.{listener}.bind, or 127.0.0.1"),
                format!("在 listener.{listener}.bind 中使用本机地址（`ip addr`），或 127.0.0.1"),
            ),
        ),
        Door::Odd(reason) => Finding::fail(
            "port",
            what("cannot be opened", "无法打开"),
            words(reason.clone(), reason.clone()),
            words(format!("check listener.{listener}.bind"), format!("检查 listener.{listener}.bind")),
        ),
    }
}

fn taken(banner: Option<&str>, owner: Option<&(u32, String)>) -> Words {
    let (mut en, mut zh) = match owner {
        Some((pid, name)) => (format!("process {pid} ({name}) listens there"), format!("进程 {pid}（{name}）在监听")),
        None => {
            ("/proc does not say who (root sees more)".to_owned(), "/proc 没有说明是谁（root 可见更多）".to_owned())
        }
    };
    if let Some(banner) = banner {
        en.push_str(&format!("; it says: {banner}"));
        zh.push_str(&format!("；它说：{banner}"));
    }
    words(en, zh)
}

/// Whether clients can be told apart, from the client address of each recent message.
pub(crate) fn clients(seen: &[IpAddr], gateways: &[IpAddr]) -> Finding {
    let Some(&first) = seen.first().filter(|_| seen.len() >= ENOUGH_MESSAGES) else {
        let text = words("too few messages in the queue to tell", "队列中的邮件太少，无法判断");
        return Finding::skip("clients", text);
    };
    if seen.iter().any(|&address| address != first) {
        return Finding::ok("clients", words("messages come from several addresses", "邮件来自多个地址"));
    }
    if !hides_others(first, gateways) {
        return Finding::ok("clients", words(format!("messages come from {first}"), format!("邮件来自 {first}")));
    }
    Finding::warn(
        "clients",
        words(
            format!("all {} messages in the queue come from {first}", seen.len()),
            format!("队列中 {} 封邮件全部来自 {first}", seen.len()),
        ),
        words(
            "that is a gateway or a container bridge: the real client is hidden behind address translation, so allow, \
             [client.NAME] and the limits for one client hold for all of them together",
            "这是网关或容器网桥：真实客户端被地址转换隐藏，allow、[client.NAME] 和单客户端限制会对所有客户端一起生效",
        ),
        words(
            "let the container use the host's network (network_mode: host), publish the port without the userland proxy, \
             or externalTrafficPolicy: Local in Kubernetes",
            "让容器使用主机网络（network_mode: host），发布端口时关闭 userland-proxy，或在 Kubernetes 中设 externalTrafficPolicy: Local",
        ),
    )
}

/// The clock is later than this program. (How it stands to a provider's is judged with the account.)
pub(crate) fn clock(now: Timestamp) -> Finding {
    let stands = now.rfc3339();
    if now >= EARLIEST {
        return Finding::ok("clock", words(format!("it is {stands}"), format!("现在是 {stands}")));
    }
    Finding::fail(
        "clock",
        words(format!("this machine's clock says {stands}"), format!("本机时钟为 {stands}")),
        words(
            "that is before this version was written: certificates look as if they were not valid yet, and mail carries a wrong date",
            "早于本版本的发布时间：证书会显得尚未生效，邮件日期也会出错",
        ),
        words("set the clock: `timedatectl set-ntp true`", "校正时钟：`timedatectl set-ntp true`"),
    )
}

#[cfg(test)]
mod tests;
