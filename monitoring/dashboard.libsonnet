// The Grafana dashboard (Grafana 9 or later), in the language `en` or `zh`.
function(config, language)
  local t(en, zh) = if language == 'zh' then zh else en;
  local source = { type: 'prometheus', uid: '${datasource}' };
  // The variables of the page as matchers.
  local own = 'job=~"$job", instance=~"$instance"';
  local ofAccount = own + ', account=~"$account"';

  local query(expr, legend='', instant=false, format='time_series') = {
    datasource: source,
    expr: expr % { own: own, account: ofAccount },
    legendFormat: legend,
    instant: instant,
    range: !instant,
    format: format,
  };
  local panel(type, title, queries, width, height, unit, description, fields={}, options={}) = {
    type: type,
    title: title,
    description: description,
    datasource: source,
    targets: [queries[i] { refId: std.char(65 + i) } for i in std.range(0, std.length(queries) - 1)],
    fieldConfig: { defaults: { unit: unit, min: 0 } + fields, overrides: [] },
    options: options,
    gridPos: { w: width, h: height },
  };
  local steps(pairs) = { thresholds: { mode: 'absolute', steps: [{ value: pair[0], color: pair[1] } for pair in pairs] } };
  local stat(title, expr, unit, thresholds, description, fields={}) =
    panel('stat', title, [query(expr, instant=true)], 4, 4, unit, description, steps(thresholds) + fields, {
      reduceOptions: { calcs: ['lastNotNull'] },
      colorMode: 'background',
      graphMode: 'none',
    });
  local series(title, queries, unit, description, width=12, stack=false) =
    panel('timeseries', title, queries, width, 8, unit, description, {
      custom: {
        drawStyle: 'line',
        fillOpacity: if stack then 40 else 10,
        stacking: { mode: if stack then 'normal' else 'none' },
        showPoints: 'never',
      },
    }, { legend: { displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'] }, tooltip: { mode: 'multi', sort: 'desc' } });
  local heatmap(title, name, labels, description) =
    panel(
      'heatmap',
      title,
      [query('sum by (le) (increase(' + name + '_bucket{%(' + labels + ')s}[$__rate_interval]))', '{{le}}', format='heatmap')],
      12,
      8,
      's',
      description,
      {},
      { calculate: false, yAxis: { unit: 's' }, cellGap: 1, color: { mode: 'scheme', scheme: 'Oranges', steps: 64 } },
    );
  local good = [[null, 'green'], [1, 'orange']];

  local rows = [
    [t('Now', '当前状态'), [
      stat(t('Ready', '可接收邮件'), 'min(yizhan_ready{%(own)s})', 'none', [[null, 'red'], [1, 'green']],
           t('1: every relay takes mail.', '1：所有驿站都能接收邮件。'),
           { mappings: [{ type: 'value', options: { '0': { text: t('no', '否') }, '1': { text: t('yes', '是') } } }] }),
      stat(t('Messages to send', '待发邮件'), 'sum(yizhan_queue_messages{%(own)s, state=~"queued|sending|waiting|deferred"})', 'short',
           [[null, 'green'], [1000, 'orange']], t('Messages that are not finished. Held messages do not count.', '尚未完成的邮件，不含被扣留的。')),
      stat(t('Oldest message', '最早的邮件'), 'max(yizhan_queue_oldest_seconds{%(own)s})', 's',
           [[null, 'green'], [config.oldestWaiting, 'orange']], t('Age of the oldest message that still has to be sent.', '最早一封待发邮件已等待的时间。')),
      stat(t('Recipients failed, 24 h', '24 小时失败收件人'), 'sum(increase(yizhan_deliveries_total{%(account)s, outcome="failed"}[24h]))', 'short',
           good, t('Recipients that will not get their mail.', '收不到邮件的收件人数。'), { decimals: 0 }),
      stat(t('Accounts not ready', '未就绪账号'), 'count(yizhan_account_state{%(account)s, state="ready"} == 0) or vector(0)', 'short',
           good, t('Accounts that are unreachable, cooling or paused.', '连不上、冷却中或已暂停的账号数。')),
      stat(t('Held messages', '被扣留邮件'), 'sum(yizhan_queue_messages{%(own)s, state="held"})', 'short',
           good, t('Messages that wait for an operator.', '等待人工处理的邮件。')),
    ]],
    [t('Mail', '邮件'), [
      series(t('Accepted per minute, by client', '每分钟收到（按设备）'),
             [query('sum by (client) (rate(yizhan_accepted_total{%(own)s}[$__rate_interval])) * 60', '{{client}}')], 'short',
             t('Messages answered 250. Clients without an entry in the settings are `other`.', '已答复 250 的邮件。设置中没有条目的设备记为 other。'), stack=true),
      series(t('Recipients per minute, by outcome', '每分钟投递收件人（按结果）'),
             [query('sum by (outcome) (rate(yizhan_deliveries_total{%(account)s}[$__rate_interval])) * 60', '{{outcome}}')], 'short',
             t('The outcome of each attempt, by recipient.', '每次投递按收件人计的结果。'), stack=true),
      series(t('Queue, by state', '队列（按状态）'),
             [query('sum by (state) (yizhan_queue_messages{%(own)s, state!~"delivered|failed"})', '{{state}}')], 'short',
             t('Unfinished messages.', '未完成的邮件。'), stack=true),
      series(t('Waiting, by pool and lane', '等待中（按账号组和通道）'),
             [query('sum by (pool, lane) (yizhan_lane_waiting_messages{%(own)s})', '{{pool}} {{lane}}')], 'short',
             t('Messages that wait for a budget, an account or their turn.', '等待额度、账号或轮次的邮件。')),
      series(t('Refused per minute, by reason', '每分钟拒绝（按原因）'),
             [query('sum by (reason) (rate(yizhan_refused_total{%(own)s}[$__rate_interval])) * 60 > 0', '{{reason}}')], 'short',
             t('Connections, commands and messages. docs/operations.md describes each reason.', '连接、命令和邮件。原因的含义见 docs/operations.md。')),
      panel('bargauge', t('Time since the last mail of each client', '各设备距上次发信的时间'),
            [query('time() - max by (client) (yizhan_client_last_accepted_timestamp_seconds{%(own)s} > 0)', '{{client}}', instant=true)], 12, 8, 's',
            t('Clients with an entry in the settings that have sent mail.', '设置中有条目且发过信的设备。'), steps([[null, 'blue']]),
            { orientation: 'horizontal', displayMode: 'basic', reduceOptions: { calcs: ['lastNotNull'] } }),
      series(t('Repairs per hour', '每小时修复'),
             [query('sum by (repair) (rate(yizhan_repairs_total{%(own)s}[$__rate_interval])) * 3600 > 0', '{{repair}}')], 'short',
             t('What the relay put right in messages.', '驿站在邮件中修正的内容。')),
      series(t('Size of the queue and free disk space', '队列大小与磁盘剩余空间'),
             [query('sum(yizhan_queue_bytes{%(own)s})', t('queue', '队列')), query('min(yizhan_disk_free_bytes{%(own)s})', t('free', '剩余'))], 'bytes',
             t('New mail is refused below `limits.disk_free`.', '剩余空间低于 limits.disk_free 时拒收新邮件。')),
    ]],
    [t('Accounts', '账号'), [
      panel('state-timeline', t('State', '状态'),
            [query('max by (account) (yizhan_account_state{%(account)s, state="unreachable"} + ignoring (state) 2 * yizhan_account_state{%(account)s, state="cooling"} + ignoring (state) 3 * yizhan_account_state{%(account)s, state="paused"})', '{{account}}')],
            12, 8, 'none', t('Unreachable and cooling accounts are tried again by themselves. A paused account waits for an operator.', '连不上和冷却中的账号会自动重试，已暂停的账号等待人工处理。'),
            { mappings: [{ type: 'value', options: {
              '0': { text: t('ready', '就绪'), color: 'green' },
              '1': { text: t('unreachable', '连不上'), color: 'yellow' },
              '2': { text: t('cooling', '冷却中'), color: 'orange' },
              '3': { text: t('paused', '已暂停'), color: 'red' },
            } }] }, { mergeValues: true, showValue: 'auto' }),
      panel('bargauge', t('Seconds until the account may send again', '账号恢复发送还需的时间'),
            [query('max by (account) (clamp_min(yizhan_account_resumes_timestamp_seconds{%(account)s} - time(), 0))', '{{account}}', instant=true)], 12, 8, 's',
            t('0: the account may send now, or an operator must resume it.', '0：现在即可发送，或需要人工恢复。'), steps([[null, 'orange']]),
            { orientation: 'horizontal', displayMode: 'basic', reduceOptions: { calcs: ['lastNotNull'] } }),
      series(t('Budget left, share of the limit', '剩余额度占比'),
             [query('min by (account, unit, window) (yizhan_account_budget_left{%(account)s} / yizhan_account_budget_limit{%(account)s})', '{{account}} {{unit}}/{{window}}')], 'percentunit',
             t('Mail waits where nothing is left.', '用完后邮件会等待。')),
      series(t('Log-ins per hour', '每小时登录'),
             [query('sum by (account, outcome) (rate(yizhan_logins_total{%(account)s}[$__rate_interval])) * 3600', '{{account}} {{outcome}}')], 'short',
             t('Log-ins at the provider. Refused log-ins lead to cooling or a pause.', '在服务商处的登录。登录被拒会导致冷却或暂停。')),
      series(t('Refusals of the provider per hour', '每小时服务商拒绝'),
             [query('sum by (account, phase, class) (rate(yizhan_replies_total{%(account)s, class!="2"}[$__rate_interval])) * 3600 > 0', '{{account}} {{phase}} {{class}}')], 'short',
             t('Replies by phase and first digit of the code.', '按阶段和答复代码首位统计。')),
      series(t('Bounces and unknown replies per hour', '每小时退信与无法识别的答复'),
             [query('sum by (account, kind) (rate(yizhan_bounces_total{%(account)s}[$__rate_interval])) * 3600', t('{{account}} bounce {{kind}}', '{{account}} 退信 {{kind}}')),
              query('sum by (account) (rate(yizhan_unknown_replies_total{%(account)s}[$__rate_interval])) * 3600', t('{{account}} unknown reply', '{{account}} 无法识别'))], 'short',
             t('Mail that the provider took and returned; replies without a row in the catalogue.', '服务商收下后退回的邮件；目录中没有的答复。')),
    ]],
    [t('Latency', '延迟'), [
      heatmap(t('From 250 to delivery', '从 250 到投递'), 'yizhan_age_at_delivery_seconds', 'own', t('The time that a message spent in the relay.', '邮件在驿站停留的时间。')),
      heatmap(t('One attempt', '单次投递'), 'yizhan_delivery_seconds', 'account', t('Without the time that the message waited.', '不含等待时间。')),
      heatmap(t('Answer to the final dot', '对结束点的答复'), 'yizhan_accept_seconds', 'own', t('The time that a client waits for its 250.', '设备等待 250 的时间。')),
      series(t('Commit of the queue', '队列提交'),
             [query('histogram_quantile(%s, sum by (le) (rate(yizhan_commit_seconds_bucket{%%(own)s}[$__rate_interval])))' % q, q) for q in ['0.5', '0.99']], 's',
             t('The wait for the disk. Slow commits delay every 250.', '等待磁盘的时间。提交慢会推迟每个 250。')),
    ]],
    [t('Process', '进程'), [
      series(t('Memory', '内存'), [query('process_resident_memory_bytes{%(own)s}', '{{instance}}')], 'bytes', t('Resident memory.', '常驻内存。'), 8),
      series(t('CPU', 'CPU'), [query('rate(process_cpu_seconds_total{%(own)s}[$__rate_interval])', '{{instance}}')], 'percentunit', t('Share of one core.', '占单核的比例。'), 8),
      series(t('Connections', '连接'),
             [query('sum by (listener) (yizhan_connections{%(own)s})', '{{listener}}'), query('sum by (account) (yizhan_upstream_connections{%(account)s})', t('to {{account}}', '到 {{account}}'))], 'short',
             t('Of clients, and to providers.', '来自设备的和到服务商的。'), 8),
      series(t('Open files, share of the limit', '打开文件占比'), [query('process_open_fds{%(own)s} / process_max_fds{%(own)s}', '{{instance}}')], 'percentunit', t('Connections and files.', '连接和文件。'), 8),
      series(t('Mistakes and lost log lines per hour', '每小时程序错误与丢失日志'),
             [query('sum by (task) (rate(yizhan_panics_total{%(own)s}[$__rate_interval])) * 3600', '{{task}}'), query('sum(rate(yizhan_log_dropped_total{%(own)s}[$__rate_interval])) * 3600', t('log lines', '日志行'))], 'short',
             t('Both must be 0.', '两者都应为 0。'), 8),
      series(t('Alerts of the relay per hour', '驿站告警（每小时）'), [query('sum by (kind, result) (rate(yizhan_alerts_total{%(own)s}[$__rate_interval])) * 3600 > 0', '{{kind}} {{result}}')], 'short', t('By webhook or mail.', '通过 webhook 或邮件。'), 8),
      panel('table', t('Relays', '驿站'),
            [query('yizhan_build_info{%(own)s}', instant=true, format='table'),
             query('time() - process_start_time_seconds{%(own)s}', instant=true, format='table'),
             query('yizhan_config_last_reload_successful{%(own)s}', instant=true, format='table'),
             query('time() - yizhan_config_last_reload_success_timestamp_seconds{%(own)s}', instant=true, format='table')],
            24, 6, 'none', t('Version, seconds since the start, whether the settings were read without mistakes, and seconds since then.', '版本、运行秒数、设置是否读取成功、距上次成功读取的秒数。')) {
        transformations: [
          { id: 'joinByField', options: { byField: 'instance', mode: 'outer' } },
          { id: 'filterFieldsByName', options: { include: { names: ['instance', 'version', 'Value #B', 'Value #C', 'Value #D'] } } },
          { id: 'organize', options: { renameByName: {
            'Value #B': t('running (s)', '运行（秒）'),
            'Value #C': t('settings read', '设置读取成功'),
            'Value #D': t('settings read before (s)', '距上次读取（秒）'),
          } } },
        ],
      },
    ]],
  ];

  // Grafana needs a place for each panel: from left to right, 24 columns a line.
  local place(state, one) =
    local fits = state.x + one.gridPos.w <= 24;
    local x = if fits then state.x else 0;
    local y = if fits then state.y else state.y + state.high;
    {
      x: x + one.gridPos.w,
      y: y,
      high: if fits then std.max(state.high, one.gridPos.h) else one.gridPos.h,
      out: state.out + [one { id: std.length(state.out) + 1, gridPos+: { x: x, y: y } }],
    };
  local fresh(state) = { x: 0, y: state.y + state.high, high: 0, out: state.out };
  local row(state, entry) =
    local head = { type: 'row', title: entry[0], collapsed: false, panels: [], gridPos: { w: 24, h: 1 } };
    std.foldl(place, entry[1], fresh(place(fresh(state), head)));

  local variable(name, label, expr, all) = {
    type: 'query',
    name: name,
    label: label,
    datasource: source,
    query: { query: expr, refId: name },
    definition: expr,
    refresh: 2,
    sort: 1,
    multi: all,
    includeAll: all,
    current: if all then { text: 'All', value: '$__all' } else {},
  };

  {
    uid: 'yizhan-' + language,
    title: t('Yizhan mail relay', '驿站邮件中继'),
    tags: ['yizhan', 'smtp'],
    schemaVersion: 37,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '1m',
    timezone: 'browser',
    time: { from: 'now-24h', to: 'now' },
    templating: {
      list: [
        { type: 'datasource', name: 'datasource', label: t('Data source', '数据源'), query: 'prometheus', current: {} },
        variable('job', t('Job', '任务'), 'label_values(yizhan_build_info, job)', true),
        variable('instance', t('Relay', '驿站'), 'label_values(yizhan_build_info{job=~"$job"}, instance)', true),
        variable('account', t('Account', '账号'), 'label_values(yizhan_account_state{job=~"$job", instance=~"$instance"}, account)', true),
      ],
    },
    annotations: { list: [] },
    links: [],
    panels: std.foldl(row, rows, { x: 0, y: 0, high: 0, out: [] }).out,
  }
