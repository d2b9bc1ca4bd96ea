//! The mails of the demonstration: what real devices send, octet for octet (charsets, line ends and all).

/// A device and its mail.
pub(super) struct Mail {
    /// Who sends it, for a person: English and Chinese.
    pub(super) device: &'static str,
    pub(super) device_zh: &'static str,
    /// What is wrong with it.
    pub(super) trouble: &'static str,
    pub(super) trouble_zh: &'static str,
    /// The greeting that the device knows: `HELO x` or `EHLO x`.
    pub(super) hello: &'static [u8],
    /// MAIL and RCPT as the device spells them.
    pub(super) mail: &'static str,
    pub(super) rcpt: Vec<&'static str>,
    /// Header and body, dots not stuffed; sent as it is.
    pub(super) data: Vec<u8>,
    /// How many mails the provider gets because of it.
    pub(super) arrives: usize,
    /// An attachment that must arrive unchanged.
    pub(super) attachment: Option<Vec<u8>>,
}

/// All of them.
pub(super) fn all() -> Vec<Mail> {
    vec![copier(), printer(), ups(), alarm(), cron(), scan(), two_recipients()]
}

/// Raw GBK text in the header, and no Date.
fn copier() -> Mail {
    let data = [
        b"From: \"".as_slice(),
        b"\xc8\xfd\xc2\xa5\xb8\xb4\xd3\xa1\xbb\xfa", // 三楼复印机
        b"\" <scan@copier.lan>\r\nTo: boss@example.com\r\nSubject: ",
        b"\xc9\xa8\xc3\xe8\xbc\xfe 2009-06-01", // 扫描件
        b"\r\nContent-Type: text/plain\r\n\r\n",
        b"\xc7\xeb\xb2\xe9\xca\xd5\xa1\xa3\r\n", // 请查收。
    ]
    .concat();
    Mail {
        device: "a copier of 2009",
        device_zh: "2009 年的复印机",
        trouble: "raw GBK in the header, no Date, no Message-ID",
        trouble_zh: "标题是裸 GBK 字节，没有日期",
        hello: b"HELO \r\n",
        mail: "MAIL FROM: <scan@copier.lan>",
        rcpt: vec!["RCPT TO: <boss@example.com>"],
        data,
        arrives: 1,
        attachment: None,
    }
}

/// A sender without a domain; lower-case commands without brackets.
fn printer() -> Mail {
    Mail {
        device: "a label printer",
        device_zh: "标签打印机",
        trouble: "`From: printer` has no domain: QQ answers 550 to that",
        trouble_zh: "`From: printer` 没有域名，QQ 会以 550 拒收",
        hello: b"ehlo printer\r\n",
        mail: "mail from:printer",
        rcpt: vec!["rcpt to:warehouse@example.com"],
        data: b"From: printer\r\nSubject: Paper jam in tray 2\r\n\r\nOpen cover B.\r\n.hidden line\r\n".to_vec(),
        arrives: 1,
        attachment: None,
    }
}

/// LF only, inside of the message; CRLF for the end.
fn ups() -> Mail {
    Mail {
        device: "a UPS on a shell script",
        device_zh: "UPS 的 shell 脚本",
        trouble: "bare LF line ends, no blank line between header and body",
        trouble_zh: "行尾只有 LF，正文前没有空行",
        hello: b"HELO ups\n",
        mail: "MAIL FROM:<ups@localhost>",
        rcpt: vec!["RCPT TO:<admin@example.com>"],
        data: b"Subject: On battery\nTo: admin@example.com\nLoad is 43 percent.\nRuntime is 18 minutes.\r\n".to_vec(),
        arrives: 1,
        attachment: None,
    }
}

