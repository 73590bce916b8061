"""A real Prometheus scrapes the demo by the documented job, takes the alert rules, and has an answer to every
question of the Grafana dashboard; `promtool` checks rules, their tests, and the figures' names."""

import contextlib
import json
import pathlib
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

from conftest import ROOT, Process, free_port, wait_for

HERE = pathlib.Path(__file__).parent
MONITORING = ROOT / "configs/monitoring"
TOOLS = ROOT / "target/tests-prometheus/usr/bin"  # unpacked by tests/run
# Asked with a window of time that Grafana puts in, and with every gateway.
FILLED = {"$__rate_interval": "1m", "$gateway": ".*"}
# Nothing to show in the first minutes, or while all is well.
SILENT = {"Dropped, by reason", "Parts that ended, per hour", "Written per day", "Life of the card"}


def promtool(*arguments, **options):
    return subprocess.run([TOOLS / "promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


def questions():
    """Every question of the dashboard, by its panel."""
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in FILLED.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def test_the_alert_rules_are_right_and_come_when_they_should(tmp_path):
    checked = promtool("check", "rules", MONITORING / "alerts.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for file in (MONITORING / "alerts.yaml", HERE / "alerts.test.yaml"):
        shutil.copy(file, tmp_path)
    tested = promtool("test", "rules", "alerts.test.yaml", cwd=tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_rules_and_dashboard_ask_for_figures_that_there_are():
    documented = set(re.findall(r"`(fieldhold_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    asked = set(re.findall(r"\b(fieldhold_\w+)", (MONITORING / "alerts.yaml").read_text()))
    for _, expression in questions():
        asked |= set(re.findall(r"\b(fieldhold_\w+)", expression))
    assert asked <= documented, asked - documented


def test_prometheus_takes_it_all(tmp_path, demo):
    port, gateway = free_port(), urllib.parse.urlparse(demo).netloc
    (tmp_path / "prometheus.yml").write_text(
        f"global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{MONITORING / 'alerts.yaml'}']\n"
        f"scrape_configs: [{{ job_name: fieldhold, static_configs: [{{ targets: ['{gateway}'] }}] }}]\n"
    )
    prometheus = Process(
        [TOOLS / "prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
        tmp_path / "prometheus.log",
    ).start()

    def get(path, **query):
        url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def value(expression):
        return get("query", query=expression)["result"]

    def ready():
        """It listens before it answers."""
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10):
            return True

    try:
        wait_for(ready, 60, "prometheus being ready")
        wait_for(lambda: value('up{job="fieldhold"} == 1'), 30, "a scrape")
        wait_for(lambda: value("sum(fieldhold_readings_delivered_total) > 0"), 60, "deliveries")
        for title, expression in questions():
            if title not in SILENT:
                wait_for(lambda: value(expression), 30, f"an answer for {title}: {expression}")
        with urllib.request.urlopen(f"{demo}/metrics", timeout=10) as answer:
            named = promtool("check", "metrics", input=answer.read().decode())
        assert named.returncode == 0, named.stdout + named.stderr
        rules = [rule for group in get("rules")["groups"] for rule in group["rules"]]
        assert len(rules) > 10 and all(rule["health"] == "ok" for rule in rules), rules
        assert not [rule["name"] for rule in rules if rule["state"] == "firing"], rules
        off = [s["value"][1] for s in value(next(e for title, e in questions() if title == "Unaccounted for"))]
        assert off == ["0"], off
    finally:
        prometheus.kill()
