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
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "doctor" -d 'Try everything that sending needs, one line a check, with cause and remedy; sends nothing 体检'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "queue" -d 'List, show, retry or drop queued messages; works while the relay runs and while it is stopped 查看队列'
complete -c yizhan -n "__fish_yizhan_needs_command" -f -a "account" -d 'List accounts, stop and resume sending through one; works while the relay runs and while it is stopped 账号状态'
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
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -f -a "list" -d 'The messages that are not finished, oldest first 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and not __fish_seen_subcommand_from list show retry drop help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l state -d 'Only those in this state: queued, sending, waiting, deferred, held, delivered, failed (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l limit -d 'At most so many' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from list" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
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
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l config -d 'The settings file' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l provider -d 'Preset of the account `main`, e.g. qq, exmail, 163, gmail' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l user -d 'Log-in name of the account `main`, e.g. 10000@qq.com' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l listen -d 'Address to listen on, e.g. 127.0.0.1:2525 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l allow -d 'Client network that may send, e.g. 192.168.1.0/24 (may be repeated)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l data-dir -d 'Where the queue is kept' -r -F
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l lang -d 'Language of what people read: en or zh (default: from $LANG)' -r
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -l json -d 'Print JSON'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "list" -d 'The messages that are not finished, oldest first 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand queue; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "run" -d 'Run the relay 运行中继'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "demo" -d 'Show the main job in half a minute: broken mails in, clean mails out 演示'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "check" -d 'Print the effective settings, or every mistake in them 检查配置'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "doctor" -d 'Try everything that sending needs, one line a check, with cause and remedy; sends nothing 体检'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "queue" -d 'List, show, retry or drop queued messages; works while the relay runs and while it is stopped 查看队列'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "account" -d 'List accounts, stop and resume sending through one; works while the relay runs and while it is stopped 账号状态'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "repair" -d 'Show what the relay would make of a message: before, after, and each repair with its reason 试修一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "hash-password" -d 'Turn a password into the hash for [user.NAME] in the settings 生成密码散列'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "explain" -d 'Say what a provider\'s reply means, what the relay does about it, and what you should do 解释服务商的回复'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "completions" -d 'Print the completion file of a shell 命令补全'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "man" -d 'Print a manual page 手册'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and not __fish_seen_subcommand_from run demo check doctor queue account repair hash-password explain completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "list" -d 'The messages that are not finished, oldest first 列出未完成的邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "show" -d 'One message: its recipients, what the provider said, what was repaired, its header 查看一封邮件'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "retry" -d 'Send messages now, failed ones too 立即重试'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "drop" -d 'Delete messages for good 删除'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "list" -d 'State, budget left, what waits, and when the next mail may go 列出账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "pause" -d 'Stop sending through an account; its mail waits, and spends no try 暂停账号'
complete -c yizhan -n "__fish_yizhan_using_subcommand help; and __fish_seen_subcommand_from account" -f -a "resume" -d 'Send through an account again 恢复账号'