/// One line of 1,200 octets of UTF-8 that nobody declared.
fn alarm() -> Mail {
    let mut data = "From: <>\r\nDate: 周六, 21 11月 2026 16:30:00\r\nSubject: 温度报警 Temperature alarm\r\nContent-Type: text/html; charset=utf-8\r\n\r\n".as_bytes().to_vec();
    let cell = "<td>机房 A 温度 31.5 ℃</td>";
    while data.len() < 1_400 {
        data.extend_from_slice(cell.as_bytes());
    }
    data.extend_from_slice(b"\r\n");
    Mail {
        device: "a sensor gateway",
        device_zh: "传感器网关",
        trouble: "a line of over 1,200 octets, an empty From, a Chinese Date",
        trouble_zh: "单行超过 1200 字节，发件人为空，日期是中文",
        hello: b"EHLO _\r\n",
        mail: "MAIL FROM:<> BODY=8BITMIME",
        rcpt: vec!["RCPT TO:<ops@example.com> NOTIFY=NEVER"],
        data,
        arrives: 1,
        attachment: None,
    }
}

fn cron() -> Mail {
    Mail {
        device: "cron on an old server",
        device_zh: "旧服务器上的 cron",
        trouble: "`From: root (Cron Daemon)`, `To: root`",
        trouble_zh: "`From: root (Cron Daemon)`，`To: root`",
        hello: b"EHLO localhost\r\n",
        mail: "MAIL FROM:<root> SIZE=300",
        rcpt: vec!["RCPT TO:<admin@example.com>"],
        data: b"From: root (Cron Daemon)\r\nTo: root\r\nSubject: Cron <root@db1> backup.sh\r\nBcc: secret@example.com\r\n\r\nbackup done: 12 GB\r\n.\r\n..\r\n".to_vec(),
        arrives: 1,
        attachment: None,
    }
}

/// A scan of 5 MB.
fn scan() -> Mail {
    let pdf = noise(5 * 1024 * 1024);
    let mut data = b"From: \"Scanner 2F\" <scanner@office.lan>\r\nTo: <archive@example.com>\r\nSubject: Scan 0042\r\n\
        Date: Sat, 21 Nov 2026 10:00:00 +0800\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"scan42\"\r\n\r\n\
        --scan42\r\nContent-Type: text/plain\r\n\r\nScanned document attached.\r\n\
        --scan42\r\nContent-Type: application/pdf; name=\"scan.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&pdf);
    for line in text.as_bytes().chunks(76) {
        data.extend_from_slice(line);
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b"--scan42--\r\n");
    Mail {
        device: "a network scanner",
        device_zh: "网络扫描仪",
        trouble: "a scan of 5 MB (nothing wrong with it: it must stay as it is)",
        trouble_zh: "5 MB 的扫描件（没有毛病，必须原样送达）",
        hello: b"EHLO scanner\r\n",
        mail: "MAIL FROM:<scanner@office.lan>",
        rcpt: vec!["RCPT TO:<archive@example.com>"],
        data,
        arrives: 1,
        attachment: Some(pdf),
    }
}

/// One of two recipients does not exist: the other gets the mail, the owner gets a notice.
fn two_recipients() -> Mail {
    Mail {
        device: "an old Java application",
        device_zh: "旧的 Java 程序",
        trouble: "two recipients, and the provider refuses one of them",
        trouble_zh: "两个收件人，其中一个被拒收",
        hello: b"EHLO app\r\n",
        mail: "MAIL FROM:<erp@corp.lan>",
        rcpt: vec!["RCPT TO:<sales@example.com>", "RCPT TO:<refused@example.com>"],
        data: "From: ERP <erp@corp.lan>\r\nTo: sales@example.com, refused@example.com\r\nSubject: 订单 20261121 已发货\r\n\
            MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n订单已发货。\r\n"
            .as_bytes()
            .to_vec(),
        arrives: 2,
        attachment: None,
    }
}

/// Octets that no compressor would touch, always the same ones (xorshift64*).
fn noise(octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = Vec::with_capacity(octets + 8);
    while out.len() < octets {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(octets);
    out
}
