(import 'alerts/config.libsonnet') +
(import 'alerts/alerts.libsonnet') +
(import 'alerts/rules.libsonnet') +
(import 'alerts/endpoints.libsonnet') +
(import 'alerts/servers.libsonnet') +
(import 'dashboards/dashboards.libsonnet')
