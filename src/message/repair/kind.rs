//! The names of all repairs, and why each is made, for the log, the queue and the owner.
//!
//! What this is not: the repairs. Invariant: a name is kebab-case and never changes once it was released, because it is
//! stored with messages and counted by monitoring.

/// Defines the enum and its three texts from one table, so that no repair can lack one of them.
macro_rules! repairs {
    ($($kind:ident $name:literal $why:literal $why_zh:literal)*) => {
        /// One thing that was put right in a message.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Repair {
            $(#[doc = $why] $kind,)*
        }

        impl Repair {
            /// Every repair there is.
            pub const ALL: &'static [Repair] = &[$(Repair::$kind,)*];

            /// The stable name, in kebab-case.
            pub fn name(self) -> &'static str {
                match self { $(Repair::$kind => $name,)* }
            }

            /// Why it was made, in one English sentence.
            pub fn why(self) -> &'static str {
                match self { $(Repair::$kind => $why,)* }
            }

            /// Why it was made, in one Chinese sentence.
            pub fn why_zh(self) -> &'static str {
                match self { $(Repair::$kind => $why_zh,)* }
            }
        }
    };
}

repairs! {
    MboxLineDropped "mbox-line-dropped" "The mail began with an mbox separator line." "邮件以 mbox 分隔行开头。"
    BlankLinesDropped "blank-lines-dropped" "Blank lines stood before or inside the header." "信头之前或之中有空行。"
    NameBlanksDropped "name-blanks-dropped" "A field had blanks between its name and the colon." "字段名与冒号之间有空格。"
    HeaderCreated "header-created" "The mail had no header." "邮件没有信头。"
    SeparatorAdded "separator-added" "The blank line between header and body was missing." "信头与正文之间缺少空行。"
    NulRemoved "nul-removed" "The mail had NUL characters where none are allowed." "邮件含有不允许的 NUL 字符。"
    BareLineEnds "bare-line-ends" "Lines ended in LF or CR alone; mail needs CRLF." "行尾不是 CRLF。"
    DateAdded "date-added" "There was no Date." "缺少日期。"
    DateReplaced "date-replaced" "The Date could not be read; the old one is in X-Original-Date." "日期无法识别，原值保存在 X-Original-Date。"
    MessageIdAdded "message-id-added" "There was no Message-ID." "缺少 Message-ID。"
    MessageIdReplaced "message-id-replaced" "The Message-ID was not of the form <x@y>." "Message-ID 格式不正确。"
    FromAdded "from-added" "There was no From." "缺少发件人。"
    FromReplaced "from-replaced" "The From was no usable mailbox." "发件人不是可用的邮箱地址。"
    FromMerged "from-merged" "There was more than one From; the first usable one stays." "有多个发件人字段，保留第一个可用的。"
    ToAdded "to-added" "There was no To." "缺少收件人字段。"
    ToReplaced "to-replaced" "The To had no usable address." "收件人字段没有可用的地址。"
    BccDropped "bcc-dropped" "Bcc must not be seen by the recipients." "密送字段不应让收件人看到。"
    ReturnPathDropped "return-path-dropped" "Return-Path is for the last server to add." "Return-Path 只能由最终服务器添加。"
    DeliveredToDropped "delivered-to-dropped" "Delivered-To is for the last server to add." "Delivered-To 只能由最终服务器添加。"
    ContentLengthDropped "content-length-dropped" "Content-Length has no meaning in mail and was about to be wrong." "Content-Length 在邮件中没有意义。"
    DuplicatesDropped "duplicates-dropped" "A field that may occur once occurred again; the first stays." "字段重复，保留第一个。"
    RecipientsJoined "recipients-joined" "To or Cc occurred more than once; they were joined." "收件人或抄送字段重复，已合并。"
    EmptyListDropped "empty-list-dropped" "A list of addresses had no address in it." "地址列表中没有地址。"
    FieldDropped "field-dropped" "A field had a name too long for any line." "字段名过长。"
    MimeVersionAdded "mime-version-added" "There was no MIME-Version." "缺少 MIME-Version。"
    CharsetDeclared "charset-declared" "The text has 8-bit characters and no charset was named." "正文含有 8 位字符但没有声明字符集。"
    TransferEncodingSet "transfer-encoding-set" "The Content-Transfer-Encoding did not say what the body is." "Content-Transfer-Encoding 与正文不符。"
    SubjectEncoded "subject-encoded" "The Subject had raw 8-bit or control characters." "主题含有未编码的字符。"
    HeaderEncoded "header-encoded" "A field had raw 8-bit or control characters." "信头含有未编码的字符。"
    LineFolded "line-folded" "A header line was over 998 characters." "信头某行超过 998 个字符。"
    BodyEncoded "body-encoded" "The body had lines over 998 characters, NUL, or 8-bit characters under a wrong label." "正文有超长行、NUL 或编码标注错误，已重新编码。"
    LineRewrapped "line-rewrapped" "The encoded body had lines that are too long." "已编码的正文行过长，已重新折行。"
    LineBroken "line-broken" "A line over 998 characters was broken in a mail that has parts." "多部分邮件中的超长行已被断开。"
}
