// Two templates for Zabbix 6.0 and later: one reads /metrics, one asks `yizhan` through an agent on the relay's machine.
local group = 'Templates/Applications';
local byHttp = 'Yizhan by HTTP';
local byAgent = 'Yizhan by Zabbix agent';
local raw = 'yizhan.metrics.get';

// Zabbix takes version 4 UUIDs only. The name decides the digits, so that an import updates what an earlier one made.
local uuid(name) =
  local h = std.md5('yizhan/' + name);
  std.substr(h, 0, 12) + '4' + std.substr(h, 13, 3) + 'a' + std.substr(h, 17, 15);

local tags(component) = { tags: [{ tag: 'component', value: component }] };
local trigger(name, expression, priority, en, zh, alert, extra={}) = {
  uuid: uuid('trigger/' + name),
  name: 'Yizhan: ' + name,
  expression: expression,
  priority: priority,
  description: '%s\n%s\n%s\n' % [en, zh, if alert == '' then 'docs/monitoring.md#zabbix' else 'docs/alerts.md#' + std.asciiLower(alert)],
} + extra;
local triggers(list) = if list == [] then {} else { triggers: list };
local prototypes(list) = if list == [] then {} else { trigger_prototypes: list };

local pattern(expression) = { type: 'PROMETHEUS_PATTERN', parameters: [expression, 'value', ''] };
local sum(expression) = { type: 'PROMETHEUS_PATTERN', parameters: [expression, 'function', 'sum'] };
local label(expression, name) = { type: 'PROMETHEUS_PATTERN', parameters: [expression, 'label', name] };
// The growth of a counter since the last reading. A restart of the relay makes it negative once: no value then.
local growth = [
  { type: 'SIMPLE_CHANGE', parameters: [''] },
  { type: 'IN_RANGE', parameters: ['0', ''], error_handler: 'DISCARD_VALUE' },
];

local item(key, name, steps, component, units='', description='', list=[], extra={}) = {
  uuid: uuid('item/' + key),
  name: name,
  type: 'DEPENDENT',
  key: key,
  delay: '0',
  history: '31d',
  value_type: 'FLOAT',
  [if units != '' then 'units']: units,
  description: description,
  preprocessing: steps,
  master_item: { key: raw },
} + tags(component) + triggers(list) + extra;

local of(key) = '/%s/%s' % [byHttp, key];
local last(key) = 'last(%s)' % of(key);
local min(key, time) = 'min(%s,%s)' % [of(key), time];
local total(key, time) = 'sum(%s,%s)' % [of(key), time];

local state(name) =
  local key = 'yizhan.account.%s[{#ACCOUNT}]' % name;
  {
    cooling: [trigger('account {#ACCOUNT} is cooling', min(key, '{$YIZHAN.COOLING.TIME}') + '=1', 'WARNING',
                      'An account is cooling after a refusal of its provider.', '账号被服务商拒绝后正在冷却。', 'YizhanAccountCooling')],
    paused: [trigger('account {#ACCOUNT} is paused', min(key, '5m') + '=1', 'HIGH',
                     'An account is paused until an operator acts.', '账号已暂停，需要有人处理。', 'YizhanAccountPaused')],
    unreachable: [trigger('account {#ACCOUNT} is unreachable', min(key, '30m') + '=1', 'WARNING',
                          'The provider of an account cannot be reached.', '连不上账号的服务商。', 'YizhanAccountUnreachable')],
  }[name];

local prototype(key, name, steps, component, units='', list=[]) =
  item(key, name, steps, component, units) + prototypes(list);

local discovery(key, name, series, macro, label, items) = {
  uuid: uuid('discovery/' + key),
  name: name,
  type: 'DEPENDENT',
  key: key,
  delay: '0',
  master_item: { key: raw },
  preprocessing: [{ type: 'PROMETHEUS_TO_JSON', parameters: [series] }],
  lld_macro_paths: [{ lld_macro: macro, path: "$.labels['%s']" % label }],
  item_prototypes: items,
};

