//! The names of all repairs with their reasons, for the log, the queue and the operator.
//!
//! `repair` and `mime` make them. Invariant: a name is kebab-case and never changes once it was released, because it is
//! stored with messages and counted by monitoring.

/// Defines the enum and its three texts from one table, so that no repair can lack one of them.
macro_rules! repairs {
    ($($kind:ident $name:literal $why:literal $why_zh:literal)*) => {
        /// One repair of a message.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Repair {
            $(#[doc = $why] $kind,)*
        }

        impl Repair {
            /// All repairs.
            pub const ALL: &'static [Repair] = &[$(Repair::$kind,)*];

            /// The stable name, in kebab-case.
            pub fn name(self) -> &'static str {
                match self { $(Repair::$kind => $name,)* }
            }

            /// The reason, in one English sentence.
            pub fn why(self) -> &'static str {
                match self { $(Repair::$kind => $why,)* }
            }

            /// The reason, in one Chinese sentence.
            pub fn why_zh(self) -> &'static str {
                match self { $(Repair::$kind => $why_zh,)* }
            }
        }
    };
}

repairs! {
    MboxLineDropped "mbox-line-dropped" "The mail began with an mbox separator line, which is no header field (RFC 5322 section 2.2)." "邮件以 mbox 分隔行开头，这不是信头字段（RFC 5322 第 2.2 节）。"
    BlankLinesDropped "blank-lines-dropped" "Blank lines stood before or inside the header, which a blank line ends (RFC 5322 section 2.1)." "信头之前或之中有空行，而空行表示信头结束（RFC 5322 第 2.1 节）。"
    NameBlanksDropped "name-blanks-dropped" "A field had blanks between its name and the colon (RFC 5322 section 2.2)." "字段名与冒号之间有空格（RFC 5322 第 2.2 节）。"
    HeaderCreated "header-created" "The mail had no header (RFC 5322 section 3.6)." "邮件没有信头（RFC 5322 第 3.6 节）。"
    SeparatorAdded "separator-added" "The blank line between header and body was missing (RFC 5322 section 2.1)." "信头与正文之间缺少空行（RFC 5322 第 2.1 节）。"
    NulRemoved "nul-removed" "The mail had NUL characters where none are allowed (RFC 5322 section 2.2, RFC 2045 section 2.7)." "邮件含有不允许的 NUL 字符（RFC 5322 第 2.2 节，RFC 2045 第 2.7 节）。"
    BareLineEnds "bare-line-ends" "Lines ended in LF or CR alone; mail needs CRLF (RFC 5321 section 2.3.8)." "行尾不是 CRLF（RFC 5321 第 2.3.8 节）。"
    SignatureBroken "signature-broken" "Signed text had lines that may not be sent (RFC 5322 section 2.1.1); mending them breaks the signature." "已签名的内容含有不能发送的行（RFC 5322 第 2.1.1 节），修复后签名失效。"
    DateAdded "date-added" "There was no Date (RFC 5322 section 3.6); Aliyun was seen to drop such mail without a word." "缺少日期（RFC 5322 第 3.6 节），阿里云可能静默丢弃此类邮件。"
    DateReplaced "date-replaced" "The Date could not be read (RFC 5322 section 3.3); the old one is in X-Original-Date." "日期无法识别（RFC 5322 第 3.3 节），原值保存在 X-Original-Date。"
    MessageIdAdded "message-id-added" "There was no Message-ID (RFC 5322 section 3.6.4); Gmail may refuse such mail, Aliyun may drop it." "缺少 Message-ID（RFC 5322 第 3.6.4 节），Gmail 可能拒收，阿里云可能丢弃。"
    MessageIdReplaced "message-id-replaced" "The Message-ID was not of the form <x@y> (RFC 5322 section 3.6.4)." "Message-ID 格式不正确（RFC 5322 第 3.6.4 节）。"
    FromAdded "from-added" "There was no From (RFC 5322 section 3.6.2); QQ Mail refuses such mail with 550." "缺少发件人（RFC 5322 第 3.6.2 节），QQ 邮箱会以 550 拒收。"
    FromReplaced "from-replaced" "The From was no usable mailbox (RFC 5322 section 3.4); QQ Mail refuses such mail with 550." "发件人不是可用的邮箱地址（RFC 5322 第 3.4 节），QQ 邮箱会以 550 拒收。"
    FromMerged "from-merged" "There was more than one From (RFC 5322 section 3.6); the first usable one stays." "有多个发件人字段（RFC 5322 第 3.6 节），保留第一个可用的。"
    DisplayAdded "display-added" "The From had no name; the one set for this client was added." "发件人没有名称，已加上为该客户端设置的名称。"
    ReplyToSet "reply-to-set" "There was no Reply-To; the one set for this client was added (RFC 5322 section 3.6.2)." "缺少回复地址，已加上为该客户端设置的地址（RFC 5322 第 3.6.2 节）。"
    ToAdded "to-added" "There was no To; spam filters count that against a mail." "缺少收件人字段，容易被判为垃圾邮件。"
    ToReplaced "to-replaced" "The To had no usable address (RFC 5322 section 3.4)." "收件人字段没有可用的地址（RFC 5322 第 3.4 节）。"
    BccDropped "bcc-dropped" "Bcc must not be seen by the recipients (RFC 5322 section 3.6.3)." "密送字段不应让收件人看到（RFC 5322 第 3.6.3 节）。"
    ReturnPathDropped "return-path-dropped" "Return-Path is for the last server to add (RFC 5321 section 4.4)." "Return-Path 只能由最终服务器添加（RFC 5321 第 4.4 节）。"
    DeliveredToDropped "delivered-to-dropped" "Delivered-To is for the last server to add; SES refuses mail that has it twice (RFC 9228)." "Delivered-To 只能由最终服务器添加，SES 会拒收重复的该字段（RFC 9228）。"
    ContentLengthDropped "content-length-dropped" "Content-Length has no meaning in mail (RFC 5322 section 3.6) and was about to be wrong." "Content-Length 在邮件中没有意义（RFC 5322 第 3.6 节）。"
    CronEnvDropped "cron-env-dropped" "cron had put its environment into X-Cron-Env fields; the owner wants none of it in mail." "cron 把环境变量写进了 X-Cron-Env 字段，已按设置删除。"
    DuplicatesDropped "duplicates-dropped" "A field that may occur once occurred again (RFC 5322 section 3.6), which Gmail refuses; the first stays." "字段重复（RFC 5322 第 3.6 节），Gmail 会拒收，保留第一个。"
    RecipientsJoined "recipients-joined" "To or Cc occurred more than once (RFC 5322 section 3.6); they were joined." "收件人或抄送字段重复（RFC 5322 第 3.6 节），已合并。"
    EmptyListDropped "empty-list-dropped" "A list of addresses had no address in it (RFC 5322 section 3.4)." "地址列表中没有地址（RFC 5322 第 3.4 节）。"
    FieldDropped "field-dropped" "A field had a name too long for any line (RFC 5322 section 2.1.1)." "字段名过长（RFC 5322 第 2.1.1 节）。"
    MimeVersionAdded "mime-version-added" "There was no MIME-Version (RFC 2045 section 4)." "缺少 MIME-Version（RFC 2045 第 4 节）。"
    CharsetDeclared "charset-declared" "The text has 8-bit characters and no charset was named (RFC 2046 section 4.1.2)." "正文含有 8 位字符但没有声明字符集（RFC 2046 第 4.1.2 节）。"
    TransferEncodingSet "transfer-encoding-set" "The Content-Transfer-Encoding did not say what the body is (RFC 2045 section 6)." "Content-Transfer-Encoding 与正文不符（RFC 2045 第 6 节）。"
    SubjectEncoded "subject-encoded" "The Subject had raw 8-bit or control characters, or encoded words that are too long (RFC 5322 section 2.2, RFC 2047)." "主题含有未编码的字符（RFC 5322 第 2.2 节，RFC 2047）。"
    SubjectPrefixed "subject-prefixed" "The prefix set for this client was put before the Subject." "已在主题前加上为该客户端设置的前缀。"
    HeaderEncoded "header-encoded" "A field had raw 8-bit or control characters, or encoded words in quotes or too long (RFC 5322 section 2.2, RFC 2047, RFC 2231)." "信头含有未编码的字符（RFC 5322 第 2.2 节，RFC 2047，RFC 2231）。"
    LineFolded "line-folded" "A header line was over 998 characters (RFC 5322 section 2.1.1)." "信头某行超过 998 个字符（RFC 5322 第 2.1.1 节）。"
    BodyEncoded "body-encoded" "A part had lines over 998 characters, NUL, or 8-bit characters under a wrong label (RFC 5322 section 2.1.1, RFC 2045 section 6)." "正文有超长行、NUL 或编码标注错误，已重新编码（RFC 5322 第 2.1.1 节，RFC 2045 第 6 节）。"
    LineRewrapped "line-rewrapped" "An encoded part had lines over 76 characters that may not be sent so (RFC 2045 sections 6.7 and 6.8)." "已编码的部分行过长，已重新折行（RFC 2045 第 6.7、6.8 节）。"
    LineBroken "line-broken" "A line over 998 characters was broken where nothing can be encoded (RFC 5322 section 2.1.1, RFC 2045 section 6.4)." "无法编码之处的超长行已被断开（RFC 5322 第 2.1.1 节，RFC 2045 第 6.4 节）。"
}
