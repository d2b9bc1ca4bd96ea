# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_yizhan_global_optspecs
    string join \n lang= h/help V/version
end

function __fish_yizhan_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_yizhan_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_yizhan_using_subcommand
    set -l cmd (__fish_yizhan_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c yizhan -n "__fish_yizhan_needs_command" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c yizhan -n "__fish_yizhan_needs_command" -s V -l version -d 'Print version'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "run" -d 'Run the relay 运行中继'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "demo" -d 'Show the main job in half a minute: broken mails in, clean mails out 演示'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "check" -d 'Print the effective settings, or every mistake in them 检查配置'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "status" -d 'Is all well? One screen: accounts, what waits, what failed, what you must do now 总览'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "health" -d 'Is the relay alive? Is it ready for mail? For HEALTHCHECK, probes and cron 健康检查'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "doctor" -d 'Try everything that sending needs, one line a check, with cause and remedy; sends nothing 体检'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "queue" -d 'List, show, hold, release, retry, drop or export queued messages, also while the relay is stopped 查看队列'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "history" -d 'What came, when, and what became of it; who ordered what 收发记录'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "backup" -d 'Write a consistent copy of the queue to a new file, also while the relay runs 备份队列'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "account" -d 'List accounts, stop and resume sending through one; works while the relay runs and while it is stopped 账号状态'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "notice" -d 'Send a test alert over every channel that alerts use 测试告警通道'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "login" -d 'Sign in for an account with access tokens, store it, and try it at once (OAuth2) 登录授权'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "logout" -d 'Delete the sign-in of an account 删除登录授权'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "token" -d 'Print the token for the page and the API of the relay 显示令牌'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "open" -d 'Print an address that opens the page of the running relay, once and within two minutes 打开页面'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "repair" -d 'Show what the relay would make of a message: before, after, and each repair with its reason 试修一封邮件'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "hash-password" -d 'Turn a password into the hash for [user.NAME] in the settings 生成密码散列'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "explain" -d 'Say what a provider\'s reply means, what the relay does about it, and what you should do 解释服务商的回复'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "completions" -d 'Print the completion file of a shell 命令补全'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "man" -d 'Print a manual page 手册'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -l sandbox -d 'Add a pretended QQ Mail in this process, over real TLS; needs no account, and keeps its queue apart'
complete -c yizhan -n "__fish_yizhan_using_subcommand run" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand demo" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand demo" -l keep -d 'Leave the relay and the pretended provider running, to send mails of your own (stop with Ctrl-C)'
complete -c yizhan -n "__fish_yizhan_using_subcommand demo" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand check" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand status" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l ready -d 'Ask whether new mail is accepted, too: not stopping, room for mail, the queue can be written 是否可收信'
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand health" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l resolver -d 'The name server to ask for TXT records, instead of those of the machine' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l json -d 'Print JSON, at the end'
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l no-login -d 'Try no log-in'
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -l login -d 'Log in to accounts that are cooling or paused too, without asking'
complete -c yizhan -n "__fish_yizhan_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "list" -d 'The messages that are not finished, oldest first: why each waits, and until when 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "hold" -d 'Keep unfinished messages back until they are released; they do not expire 扣留'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "release" -d 'Let held messages go 放行'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "export" -d 'Write a message as it would leave to standard output 导出为 .eml'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show hold release retry drop export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l limit -d 'At most so many' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l cursor -d 'Begin where the page before ended (its `next`)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l newest -d 'The message that arrived last first 最新的在前'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l expect -d 'Change nothing unless the conditions match so many messages 预期数量' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l reason -d 'Why, for those who look at it later 原因' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l expect -d 'Change nothing unless the conditions match so many messages 预期数量' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l reason -d 'Why, for those who look at it later 原因' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l expect -d 'Change nothing unless the conditions match so many messages 预期数量' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l reason -d 'Why, for those who look at it later 原因' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l expect -d 'Change nothing unless the conditions match so many messages 预期数量' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l reason -d 'Why, for those who look at it later 原因' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "list" -d 'The messages that are not finished, oldest first: why each waits, and until when 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "hold" -d 'Keep unfinished messages back until they are released; they do not expire 扣留'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "release" -d 'Let held messages go 放行'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a message as it would leave to standard output 导出为 .eml'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l state -d 'In this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated) 状态' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l client -d 'From this client: its name in the settings, or its address 来源设备' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l from -d 'With this sender: an address, a domain, or the part before the @ 发件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l to -d 'With this recipient: an address, a domain, or the part before the @ 收件人' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l subject -d 'With these words in the subject; beginnings of words and parts of Chinese text are found 主题' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l account -d 'That this account has tried, or may take 账号' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l since -d 'Received at this time or later: 30m, 1h, 2d, 2026-11-30, "2026-11-30 14:00" 起始时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l until -d 'Received before this time, written as --since 截止时间' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l limit -d 'At most so many' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l cursor -d 'Begin where the page before ended (its `next`)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l commands -d 'Show the commands of operators instead of messages; with --since, --until 操作记录'
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand history" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand backup" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -f -a "list" -d 'State, budget left, what waits, and when the next mail may go 列出账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -f -a "pause" -d 'Stop sending through an account; its mail waits, and spends no try 暂停账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -f -a "resume" -d 'Send through an account again 恢复账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and not __fish_seen_subcommand_from list pause resume help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l reason -d 'Why, for those who look at it later' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "list" -d 'State, budget left, what waits, and when the next mail may go 列出账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "pause" -d 'Stop sending through an account; its mail waits, and spends no try 暂停账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Send through an account again 恢复账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand account; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -f -a "test" -d 'Send one test alert over every channel: the webhook, or a mail to where alerts go 发送测试告警'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and not __fish_seen_subcommand_from test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from help" -f -a "test" -d 'Send one test alert over every channel: the webhook, or a mail to where alerts go 发送测试告警'
complete -c yizhan -n "__fish_yizhan_using_subcommand notice; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -l json -d 'Print JSON, at the end'
complete -c yizhan -n "__fish_yizhan_using_subcommand login" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -l json -d 'Print JSON, at the end'
complete -c yizhan -n "__fish_yizhan_using_subcommand logout" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand token" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand open" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l client -d 'Treat it as mail of [client.NAME]' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l account -d 'Rewrite the sender as [account.NAME] does (default: the first)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l from -d 'The envelope sender (MAIL FROM); default: none' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l to -d 'An envelope recipient (RCPT TO; may be repeated); default: the account\'s own mailbox' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l out -d 'Write the message there as it would be sent' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand repair" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand hash-password" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand hash-password" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -l provider -d 'Whose reply it is: a preset, such as qq (default: any)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -l phase -d 'Where it came: connect, ehlo, starttls, auth, mail, rcpt, data, rset or quit (default: anywhere)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -l config -d 'The settings file with your own [[reply]] rows; without it, the one that `yizhan run` would find, if any' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand explain" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand completions" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand completions" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand man" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand man" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "run" -d 'Run the relay 运行中继'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "demo" -d 'Show the main job in half a minute: broken mails in, clean mails out 演示'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "check" -d 'Print the effective settings, or every mistake in them 检查配置'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "status" -d 'Is all well? One screen: accounts, what waits, what failed, what you must do now 总览'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "health" -d 'Is the relay alive? Is it ready for mail? For HEALTHCHECK, probes and cron 健康检查'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "doctor" -d 'Try everything that sending needs, one line a check, with cause and remedy; sends nothing 体检'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "queue" -d 'List, show, hold, release, retry, drop or export queued messages, also while the relay is stopped 查看队列'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "history" -d 'What came, when, and what became of it; who ordered what 收发记录'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "backup" -d 'Write a consistent copy of the queue to a new file, also while the relay runs 备份队列'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "account" -d 'List accounts, stop and resume sending through one; works while the relay runs and while it is stopped 账号状态'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "notice" -d 'Send a test alert over every channel that alerts use 测试告警通道'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "login" -d 'Sign in for an account with access tokens, store it, and try it at once (OAuth2) 登录授权'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "logout" -d 'Delete the sign-in of an account 删除登录授权'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "token" -d 'Print the token for the page and the API of the relay 显示令牌'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "open" -d 'Print an address that opens the page of the running relay, once and within two minutes 打开页面'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "repair" -d 'Show what the relay would make of a message: before, after, and each repair with its reason 试修一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "hash-password" -d 'Turn a password into the hash for [user.NAME] in the settings 生成密码散列'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "explain" -d 'Say what a provider\'s reply means, what the relay does about it, and what you should do 解释服务商的回复'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "completions" -d 'Print the completion file of a shell 命令补全'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "man" -d 'Print a manual page 手册'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check status health doctor queue history backup account notice login logout token open repair hash-password explain completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "list" -d 'The messages that are not finished, oldest first: why each waits, and until when 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "hold" -d 'Keep unfinished messages back until they are released; they do not expire 扣留'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "release" -d 'Let held messages go 放行'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "export" -d 'Write a message as it would leave to standard output 导出为 .eml'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "list" -d 'State, budget left, what waits, and when the next mail may go 列出账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "pause" -d 'Stop sending through an account; its mail waits, and spends no try 暂停账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "resume" -d 'Send through an account again 恢复账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from notice" -f -a "test" -d 'Send one test alert over every channel: the webhook, or a mail to where alerts go 发送测试告警'
