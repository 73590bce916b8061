"""Figures for Prometheus: its own parser reads them, the equation holds in them, each is documented."""

import re
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from conftest import ROOT, wait_for

TERMS = ["delivered_total", "excluded_total", "waiting", "dropped_total"]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_prometheus_reads_the_figures_and_they_add_up(demo):
    def scraped():
        kind, text = fetch(f"{demo}/metrics")
        assert kind.startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(text))
        samples = [sample for family in families for sample in family.samples]
        delivered = [s.value for s in samples if s.name == "fieldhold_readings_delivered_total"]
        return (families, samples) if sum(delivered) > 100 else None

    families, samples = wait_for(scraped, 60, "some deliveries")
    assert all(family.documentation for family in families)

    def total(name, uplink, kind):
        own = [s.value for s in samples if s.name == f"fieldhold_readings_{name}"
               and (s.labels["uplink"], s.labels["class"]) == (uplink, kind)]
        return sum(own)

    accounts = {(s.labels["uplink"], s.labels["class"]) for s in samples if s.name == "fieldhold_readings_waiting"}
    assert ("cloud", "normal") in accounts
    for uplink, kind in accounts:
        assert total("appended_total", uplink, kind) == sum(total(term, uplink, kind) for term in TERMS)

    documented = set(re.findall(r"`(fieldhold_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    given = {re.sub("$", "_total", f.name) if f.type == "counter" else f.name for f in families}
    assert given == documented


def test_alive_and_ready_are_said_to_everybody(demo):
    assert fetch(f"{demo}/healthz")[1] == "ok\n"
    wait_for(lambda: fetch(f"{demo}/readyz")[1] == "ready\n")
