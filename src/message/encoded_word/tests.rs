//! Words read leniently and written strictly; words with raw octets; bombs.

use super::*;

#[test]
fn words_are_read_leniently() {
    for (text, meaning) in [
        ("plain", "plain"),
        ("=?UTF-8?B?6am/56uZ?= x", "驿站 x"),
        ("=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait"),
        ("=?GB2312?B?sai45g==?=", "报告"),
        ("=?gb18030?b?sai45g?=", "报告"),
        ("=?utf-8*zh?B?6am/?=\t =?UTF-8?B?56uZ?=", "驿站"),
        // One character in two words, as PHP cuts them.
        ("=?utf-8?B?6ak=?= =?utf-8?B?vw==?=", "驿"),
        ("=?iso-8859-1?q?=E9?= =?utf-8?q?=C3=A9?=", "éé"),
        ("a =?x-none?q?=41?= b", "a =?x-none?q?=41?= b"),
        ("=?utf-8?x?a?= =?utf-8?q?open", "=?utf-8?x?a?= =?utf-8?q?open"),
        ("=?=?utf-8?q?a?=", "=?a"),
        ("=?utf-8?q?=4?=", "=4"),
    ] {
        assert_eq!(decode(text), meaning, "{text}");
    }
}

#[test]
fn words_are_written_strictly() {
    let text = "季度报告：打印机已经把所有的页面扫描完毕，请查收附件 𝄞 and some ASCII as well, for good measure";
    for column in [0, 9, 40, 63, 75, 90] {
        let out = encode(text, column);
        assert_eq!(decode(&out.replace("\r\n", "")).trim_start(), text);
        for (i, line) in out.split("\r\n").enumerate() {
            assert!(line.trim().len() <= 75 && line.len() + if i == 0 && line.len() > 1 { column } else { 0 } <= 76);
        }
    }
    assert_eq!(encode("", 9), "");
    assert_eq!(decode(&encode("a\r\nBcc: evil@x\u{85}\u{2028}", 9).replace("\r\n", "")), "a  Bcc: evil@x  ");
}

#[test]
fn bombs_of_legal_words_cost_linear_time() {
    for bomb in ["=?".repeat(200_000), "=?utf-8?q?".repeat(50_000), "=?utf-8?q?a?= ".repeat(50_000)] {
        assert!(decode(&bomb).len() <= bomb.len());
    }
}

fn gbk(text: &str) -> Vec<u8> {
    GBK.encode(text).0.into_owned()
}

fn read(value: &[u8]) -> String {
    decode(&text_of(value, Hints::default()))
}

fn in_word(before: &str, octets: &[u8]) -> Vec<u8> {
    [before.as_bytes(), octets, b"?="].concat()
}

#[test]
fn raw_octets_are_read_in_the_charset_of_their_word() {
    let wide = encoding_rs::BIG5.encode("報告").0.into_owned();
    for (value, meaning) in [
        (in_word("=?gb2312?Q?", &gbk("报告")), "报告"),
        (in_word("=?GBK?q?", &gbk("报告, 第_一页?")), "报告, 第 一页?"),
        (in_word("=?gb2312?B?", &gbk("报告 1")), "报告 1"),
        (in_word("=?gb18030*zh?Q?", &GB18030.encode("镕€𠀀").0), "镕€𠀀"),
        (in_word("=?big5?Q?", &wide), "報告"),
        (in_word("=?koi8-r?Q?", b"\xf0\xd2\xc9\xd7\xc5\xd4_=F7"), "Привет В"),
        (in_word("=?iso-8859-1?q?", b"caf\xe9_au_lait"), "café au lait"),
        (in_word("=?utf-8?Q?", "驿站_é".as_bytes()), "驿站 é"),
        (in_word("=?iso-2022-jp?Q?", b"\x1b$B;3\x1b(B"), "山"),
        // The second octet of the first character is 0x5F.
        (in_word("=?gb2312?Q?", b"\x81\x5f_\xb1=A8=B8\xe6"), "乢 报告"),
        // The label is wrong.
        (in_word("=?utf-8?Q?", &gbk("报告")), "报告"),
        (in_word("=?us-ascii?Q?", &gbk("报告")), "报告"),
        (in_word("=?iso-8859-1?Q?", "报告é".as_bytes()), "报告é"),
        (in_word("=?gb2312?Q?", "报告".as_bytes()), "报告"),
        (in_word("=?x-unknown?Q?", &gbk("报告")), "报告"),
    ] {
        assert_eq!(read(&value), meaning, "{}", value.escape_ascii());
    }
}

#[test]
fn words_beside_raw_ones_keep_their_meaning() {
    for (value, meaning) in [
        (&b"=?gb2312?Q?\xb1\xa8\xb8?= =?GB2312?Q?\xe6=B5?=\t=?gb2312?B?xA==?="[..], "报告的"),
        (b"=?gb2312?Q?\xb1\xa8?= =?utf-8?B?6am/56uZ?= x", "报驿站 x"),
        (b"\xd5\xc5 =?gb2312?Q?\xb1\xa8?= \xc8\xfd", "张 报 三"),
        (b"\xd5\xc5 =?gb2312?Q?\xb1\xa8", "张 =?gb2312?Q?报"),
        (b"\xd5\xc5\xc8\xfd =?=?gb2312?Q?=B1=A8?=", "张三 =?报"),
        (b"=?gb2312?x?\xb1\xa8?=", "=?gb2312?x?报?="),
    ] {
        assert_eq!(read(value), meaning, "{}", value.escape_ascii());
    }
    let legal = b"=?utf-8?q?a?b?= =?gb2312?B?sai45g==?=";
    assert!(matches!(made_legal(legal, Hints::default()), Cow::Borrowed(_)));
}

#[test]
fn a_name_in_quotes_keeps_its_specials() {
    let value = [&b"\"=?gb2312?Q?"[..], &gbk("张, <三>"), b"?=\" <a@b.cn>, =?gb2312?Q?", &gbk("乗"), b"?=<c@d.cn>"];
    let list = crate::message::mailbox::parse_field(&value.concat(), Hints::default());
    let list: Vec<_> = list.iter().map(|m| (m.name.as_str(), m.text.as_str())).collect();
    assert_eq!(list, [("张, <三>", "a@b.cn"), ("乗", "c@d.cn")]);
}

#[test]
fn bombs_of_raw_words_cost_linear_time() {
    for bomb in [&b"=?"[..], b"=?utf-8?q?", b"=?utf-8?q?\xff?", b"=?utf-8?q?\xff?= ", b"=?b?q?\xff? "] {
        let bomb = bomb.repeat(100_000);
        assert!(made_legal(&bomb, Hints::default()).len() <= 2 * bomb.len() + 20);
    }
}
