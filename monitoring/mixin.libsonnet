// Alerts and dashboard of Yizhan for Prometheus and Grafana, in the form of monitoring.mixins.dev:
// `_config`, `prometheusAlerts`, `grafanaDashboards`. `monitoring/generate` writes alerts.yaml and the dashboards from it.
{
  _config:: {
    // Labels of the scraped relays, as in the `job_name` of the scrape configuration.
    selector: 'job="yizhan"',
    // Where docs/alerts.md is published. The name of the alert follows in lower case.
    runbookURL: 'docs/alerts.md#',

    // The relay's own defaults are in [notice] of its settings. Keep both equal.
    oldestWaiting: 4 * 3600,  // seconds
    diskFree: 1024 * 1024 * 1024,  // bytes; above limits.disk_free, so that it fires before mail is refused
    // The share of the recipients of a day that is left when the budget counts as nearly spent.
    budgetLeft: 0.1,
    // Attempts with an unknown end within a day that are still normal.
    uncertain: 2,
    // Clients that must send regularly: name of the [client.NAME] entry, and seconds of silence. { ups: 26 * 3600 }
    silentClients: {},

    // How long a fact must last.
    down: '5m',
    paused: '5m',
    cooling: '1h',
    unreachable: '30m',
    notReady: '10m',
  },

  prometheusAlerts+:: (import 'alerts.libsonnet')($._config),

  grafanaDashboards+:: {
    'dashboard.json': (import 'dashboard.libsonnet')($._config, 'en'),
    'dashboard.zh.json': (import 'dashboard.libsonnet')($._config, 'zh'),
  },
}
