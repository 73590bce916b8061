"""The service's unit: what it may do, judged without starting it."""

import re
import shutil
import subprocess

import pytest
from conftest import ROOT, run

UNIT = ROOT / "systemd/fieldhold.service"
# Of 10: systemd's own measure of what a service that went bad could reach.
EXPOSURE_MAX = 1.7


def exposure(unit):
    said = run("systemd-analyze", "security", "--offline=true", unit)
    return float(re.search(r"Overall exposure level for .*?: ([0-9.]+)", said)[1])


def test_a_service_that_went_bad_could_do_little():
    assert exposure(UNIT) <= EXPOSURE_MAX


@pytest.mark.parametrize("drop_in, most", [("tcp-only", 1.2), ("low-ports", 1.7)])
def test_a_drop_in_costs_no_more_than_what_it_is_for(tmp_path, drop_in, most):
    """The drop-in's lines after the unit's, as systemd reads them."""
    unit = tmp_path / UNIT.name
    shutil.copy(UNIT, unit)
    (tmp_path / f"{UNIT.name}.d").mkdir()
    shutil.copy(ROOT / f"systemd/drop-ins/{drop_in}.conf", tmp_path / f"{UNIT.name}.d")
    assert exposure(unit) <= most


def test_the_man_page_is_right():
    page = ROOT / "packaging/fieldhold-upgrade.8"
    said = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_package_is_as_debian_wants_it(package):
    judged = subprocess.run(["lintian", "--fail-on", "error,warning", package], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout + judged.stderr