local http = {
  uuid: uuid('template/http'),
  template: byHttp,
  name: byHttp,
  description: 'Reads /metrics of the Yizhan SMTP relay. docs/monitoring.md describes the import.\n',
  groups: [{ name: group }],
  items: [
    {
      uuid: uuid('item/' + raw),
      name: 'Metrics',
      type: 'HTTP_AGENT',
      key: raw,
      delay: '1m',
      history: '0',
      trends: '0',
      value_type: 'TEXT',
      description: 'The answer of /metrics. The other items read it.',
      url: '{$YIZHAN.SCHEME}://{HOST.CONN}:{$YIZHAN.PORT}/metrics',
      headers: [{ name: 'Authorization', value: 'Bearer {$YIZHAN.TOKEN}' }],
      timeout: '10s',
      verify_peer: 'YES',
      verify_host: 'YES',
    } + tags('raw'),
    item('yizhan.ready', 'Ready', [pattern('yizhan_ready')], 'relay', '', '1: the relay takes mail.', [
      trigger('no metrics', 'nodata(%s,5m)=1' % of('yizhan.ready'), 'HIGH', 'Zabbix cannot read the metrics of the relay.', 'Zabbix 读不到驿站的指标。', 'YizhanDown'),
      trigger('not ready', 'max(%s,10m)=0' % of('yizhan.ready'), 'HIGH', 'The relay runs, and takes no mail.', '驿站在运行，但不接收邮件。', 'YizhanNotReady'),
    ]),
    item('yizhan.refused.storage', 'Refused because of the queue or the disk',
         [sum('yizhan_refused_total{reason=~"^(queue_size|disk_free|inodes_free|disk_full|queue_error)$"}')] + growth, 'relay', '', 'Since the last reading.', [
           trigger('refuses mail because of its queue or disk', total('yizhan.refused.storage', '5m') + '>0', 'HIGH', 'The relay refuses mail because of its queue or its disk.', '驿站因队列或磁盘的原因拒收邮件。', 'YizhanRefusing'),
         ]),
    item('yizhan.disk.free', 'Free disk space', [pattern('yizhan_disk_free_bytes')], 'relay', 'B', 'Of the file system that holds the queue.', [
      trigger('the disk is nearly full', 'max(%s,10m)<{$YIZHAN.DISK.FREE.MIN}' % of('yizhan.disk.free'), 'WARNING', 'The disk of the queue is nearly full.', '队列所在的磁盘快满了。', 'YizhanDiskLow'),
    ]),
    item('yizhan.queue.open', 'Messages to send', [sum('yizhan_queue_messages{state=~"^(queued|sending|waiting|deferred)$"}')], 'queue', '', 'Messages that are not finished. Held messages do not count.'),
    item('yizhan.queue.oldest', 'Oldest message', [pattern('yizhan_queue_oldest_seconds')], 'queue', 's', 'Age of the oldest message that still has to be sent.', [
      trigger('a message has waited too long', min('yizhan.queue.oldest', '15m') + '>{$YIZHAN.OLDEST.MAX}', 'WARNING', 'A message has waited too long.', '有邮件等待过久。', 'YizhanOldestWaiting'),
    ]),
    item('yizhan.queue.held', 'Held messages', [pattern('yizhan_queue_messages{state="held"}')], 'queue', '', 'Messages that wait for an operator.', [
      trigger('messages are held', min('yizhan.queue.held', '15m') + '>0', 'WARNING', 'Messages are held until an operator acts.', '有邮件被扣留，需要有人处理。', 'YizhanMailHeld'),
    ]),
    item('yizhan.queue.bytes', 'Size of the queue', [pattern('yizhan_queue_bytes')], 'queue', 'B'),
    item('yizhan.accepted', 'Accepted messages', [sum('yizhan_accepted_total')] + growth, 'mail', '', 'Since the last reading.'),
    item('yizhan.delivered', 'Delivered recipients', [sum('yizhan_deliveries_total{outcome="delivered"}')] + growth, 'mail', '', 'Since the last reading.'),
    item('yizhan.failed', 'Failed recipients', [sum('yizhan_deliveries_total{outcome="failed"}')] + growth, 'mail', '', 'Since the last reading.', [
      trigger('mail failed', total('yizhan.failed', '1h') + '>0', 'WARNING', 'Mail failed for good.', '有邮件最终投递失败。', 'YizhanMailFailed'),
    ]),
    item('yizhan.uncertain', 'Uncertain attempts', [sum('yizhan_deliveries_total{outcome="uncertain"}')] + growth, 'mail', '', 'Since the last reading.', [
      trigger('uncertain attempts', total('yizhan.uncertain', '1d') + '>{$YIZHAN.UNCERTAIN.MAX}', 'WARNING', 'Connections break before the provider has confirmed the mail.', '连接在服务商确认收信之前断开。', 'YizhanUncertain'),
    ]),
    item('yizhan.bounced', 'Bounced recipients', [sum('yizhan_bounces_total')] + growth, 'mail', '', 'Since the last reading.', [
      trigger('mail bounced', total('yizhan.bounced', '1h') + '>0', 'WARNING', 'The provider took mail and returned it later.', '服务商收下邮件后又退回。', 'YizhanMailBounced'),
    ]),
    item('yizhan.replies.unknown', 'Unknown replies', [sum('yizhan_unknown_replies_total')] + growth, 'mail', '', 'Since the last reading.', [
      trigger('unknown replies', total('yizhan.replies.unknown', '1h') + '>0', 'INFO', 'A provider answers with words that the relay does not know.', '服务商的答复无法识别。', 'YizhanUnknownReplies'),
    ]),
    item('yizhan.alerts.unsent', 'Alerts that were not sent', [sum('yizhan_alerts_total{result=~"^(failed|given_up)$"}')] + growth, 'relay', '', 'Since the last reading.', [
      trigger('its alerts are not sent', total('yizhan.alerts.unsent', '1h') + '>0', 'WARNING', 'The relay cannot send its own alerts.', '驿站自己的告警发不出去。', 'YizhanAlertsNotSent'),
    ]),
    item('yizhan.reload.ok', 'Settings read', [pattern('yizhan_config_last_reload_successful')], 'relay', '', '0: the settings file has mistakes.', [
      trigger('the settings file has mistakes', 'max(%s,5m)=0' % of('yizhan.reload.ok'), 'WARNING', 'The settings file has mistakes; earlier settings stay in force.', '设置文件有错误，仍在使用之前的设置。', 'YizhanReloadFailed'),
    ]),
    item('yizhan.panics', 'Mistakes of the relay', [sum('yizhan_panics_total')] + growth, 'relay', '', 'Since the last reading.', [
      trigger('mistakes of the relay', total('yizhan.panics', '1h') + '>0', 'WARNING', 'The relay met a mistake of its own.', '驿站程序自身出错。', 'YizhanPanics'),
    ]),
    item('yizhan.memory', 'Memory', [pattern('process_resident_memory_bytes')], 'process', 'B'),
    item('yizhan.started', 'Start', [pattern('process_start_time_seconds')], 'process', 'unixtime'),
    item('yizhan.version', 'Version', [label('yizhan_build_info', 'version'), { type: 'DISCARD_UNCHANGED_HEARTBEAT', parameters: ['1d'] }], 'relay',
         extra={ value_type: 'CHAR', trends: '0' }),
  ],
  discovery_rules: [
    discovery('yizhan.accounts', 'Accounts', 'yizhan_account_state{state="ready"}', '{#ACCOUNT}', 'account', [
      prototype('yizhan.account.%s[{#ACCOUNT}]' % name, 'Account {#ACCOUNT}: ' + name,
                [pattern('yizhan_account_state{account="{#ACCOUNT}",state="%s"}' % name)], 'account', '', state(name))
      for name in ['paused', 'cooling', 'unreachable']
    ]),
    discovery('yizhan.budgets', 'Budgets of a day', 'yizhan_account_budget_limit{unit="recipients",window="day"}', '{#ACCOUNT}', 'account', [
      prototype('yizhan.budget.limit[{#ACCOUNT}]', 'Account {#ACCOUNT}: recipients a day',
                [pattern('yizhan_account_budget_limit{account="{#ACCOUNT}",unit="recipients",window="day"}')], 'account'),
      prototype('yizhan.budget.left[{#ACCOUNT}]', 'Account {#ACCOUNT}: recipients left today',
                [pattern('yizhan_account_budget_left{account="{#ACCOUNT}",unit="recipients",window="day"}')], 'account'),
    ]) + {
      trigger_prototypes: [
        trigger('account {#ACCOUNT} has few recipients left today',
                'max(%s,30m)<{$YIZHAN.BUDGET.LEFT.MIN}*%s' % [of('yizhan.budget.left[{#ACCOUNT}]'), last('yizhan.budget.limit[{#ACCOUNT}]')], 'INFO',
                'The recipients of a day are nearly spent.', '当天的收件人额度快用完了。', 'YizhanBudgetNearlySpent'),
      ],
    },
    discovery('yizhan.clients', 'Clients', 'yizhan_client_last_accepted_timestamp_seconds', '{#CLIENT}', 'client', [
      prototype('yizhan.client.last[{#CLIENT}]', 'Client {#CLIENT}: last mail',
                [pattern('yizhan_client_last_accepted_timestamp_seconds{client="{#CLIENT}"}')], 'client', 'unixtime', [
                  trigger('client {#CLIENT} is silent',
                          '{$YIZHAN.CLIENT.SILENT:"{#CLIENT}"}>0 and now()-%s>{$YIZHAN.CLIENT.SILENT:"{#CLIENT}"}' % last('yizhan.client.last[{#CLIENT}]'), 'INFO',
                          'A client that must send regularly is silent.', '应定期发信的设备没有动静。', 'YizhanClientSilent'),
                ]),
    ]),
  ],
  macros: [
    { macro: '{$YIZHAN.BUDGET.LEFT.MIN}', value: '0.1', description: 'Share of the recipients of a day.' },
    { macro: '{$YIZHAN.CLIENT.SILENT}', value: '0', description: 'Longest silence of a client, with the client as context: {$YIZHAN.CLIENT.SILENT:"ups"} = 26h. 0: not watched.' },
    { macro: '{$YIZHAN.COOLING.TIME}', value: '1h', description: 'Longest rest of an account without an alert.' },
    { macro: '{$YIZHAN.DISK.FREE.MIN}', value: '1G', description: 'Keep equal to notice.disk_free.' },
    { macro: '{$YIZHAN.OLDEST.MAX}', value: '4h', description: 'Keep equal to notice.oldest.' },
    { macro: '{$YIZHAN.PORT}', value: '8025', description: 'Port of admin.bind.' },
    { macro: '{$YIZHAN.SCHEME}', value: 'https', description: 'http where admin.tls is off.' },
    { macro: '{$YIZHAN.TOKEN}', type: 'SECRET_TEXT', description: 'The text of admin.view_token.' },
    { macro: '{$YIZHAN.UNCERTAIN.MAX}', value: '2', description: 'Uncertain attempts within a day.' },
  ],
};

