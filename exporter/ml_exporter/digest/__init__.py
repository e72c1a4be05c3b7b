"""`ml-exporter digest`: what alerted over a period, for people to look through once a week; Alertmanager cannot."""
