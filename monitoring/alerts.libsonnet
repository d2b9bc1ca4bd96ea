// The alert rules. `summary` is one line without values; `description` has the values.
function(config)
  local c = config { by: 'job, instance' };

  local alert(name, severity, expr, duration, en, zh) = {
    alert: name,
    expr: expr,
    [if duration != null then 'for']: duration,
    labels: { severity: severity },
    annotations: {
      summary: en[0],
      description: en[1],
      summary_zh: zh[0],
      description_zh: zh[1],
      runbook_url: c.runbookURL + std.asciiLower(name),
    },
  };

  // An account that is the only one of its pool: the name of the pool is the name of the account.
  local alone = |||
    label_replace(
      count by (%(by)s, pool) (yizhan_lane_waiting_messages{%(selector)s}),
      "account", "$1", "pool", "(.+)"
    )
  ||| % c;
  local paused = 'yizhan_account_state{%(selector)s, state="paused"} == 1' % c;
  local noneReady = 'sum by (%(by)s) (yizhan_account_state{%(selector)s, state="ready"}) == 0' % c;
  // Paused accounts without a stand-in.
  local stopped = |||
    (
      %(paused)s
    )
    and on (%(by)s, account)
    %(alone)sor
    (
      %(paused)s
    )
    and on (%(by)s)
    (
      %(noneReady)s
    )
  ||| % (c { paused: paused, alone: alone, noneReady: noneReady });

  local indent(text) = std.join('', ['  ' + line + '\n' for line in std.split(std.rstripChars(text, '\n'), '\n')]);

  {
    groups: [
      {
        name: 'yizhan',
        rules: [
          alert(
            'YizhanDown',
            'critical',
            'up{%(selector)s} == 0\n' % c,
            c.down,
            ['Prometheus cannot read the metrics of the relay.', 'The relay {{ $labels.instance }} has not answered Prometheus.'],
            ['Prometheus 读不到驿站的指标。', '驿站 {{ $labels.instance }} 没有回应 Prometheus。'],
          ),
          alert(
            'YizhanNotReady',
            'critical',
            'yizhan_ready{%(selector)s} == 0\n' % c,
            c.notReady,
            ['The relay runs, and takes no mail.', 'The relay {{ $labels.instance }} is not ready to take mail.'],
            ['驿站在运行，但不接收邮件。', '驿站 {{ $labels.instance }} 不能接收邮件。'],
          ),
          alert(
            'YizhanRefusing',
            'critical',
            |||
              sum by (%(by)s, reason) (
                rate(yizhan_refused_total{%(selector)s, reason=~"queue_size|disk_free|inodes_free|disk_full|queue_error"}[5m])
              ) > 0
            ||| % c,
            '5m',
            [
              'The relay refuses mail because of its queue or its disk.',
              'The relay {{ $labels.instance }} refuses {{ $value | humanize }} requests a second. Reason: {{ $labels.reason }}.',
            ],
            [
              '驿站因队列或磁盘的原因拒收邮件。',
              '驿站 {{ $labels.instance }} 每秒拒绝 {{ $value | humanize }} 个请求，原因：{{ $labels.reason }}。',
            ],
          ),
          alert(
            'YizhanDiskLow',
            'warning',
            'yizhan_disk_free_bytes{%(selector)s} < %(diskFree)d\n' % c,
            '10m',
            [
              'The disk of the queue is nearly full.',
              'The relay {{ $labels.instance }} has {{ $value | humanize1024 }}B of free space for its queue.',
            ],
            [
              '队列所在的磁盘快满了。',
              '驿站 {{ $labels.instance }} 的队列磁盘只剩 {{ $value | humanize1024 }}B。',
            ],
          ),
          alert(
            'YizhanAccountPaused',
            'critical',
            stopped,
            c.paused,
            [
              'An account is paused, and no other account can send its mail.',
              'Account {{ $labels.account }} of {{ $labels.instance }} is paused. Its mail waits until an operator acts.',
            ],
            [
              '账号已暂停，没有其他账号可以代发。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 已暂停，邮件将一直等待，直到有人处理。',
            ],
          ),
          alert(
            'YizhanAccountPaused',
            'warning',
            '(\n  ' + paused + '\n)\nunless on (' + c.by + ', account)\n(\n' + indent(stopped) + ')\n',
            c.paused,
            [
              'An account is paused; another account sends its mail.',
              'Account {{ $labels.account }} of {{ $labels.instance }} is paused until an operator acts.',
            ],
            [
              '账号已暂停，由其他账号代发。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 已暂停，需要有人处理。',
            ],
          ),
          alert(
            'YizhanAccountCooling',
            'warning',
            'yizhan_account_state{%(selector)s, state="cooling"} == 1\n' % c,
            c.cooling,
            [
              'An account is cooling after a refusal of its provider.',
              'Account {{ $labels.account }} of {{ $labels.instance }} is cooling. The relay tries it again by itself.',
            ],
            [
              '账号被服务商拒绝后正在冷却。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 正在冷却，驿站会自动重试。',
            ],
          ),
          alert(
            'YizhanAccountUnreachable',
            'warning',
            'yizhan_account_state{%(selector)s, state="unreachable"} == 1\n' % c,
            c.unreachable,
            [
              'The provider of an account cannot be reached.',
              'Account {{ $labels.account }} of {{ $labels.instance }} has no connection to its provider.',
            ],
            [
              '连不上账号的服务商。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 无法连接服务商。',
            ],
          ),
          alert(
            'YizhanOldestWaiting',
            'warning',
            'yizhan_queue_oldest_seconds{%(selector)s} > %(oldestWaiting)d\n' % c,
            '15m',
            [
              'A message has waited too long.',
              'The oldest message of {{ $labels.instance }} has waited for {{ $value | humanizeDuration }}.',
            ],
            [
              '有邮件等待过久。',
              '{{ $labels.instance }} 最早的一封邮件已等待 {{ $value | humanizeDuration }}。',
            ],
          ),
          alert(
            'YizhanMailFailed',
            'warning',
            |||
              sum by (%(by)s, account) (
                increase(yizhan_deliveries_total{%(selector)s, outcome="failed"}[1h])
              ) > 0
            ||| % c,
            null,
            [
              'Mail failed for good.',
              'Account {{ $labels.account }} of {{ $labels.instance }}: {{ $value | printf "%.0f" }} recipients failed within an hour.',
            ],
            [
              '有邮件最终投递失败。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 一小时内有 {{ $value | printf "%.0f" }} 个收件人投递失败。',
            ],
          ),
          alert(
            'YizhanMailBounced',
            'warning',
            |||
              sum by (%(by)s, account) (
                increase(yizhan_bounces_total{%(selector)s}[1h])
              ) > 0
            ||| % c,
            null,
            [
              'The provider took mail and returned it later.',
              'Account {{ $labels.account }} of {{ $labels.instance }}: mail for {{ $value | printf "%.0f" }} recipients came back within an hour.',
            ],
            [
              '服务商收下邮件后又退回。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 一小时内有 {{ $value | printf "%.0f" }} 个收件人的邮件被退回。',
            ],
          ),
          alert(
            'YizhanMailHeld',
            'warning',
            'yizhan_queue_messages{%(selector)s, state="held"} > 0\n' % c,
            '15m',
            [
              'Messages are held until an operator acts.',
              'The relay {{ $labels.instance }} holds {{ $value }} messages.',
            ],
            [
              '有邮件被扣留，需要有人处理。',
              '驿站 {{ $labels.instance }} 扣留了 {{ $value }} 封邮件。',
            ],
          ),
          alert(
            'YizhanUncertain',
            'warning',
            |||
              sum by (%(by)s, account) (
                increase(yizhan_deliveries_total{%(selector)s, outcome="uncertain"}[1d])
              ) > %(uncertain)d
            ||| % c,
            null,
            [
              'Connections break before the provider has confirmed the mail.',
              'Account {{ $labels.account }} of {{ $labels.instance }}: {{ $value | printf "%.0f" }} uncertain attempts within a day. Recipients may have two copies.',
            ],
            [
              '连接在服务商确认收信之前断开。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 一天内有 {{ $value | printf "%.0f" }} 次结果不明的投递，收件人可能收到两份。',
            ],
          ),
          alert(
            'YizhanBudgetNearlySpent',
            'info',
            |||
              yizhan_account_budget_left{%(selector)s, unit="recipients", window="day"}
                / yizhan_account_budget_limit{%(selector)s, unit="recipients", window="day"}
                < %(budgetLeft)g
            ||| % c,
            '30m',
            [
              'The recipients of a day are nearly spent.',
              'Account {{ $labels.account }} of {{ $labels.instance }} has {{ $value | humanizePercentage }} of its recipients of the day left.',
            ],
            [
              '当天的收件人额度快用完了。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 当天的收件人额度只剩 {{ $value | humanizePercentage }}。',
            ],
          ),
          alert(
            'YizhanUnknownReplies',
            'info',
            |||
              sum by (%(by)s, account) (
                increase(yizhan_unknown_replies_total{%(selector)s}[1h])
              ) > 0
            ||| % c,
            null,
            [
              'A provider answers with words that the relay does not know.',
              'Account {{ $labels.account }} of {{ $labels.instance }} got {{ $value | printf "%.0f" }} unknown replies within an hour.',
            ],
            [
              '服务商的答复无法识别。',
              '{{ $labels.instance }} 的账号 {{ $labels.account }} 一小时内收到 {{ $value | printf "%.0f" }} 个无法识别的答复。',
            ],
          ),
          alert(
            'YizhanAlertsNotSent',
            'warning',
            |||
              sum by (%(by)s, kind) (
                increase(yizhan_alerts_total{%(selector)s, result=~"failed|given_up"}[1h])
              ) > 0
            ||| % c,
            null,
            [
              'The relay cannot send its own alerts.',
              'Alerts of {{ $labels.instance }} about {{ $labels.kind }} could not be sent.',
            ],
            [
              '驿站自己的告警发不出去。',
              '{{ $labels.instance }} 关于 {{ $labels.kind }} 的告警发送失败。',
            ],
          ),
          alert(
            'YizhanReloadFailed',
            'warning',
            'yizhan_config_last_reload_successful{%(selector)s} == 0\n' % c,
            '5m',
            [
              'The settings file has mistakes; earlier settings stay in force.',
              'The relay {{ $labels.instance }} refused its settings file at the last reload.',
            ],
            [
              '设置文件有错误，仍在使用之前的设置。',
              '驿站 {{ $labels.instance }} 上次重新加载时拒绝了设置文件。',
            ],
          ),
          alert(
            'YizhanPanics',
            'warning',
            |||
              sum by (%(by)s, task) (
                increase(yizhan_panics_total{%(selector)s}[1h])
              ) > 0
            ||| % c,
            null,
            [
              'The relay met a mistake of its own.',
              'In {{ $labels.instance }} {{ $value | printf "%.0f" }} pieces of work of kind {{ $labels.task }} ended by a mistake in the relay.',
            ],
            [
              '驿站程序自身出错。',
              '{{ $labels.instance }} 有 {{ $value | printf "%.0f" }} 个 {{ $labels.task }} 任务因程序错误而中断。',
            ],
          ),
        ] + [
          alert(
            'YizhanClientSilent',
            'info',
            'time() - yizhan_client_last_accepted_timestamp_seconds{%s, client="%s"} > %d\n' % [c.selector, name, c.silentClients[name]],
            null,
            [
              'A client that must send regularly is silent.',
              'Client {{ $labels.client }} has sent nothing to {{ $labels.instance }} for {{ $value | humanizeDuration }}.',
            ],
            [
              '应定期发信的设备没有动静。',
              '设备 {{ $labels.client }} 已有 {{ $value | humanizeDuration }} 没有向 {{ $labels.instance }} 发信。',
            ],
          )
          for name in std.objectFields(c.silentClients)
        ],
      },
    ],
  }