local agentItem(key, name, valueType, delay, description, list=[]) = {
  uuid: uuid('item/' + key),
  name: name,
  key: key,
  delay: delay,
  history: '31d',
  value_type: valueType,
  [if valueType == 'TEXT' then 'trends']: '0',
  description: description,
} + tags('relay') + triggers(list);

local agent = {
  uuid: uuid('template/agent'),
  template: byAgent,
  name: byAgent,
  description: 'Asks the Yizhan SMTP relay through UserParameters of the Zabbix agent on its machine. docs/monitoring.md has the lines.\n',
  groups: [{ name: group }],
  items: [
    agentItem('yizhan.health', 'Ready', 'UNSIGNED', '1m', 'Exit code of `yizhan health --ready`. 0: the relay takes mail.', [
      trigger('not ready (agent)', 'min(/%s/yizhan.health,10m)>0' % byAgent, 'HIGH', 'The relay takes no mail, or does not run.', '驿站不接收邮件，或没有运行。', 'YizhanNotReady'),
      trigger('no answer of the agent', 'nodata(/%s/yizhan.health,10m)=1' % byAgent, 'HIGH', 'The agent does not answer for the relay.', '代理没有返回驿站的状态。', 'YizhanDown'),
    ]),
    agentItem('yizhan.attention', 'Attention needed', 'UNSIGNED', '5m', 'Exit code of `yizhan status`. 0: all well. 1: attention needed. 2: not running.', [
      trigger('attention needed', 'min(/%s/yizhan.attention,15m)=1' % byAgent, 'WARNING', 'The item `Status` says what to do.', '“Status” 监控项说明需要做什么。', ''),
      trigger('not running', 'min(/%s/yizhan.attention,15m)=2' % byAgent, 'HIGH', 'The relay does not run.', '驿站没有运行。', 'YizhanDown'),
    ]),
    agentItem('yizhan.status', 'Status', 'TEXT', '5m', 'What `yizhan status --json` prints.'),
  ],
};

{
  zabbix_export: {
    version: '6.0',
    date: '2026-12-01T00:00:00Z',
    groups: [{ uuid: 'a571c0d144b14fd4a87a9d9b2aa9fcd6', name: group }],
    templates: [http, agent],
  },
}
