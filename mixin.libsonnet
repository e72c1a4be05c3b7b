(import 'alerts/config.libsonnet') +
(import 'alerts/alerts.libsonnet') +
(import 'alerts/rules.libsonnet') +
(import 'alerts/endpoints.libsonnet') +
(import 'alerts/services.libsonnet') +
(import 'alerts/overview.libsonnet') +
(import 'alerts/escalation.libsonnet') +
(import 'alerts/servers.libsonnet') +
(import 'alerts/slos.libsonnet') +
(import 'alerts/baselines.libsonnet') +
(import 'dashboards/dashboards.libsonnet')
