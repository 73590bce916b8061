"""The configuration through the API: edit, check, look at the difference, apply, go back, as page and scripts do."""

import json
import pathlib
import time
import urllib.error
import urllib.request

import pytest

from conftest import Recorder, wait_for


class Api:
    """One who edits: keeps the etag that was seen last."""

    def __init__(self, page):
        self.base, self.etag = f"{page}/api/v1", None

    def ask(self, method, path, body=None, kind="application/json", match=None):
        """Status and answer; JSON where it is."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        if data is not None:
            request.add_header("Content-Type", kind)
        if match:
            request.add_header("If-Match", match)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, kind, text = answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
        except urllib.error.HTTPError as error:
            status, kind, text = error.code, error.headers.get("Content-Type", ""), error.read().decode()
        return status, json.loads(text) if "json" in kind else text

    def get(self, path):
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def draft(self):
        seen = self.get("/draft")
        self.etag = seen["etag"]
        return seen

    def change(self, method, path, body=None, kind="application/json", wanted=200):
        status, answer = self.ask(method, path, body, kind, self.etag)
        assert status == wanted, answer
        if status == 200 and isinstance(answer, dict) and "etag" in answer:
            self.etag = answer["etag"]
        return answer

    def edit(self, *edits, wanted=200):
        return self.change("POST", "/draft/edits", {"edits": list(edits)}, wanted=wanted)

    def apply(self, confirm_s=None, wanted=200):
        body = {} if confirm_s is None else {"confirm_s": confirm_s}
        return self.change("POST", "/draft/apply", body, wanted=wanted)


def put(path, value):
    return {"op": "set", "path": path.split("/"), "value": value}


def remove(path):
    return {"op": "remove", "path": path.split("/")}


@pytest.fixture
def api(demo):
    api = Api(demo)
    api.draft()
    return api


def file_of(api):
    return pathlib.Path(api.draft()["file"])


def broker_port(api):
    return int(api.get("/status")["broker"]["listeners"][0]["at"].rsplit(":", 1)[1])


def test_a_register_becomes_a_topic(api):
    file, port = file_of(api), broker_port(api)
    before = file.read_text()
    assert "# The demonstration plant" in before, "a file with comments"
    tag = {"holding": 100, "type": "u16", "scale": 0.1, "unit": "°C", "every": "500ms"}
    preview = api.change("POST", "/preview", {"device": "press", "name": "setpoint_again", "tag": tag})
    assert preview["valid"] and preview["topic"] == "plant1/demo/press/setpoint_again", preview
    said = json.loads(preview["payload"])
    assert said["u"] == "°C" and isinstance(said["v"], float), preview

    seen = api.edit(put("devices/press/tags/setpoint_again", tag))
    assert seen["changed"] and seen["problems"] == []
    [change] = seen["changes"]
    assert (change["kind"], change["path"][-1], change["after"]) == ("add", "setpoint_again", tag)
    assert [line for line in seen["diff"].splitlines() if line[0] in "+-"] == [
        '+      setpoint_again: { holding: 100, type: u16, scale: 0.1, unit: °C, every: 500ms }'
    ]
    assert any("hall1 restarts" in words for words in seen["effects"]), seen["effects"]
    assert any("1 other bus" in words for words in seen["effects"]), seen["effects"]
    assert file.read_text() == before, "nothing is written before it is applied"
    rows = {row["tag"]: row for row in api.get("/mapping?device=press")["rows"]}
    row = rows["setpoint_again"]
    assert (row["table"], row["address"], row["topic"]) == ("holding", 100, "plant1/demo/press/setpoint_again")

    applied = api.apply()
    assert applied["version"] >= 2 and "pending_until_ms" not in applied
    recorder = Recorder(port, ["plant1/demo/press/setpoint_again"])
    try:
        message = wait_for(lambda: recorder.last(preview["topic"]), 30, "the value of the new tag")
        assert 20 <= message["v"] <= 80 and message["u"] == "°C"
    finally:
        recorder.close()
    after = file.read_text()
    new = "      setpoint_again: { holding: 100, type: u16, scale: 0.1, unit: °C, every: 500ms }\n"
    assert after.count(new) == 1 and after.replace(new, "") == before, "all other lines stay as they are"
    seen = api.draft()
    assert not seen["changed"] and seen["changes"] == []
    [newest, *_] = api.get("/config/history")["rows"]
    assert newest["version"] == applied["version"] and newest["author"].endswith("on the page")


def test_what_nobody_confirms_is_taken_back(api):
    file = file_of(api)
    before = file.read_text()
    api.edit(put("devices/meter/every", "2s"))
    applied = api.apply(confirm_s=10)
    assert applied["pending_until_ms"]
    assert "every: 2s" in file.read_text()
    running = api.get("/config")
    assert running["pending"]["version"] == applied["version"] and not running["file_edited"]
    # While it is pending nothing else is taken.
    api.draft()
    api.edit(put("devices/meter/every", "3s"))
    refused = api.apply(wanted=409)
    assert refused["code"] == "pending" and refused["hint"], refused
    wait_for(lambda: file.read_text() == before, 40, "the rollback")
    rows = wait_for(
        lambda: [row for row in api.get("/config/history")["rows"] if row["version"] == applied["version"] and row["state"] == "rolled-back"],
        what="the note in the history",
    )
    assert "confirmed" in rows[0]["reason"]

    api.ask("DELETE", "/draft")
    api.draft()
    api.edit(put("devices/meter/every", "4s"))
    applied = api.apply(confirm_s=600)
    api.change("POST", "/config/confirm", {"version": applied["version"]}, wanted=204)
    assert api.get("/config")["pending"] is None
    assert api.change("POST", "/config/confirm", {"version": applied["version"]}, wanted=409)["code"] == "not-pending"
    difference = api.get(f"/config/history/{rows[0]['version']}/diff")["diff"]
    assert "+    every: 2s" in difference, difference
    api.change("POST", "/config/rollback", {})
    assert file.read_text() == before
    assert api.change("POST", "/config/rollback", {"version": 9999}, wanted=404)["code"] == "not-found"


def test_two_who_edit_at_once_overwrite_nothing_unseen(api, demo):
    other = Api(demo)
    other.draft()
    api.edit(put("devices/meter/every", "2s"))
    refused = other.edit(put("devices/meter/every", "7s"), wanted=409)
    assert refused["code"] == "changed" and refused["etag"] == api.etag
    assert "+    every: 2s" in refused["diff"], refused["diff"]
    assert other.apply(wanted=409)["code"] == "changed"
    other.draft()
    seen = other.edit(put("devices/press/every", "1s"))
    assert len(seen["changes"]) == 2
    assert api.edit(remove("devices/meter/every"), wanted=409)["code"] == "changed"
    status, answer = api.ask("POST", "/draft/edits", {"edits": []})
    assert status == 428 and "If-Match" in answer["reason"], answer


def test_edits_of_the_file_meet_the_draft(api):
    file = file_of(api)
    api.edit(put("devices/meter/every", "2s"))
    # By hand, somewhere else: both stay.
    by_hand = file.read_text().replace("every: 500ms", "every: 400ms # by hand", 1)
    file.write_text(by_hand)
    refused = api.apply(wanted=409)
    assert refused["code"] == "changed" and "+    every: 400ms # by hand" in refused["diff"], refused
    assert api.get("/config")["file_edited"]
    seen = api.draft()
    assert seen["conflicts"] == []
    assert {tuple(change["path"]) for change in seen["changes"]} == {("devices", "meter", "every"), ("devices", "press", "every")}
    api.apply()
    assert file.read_text() == by_hand.replace("every: 1s", "every: 2s", 1)
    authors = [row["author"] for row in api.get("/config/history")["rows"]]
    assert authors[0].endswith("on the page") and authors[1] == "an edit of the file", authors

    # By hand, at the same place: nothing is applied until somebody decides.
    api.draft()
    api.edit(put("devices/meter/every", "9s"))
    file.write_text(file.read_text().replace("every: 2s\n    order", "every: 5s\n    order", 1))
    seen = api.draft()
    assert seen["conflicts"] == ["devices.meter.every"], seen["conflicts"]
    refused = api.apply(wanted=409)
    assert refused["conflicts"] == ["devices.meter.every"] and "+    every: 5s" in refused["diff"], refused
    merged = file.read_text().replace("every: 5s\n    order", "every: 6s\n    order", 1)
    seen = api.change("PUT", "/draft", {"text": merged})
    assert seen["conflicts"] == [] and seen["text"] == merged
    api.apply()
    assert file.read_text() == merged
    # A file that is broken by hand is not taken, and said.
    file.write_text(merged.replace("gateway:", "gatway:", 1))
    api.draft()
    api.edit(put("devices/meter/every", "8s"))
    refused = api.apply(wanted=422)
    assert refused["code"] == "configuration" and "did you mean gateway?" in json.dumps(refused), refused


def test_a_broken_draft_is_refused_with_its_places(api):
    file = file_of(api)
    before = file.read_text()
    seen = api.edit(put("devices/press/tags/force/type", "float"), put("devices/meter/bus", "rs485b"))
    assert seen["effects"] == []
    found = {problem["path"]: problem for problem in seen["problems"]}
    line = 1 + seen["text"].splitlines().index(next(x for x in seen["text"].splitlines() if "type: float" in x))
    assert found["devices.press.tags.force.type"]["line"] == line
    assert "f32" in found["devices.press.tags.force.type"]["hint"]
    assert "rs485a" in found["devices.meter.bus"]["hint"]
    refused = api.apply(wanted=422)
    assert refused["code"] == "configuration" and len(refused["problems"]) >= 2
    assert file.read_text() == before
    rows = {row["tag"]: row for row in api.get("/mapping?device=press")["rows"]}
    assert rows["force"]["problems"][0]["hint"] and rows["power"]["problems"] == []
    checked = api.change("POST", "/check", {"text": seen["text"]})
    assert {p["path"] for p in checked["problems"]} == set(found)
    # Even a text that is no YAML may be a draft; edits wait until it is one again.
    seen = api.change("PUT", "/draft", {"text": "a: ["})
    assert seen["tree"] is None and seen["problems"]
    refused = api.edit(put("a", 1), wanted=422)
    assert "no YAML" in refused["reason"] and refused["hint"], refused
    status, _ = api.ask("DELETE", "/draft")
    assert status == 204 and api.draft()["text"] == before


def test_the_mapping_goes_out_and_in_as_csv(api):
    csv = api.get("/mapping.csv")
    assert csv.startswith("device,tag,table,address,type,")
    same = api.change("POST", "/mapping/import", csv.encode(), kind="text/csv")
    assert same["errors"] == [] and same["edits"] == [] and same["rows_ok"] == csv.count("\r\n") - 1
    more = csv + "press,new_one,holding,8,f32,,,,,,,,,kW\r\npress,bad_one,holding,8,float\r\n"
    looked = api.change("POST", "/mapping/import", more.encode(), kind="text/csv")
    [error] = looked["errors"]
    assert (error["line"], error["column"]) == (csv.count("\r\n") + 2, 5) and "f32" in error["hint"], error
    assert not api.draft()["changed"], "looking changes nothing"
    added = api.change("POST", "/mapping/import?add=1", more.encode(), kind="text/csv")
    assert added["added"] and len(added["edits"]) == 1
    seen = api.draft()
    assert [change["path"] for change in seen["changes"]] == [["devices", "press", "tags", "new_one"]]
    assert api.get("/mapping.csv").count("new_one") == 1
    status, answer = api.ask("POST", "/mapping/import", csv.encode(), kind="text/plain")
    assert status == 415 and answer["code"] == "not-csv"
    status, answer = api.ask("POST", "/mapping/import", csv.encode("utf-16"), kind="text/csv")
    assert status == 422 and "UTF-8" in answer["reason"], answer


def test_profiles_are_listed_and_shown(api):
    rows = api.get("/profiles?q=sdm120")["rows"]
    assert [row["name"] for row in rows] == ["eastron-sdm120"] and rows[0]["tags"] > 3
    shown = api.get("/profiles/eastron-sdm120")
    assert shown["profile"]["profile"] == "eastron-sdm120" and "groups:" in shown["text"]
    own = file_of(api).parent / "profiles"
    own.mkdir()
    (own / "mine.yaml").write_text(shown["text"].replace("eastron-sdm120", "mine"))
    assert [row["own"] for row in api.get("/profiles?q=mine")["rows"] if row["name"] == "mine"] == [True]
    for name in ["nothing", "..%2F..%2Fetc%2Fpasswd"]:
        status, answer = api.ask("GET", f"/profiles/{name}")
        assert status == 404 and answer["code"] == "not-found", answer
    # A device of a profile has its tags in the mapping, and not in the table.
    api.edit(put("devices/kitchen", {"bus": "rs485a", "unit": 9, "profile": "eastron-sdm120"}))
    rows = api.get("/mapping?device=kitchen")["rows"]
    assert len(rows) > 3 and {row["profile"] for row in rows} == {"eastron-sdm120"}
    assert "kitchen" not in api.get("/mapping.csv")


def test_pages_of_the_mapping_make_up_the_whole(api):
    whole = api.get("/mapping")["rows"]
    rows, after, deadline = [], "", time.monotonic() + 60
    while after is not None:
        assert time.monotonic() < deadline
        page = api.get(f"/mapping?limit=7{after}")
        rows += page["rows"]
        after = page["next"] and f"&after={page['next'].replace('/', '%2F')}"
    assert rows == whole and len(whole) > 14
