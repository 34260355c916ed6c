"""What runs Forecart elsewhere: images, Prometheus, Grafana, runbooks; what writes dashboards."""
