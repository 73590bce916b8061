"""Who may use the web page, and what others try: every attack is a test, against the real binary."""

import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

import certificates
from conftest import BINARY, Gateway, free_port, listening, wait_for

PASSWORD = "korrekt pferd batterie"
ROLES = ["viewer", "operator", "admin"]
API = "/api/v1"
#: What every answer tells the browser.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def config(port, web="tls: off"):
    return f'gateway: {{ name: edge }}\nstore: {{ path: state }}\nweb: {{ listen: "127.0.0.1:{port}", {web} }}\n'


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The code of a problem."""
        return self.json.get("code") if "problem+json" in (self.headers["content-type"] or "") else None


class Page:
    """The page of a gateway, as a program sees it that sends what it likes."""

    def __init__(self, port, context=None, source="127.0.0.1"):
        self.port, self.context, self.source = port, context, source

    def connection(self, timeout=30):
        address = (self.source, 0)
        if self.context:
            return http.client.HTTPSConnection(
                "localhost", self.port, timeout=timeout, source_address=address, context=self.context
            )
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=address)

    def ask(self, method, path, body=None, headers=None, raw=None):
        headers = dict(headers or {})
        if raw is None and body is not None:
            raw = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, raw, headers)
            response = connection.getresponse()
            streams = response.headers["content-type"] == "text/event-stream"
            return Answer(response, b"" if streams else response.read())

    def elsewhere(self):
        """The same page, seen from another address."""
        return Page(self.port, self.context, "127.0.0.2")

    def set_up(self, code, user="anna"):
        return self.ask("POST", f"{API}/setup", {"code": code, "user": user, "password": PASSWORD})

    def sign_in(self, user="anna", password=PASSWORD, headers=None):
        return self.ask("POST", f"{API}/session", {"user": user, "password": password}, headers)


def cookie(answer):
    """What a browser sends back."""
    return {"Cookie": answer.headers["set-cookie"].split(";")[0]}


class Site:
    """A gateway with its page, and an administrator unless it is to be new."""

    def __init__(self, tmp_path, started, web="tls: off", new=False):
        self.port = free_port()
        self.gateway = started(Gateway(tmp_path / "gw", config(self.port, web)))
        self.page = Page(self.port)
        wait_for(lambda: listening(self.port), what="the page listening")
        if not new:
            answer = self.page.set_up(self.code())
            assert answer.status == 200, answer.body
            self.admin = cookie(answer)

    def run(self, *arguments, stdin=""):
        line = [BINARY, *arguments, self.gateway.config]
        return subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=60)

    def code(self):
        done = self.run("setup-code")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def token(self, role):
        """The header of a program with this role."""
        asked = {"name": f"test-{role}", "role": role}
        answer = self.page.ask("POST", f"{API}/tokens", asked, self.admin)
        assert answer.status == 201, answer.body
        return {"Authorization": f"Bearer {answer.json['token']}"}

    def routes(self):
        """Every route that the page describes: method, path with something in its places, role or None."""
        paths = self.page.ask("GET", f"{API}/openapi.json").json["paths"]
        for path, methods in paths.items():
            for method, route in methods.items():
                security = route["security"]
                role = security[0]["session"][0] if security and security[0] else None
                yield method.upper(), re.sub(r"\{[^}]*\}", "x", path), role


@pytest.fixture
def site(tmp_path, started):
    return Site(tmp_path, started)


def test_the_first_account_needs_the_code_and_is_made_once(tmp_path, started):
    site = Site(tmp_path, started, new=True)
    page, code = site.page, site.code()
    standing = page.ask("GET", f"{API}/session").json
    assert standing["state"] == "setup" and standing["needs_code"] and standing["gateway"]["name"] == "edge"
    assert code in site.gateway.output() and "the web page has no account yet" in site.gateway.output()
    assert page.sign_in().code == "wrong-login"
    assert page.ask("GET", f"{API}/status").code == "signed-out"
    # Behind a proxy everybody comes from this machine, so even here the code is needed.
    for wrong in ("", "0000-0000", code[:-1]):
        answer = page.set_up(wrong)
        assert (answer.status, answer.code) == (403, "wrong-code"), answer.body
    weak = page.ask("POST", f"{API}/setup", {"code": code, "user": "anna", "password": "annaanna12"})
    assert weak.status == 422 and weak.json["field"] == "password"
    answer = page.set_up(code.lower().replace("-", " "))
    assert answer.status == 200 and answer.json["state"] == "signed-in" and answer.json["role"] == "admin"
    assert page.ask("GET", f"{API}/session", headers=cookie(answer)).json["user"] == "anna"
    assert page.set_up(code, "eve").code == "set-up"
    done = site.run("setup-code")
    assert done.returncode == 1 and "there is an account" in done.stderr


def test_whoever_is_at_the_machine_needs_no_code(tmp_path, started):
    site = Site(tmp_path, started, web="connections: 64", new=True)
    page = Page(site.port, ssl._create_unverified_context())
    proxied = {"X-Forwarded-For": "10.0.0.9"}
    assert page.ask("GET", f"{API}/session", headers=proxied).json["needs_code"]
    refused = page.ask("POST", f"{API}/setup", {"user": "eve", "password": PASSWORD}, proxied)
    assert refused.code == "wrong-code"
    assert not page.ask("GET", f"{API}/session").json["needs_code"]
    assert page.set_up(None).status == 200


def test_no_route_answers_without_a_session(site):
    nobody = [
        {},
        {"Cookie": "fieldhold=" + "A" * 43},
        {"Cookie": "fieldhold="},
        {"Authorization": "Bearer fhk_" + "A" * 43},
        {"Authorization": "Bearer " + "A" * 5000},
        {"Authorization": "Basic YW5uYTprb3JyZWt0"},
        {"Cookie": site.admin["Cookie"].replace("fieldhold", "__Host-fieldhold")},
    ]
    closed = [(method, path) for method, path, role in site.routes() if role]
    assert len(closed) >= 10
    for method, path in closed:
        for headers in nobody:
            answer = site.page.ask(method, path, headers=headers)
            assert (answer.status, answer.code) == (401, "signed-out"), (method, path, headers, answer.body)


def test_every_route_refuses_lesser_roles_and_takes_its_own(site):
    tokens = {role: site.token(role) for role in ROLES}
    refused = taken = 0
    for method, path, needed in site.routes():
        for role in ROLES:
            # Not JSON: what is let through gets no further than its body.
            answer = site.page.ask(method, path, headers={**tokens[role], "Content-Type": "text/plain"})
            if needed and ROLES.index(role) < ROLES.index(needed):
                assert (answer.status, answer.code) == (403, "forbidden"), (method, path, role, answer.body)
                refused += 1
            else:
                assert answer.status != 401 and answer.code != "forbidden", (method, path, role, answer.body)
                taken += 1
    assert refused >= 10 and taken >= 20, (refused, taken)


def test_what_is_not_described_is_not_there(site):
    admin = site.token("admin")
    described = {}
    for method, path, _ in site.routes():
        described.setdefault(path, set()).add(method)
    for path, methods in described.items():
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "X-MADE-UP"} - methods:
            answer = site.page.ask(method, path, headers=admin)
            assert answer.status in (403, 404, 405), (method, path, answer.status)
    for path in ("/api/v1/nothing", "/api/v2/status", "/api/v1/status/"):
        assert site.page.ask("GET", path, headers=admin).status == 404, path


def test_requests_of_other_pages_change_nothing(site):
    """CSRF: a browser would send the cookie along, though ours is not sent to begin with."""
    here = f"http://127.0.0.1:{site.port}"
    user = {"name": "eve", "role": "admin", "password": PASSWORD}
    foreign = [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": here + ".evil.example"},
        {"Origin": f"http://127.0.0.1:{site.port + 1}"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ]
    for headers in foreign:
        answer = site.page.ask("POST", f"{API}/users", user, {**site.admin, **headers})
        assert (answer.status, answer.code) == (403, "cross-site"), headers
        assert site.page.sign_in(headers=headers).code == "cross-site", "nor does it sign anybody in"
    # What a form can send without being asked is no JSON.
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {**site.admin, "Content-Type": kind}
        answer = site.page.ask("POST", f"{API}/users", headers=headers, raw=json.dumps(user))
        assert answer.status == 415, kind
    names = [row["name"] for row in site.page.ask("GET", f"{API}/users", headers=site.admin).json["rows"]]
    assert names == ["anna"]
    own = {**site.admin, "Sec-Fetch-Site": "same-origin", "Origin": here}
    assert site.page.ask("POST", f"{API}/users", user, own).status == 201


def test_other_names_of_this_address_are_refused(site):
    """DNS rebinding: a page of evil.example finds its own name at our address."""
    for name in ("evil.example", f"evil.example:{site.port}", "localhost.evil.example", "127.0.0.1.evil.example",
                 "2130706433", "a b", "[::1", "", "evil.local"):
        for path in ("/", f"{API}/session", f"{API}/openapi.json"):
            answer = site.page.ask("GET", path, headers={"Host": name})
            assert answer.status in (400, 421), (name, path, answer.status)
            assert b"anna" not in answer.body
    host = socket.gethostname().split(".")[0]
    for name in (f"127.0.0.1:{site.port}", "localhost", "[::1]:8443", host, f"{host}.local", "192.168.1.77"):
        assert site.page.ask("GET", f"{API}/session", headers={"Host": name}).status == 200, name


def test_a_configured_name_is_taken(tmp_path, started):
    site = Site(tmp_path, started, web="tls: off, hosts: [gateway.plant.lan]", new=True)
    assert site.page.ask("GET", f"{API}/session", headers={"Host": "gateway.plant.lan"}).status == 200
    assert site.page.ask("GET", f"{API}/session", headers={"Host": "other.plant.lan"}).status == 421


def test_no_path_leads_out_of_the_page(site):
    secret = (site.gateway.state / "accounts.json").read_bytes()
    for path in (
        "/../../../../etc/passwd", "/ui/../../../../etc/passwd", "/ui/x/../../state/accounts.json",
        "/ui/%2e%2e/%2e%2e/state/accounts.json", "/ui/..%2f..%2fstate%2faccounts.json", "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/ui/x//etc/passwd", "/ui/x/%00", "/ui/x/....//....//etc/passwd", "/ui/x/..\\..\\etc\\passwd", "//etc/passwd",
        "/ui/x/file:///etc/passwd", "/api/v1/../../etc/passwd", "/api/v1/users/..%2f..%2f..%2fetc%2fpasswd",
    ):
        answer = site.page.ask("GET", path, headers=site.admin)
        assert b"root:" not in answer.body and b"argon2" not in answer.body and secret not in answer.body, path
        assert answer.status < 500, (path, answer.status)


def test_a_token_from_before_the_sign_in_is_worth_nothing(site):
    """Session fixation: somebody else's token in the browser does not become the user's."""
    planted = {"Cookie": "fieldhold=" + "B" * 43}
    answer = site.page.sign_in(headers=planted)
    own = cookie(answer)
    assert own != planted and own != site.admin
    assert site.page.ask("GET", f"{API}/status", headers=planted).status == 401
    assert site.page.ask("GET", f"{API}/status", headers=own).status == 200
    again = cookie(site.page.sign_in(headers=own))
    assert again != own, "every sign-in has a token of its own"
    assert site.page.ask("DELETE", f"{API}/session", headers=own).status == 204
    assert site.page.ask("GET", f"{API}/status", headers=own).status == 401, "signed out is signed out on the server"
    assert site.page.ask("GET", f"{API}/status", headers=again).status == 200


def test_guessing_passwords_is_slow_and_locks_nobody_out(site):
    began, looked_at = time.monotonic(), 0
    waits = []
    for n in range(60):
        answer = site.page.sign_in("anna" if n % 2 else "nobody", f"a wrong password {n}")
        if answer.status == 429:
            assert answer.code == "wait"
            waits.append(answer.json["retry_after_ms"])
        else:
            assert (answer.status, answer.code) == (401, "wrong-login")
            looked_at += 1
    # Five are free, then each pause is twice the one before.
    assert looked_at <= 6 + (time.monotonic() - began) ** 0.5 + 1 and waits and max(waits) <= 60_000, (looked_at, waits)
    assert site.page.sign_in().status == 429, "from there not even the right one"
    assert site.page.elsewhere().sign_in().status == 200, "and the owner is not locked out"
    assert site.page.ask("GET", f"{API}/status", headers=site.admin).status == 200, "nor who is signed in"


def test_many_sign_ins_at_once_are_bounded(site):
    """Each costs 19 MiB and tens of milliseconds: one at a time, so many wait, the rest is sent away."""
    def memory():
        """Of the gateway itself, without its program, in KiB."""
        return int(re.search(r"RssAnon:\s+(\d+)", pathlib.Path(f"/proc/{site.gateway.child.pid}/status").read_text())[1])

    def attempt(n):
        return Page(site.port, source=f"127.0.1.{n + 1}").sign_in(password="a wrong password").status

    before, peak = memory(), 0
    with concurrent.futures.ThreadPoolExecutor(80) as pool:
        attempts = [pool.submit(attempt, n) for n in range(80)]
        while not all(attempt.done() for attempt in attempts):
            peak = max(peak, memory() - before)
            time.sleep(0.002)
    statuses = [attempt.result() for attempt in attempts]
    assert set(statuses) == {401, 429}, statuses
    assert peak < 60_000, f"{peak} KiB"
    # What one took is given back: threads that each kept it would fill the machine.
    wait_for(lambda: memory() - before < 15_000, what="the memory given back")
    assert site.page.ask("GET", f"{API}/status", headers=site.admin).status == 200


def test_bodies_that_are_too_large_are_refused(site):
    for path, headers, size in (
        ("/session", {}, 20_000),
        ("/setup", {}, 2_000_000),
        ("/users", site.admin, 2_000_000),
        ("/tokens", site.admin, 2_000_000),
    ):
        with contextlib.closing(site.page.connection()) as connection:
            connection.putrequest("POST", API + path)
            for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(size)}.items():
                connection.putheader(name, value)
            connection.endheaders()
            with contextlib.suppress(OSError):  # It may be closed on us before all is sent.
                connection.send(b'{"user":"' + b"x" * (size - 10))
            response = connection.getresponse()
            assert response.status == 413, (path, response.status)
    # Without a length it is the same.
    with contextlib.closing(site.page.connection()) as connection:
        chunks = (b"x" * 4096 for _ in range(10))
        with contextlib.suppress(OSError):
            connection.request("POST", f"{API}/session", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == 413
    deep = b"[" * 10_000
    answer = site.page.ask("POST", f"{API}/session", raw=deep, headers={"Content-Type": "application/json"})
    assert answer.status == 400


def test_slow_requests_cost_nobody_else_anything(tmp_path, started):
    """Slow heads and bodies from one address: it has its share of the connections, and not for long."""
    site = Site(tmp_path, started, web="connections: 32", new=True)
    slow = []
    for _ in range(32):
        sock = socket.create_connection(("127.0.0.1", site.port), timeout=40, source_address=("127.0.0.3", 0))
        with contextlib.suppress(OSError):
            sock.sendall(b"\x16\x03\x01")  # The beginning of a handshake.
        slow.append(sock)
    page = Page(site.port, ssl._create_unverified_context())
    answer = page.set_up(None)
    assert answer.status == 200
    wrapped = ssl._create_unverified_context().wrap_socket(
        socket.create_connection(("127.0.0.1", site.port), timeout=40), server_hostname="localhost")
    wrapped.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 100\r\n\r\n{")
    began = time.monotonic()
    reply = wrapped.recv(65536)
    assert b" 408 " in reply and 5 < time.monotonic() - began < 35, reply
    for sock in slow:
        with contextlib.suppress(OSError):
            sock.settimeout(40)
            assert sock.recv(1) == b"", "a handshake that does not go on is ended"
        sock.close()
    assert page.ask("GET", f"{API}/status", headers=cookie(answer)).status == 200


def test_streams_are_bounded_and_end_with_their_session(site):
    with contextlib.ExitStack() as stack:
        def stream(headers):
            connection = stack.enter_context(contextlib.closing(site.page.connection()))
            connection.request("GET", f"{API}/events", headers=headers)
            return connection.getresponse()

        opened = [stream(site.admin) for _ in range(9)]
        statuses = [response.status for response in opened]
        assert statuses == [200] * 8 + [429], statuses
        assert json.loads(opened[-1].read())["code"] == "too-many-streams"
        assert opened[0].readline().startswith(b"event: hello")
        assert site.page.ask("GET", f"{API}/status", headers=site.admin).status == 200
        assert site.page.ask("DELETE", f"{API}/session", headers=site.admin).status == 204
        opened[0].read()  # It ends; otherwise this would run into the time limit.


def test_headers_of_the_answer_are_ours_alone(site):
    for value in ("x\r\nSet-Cookie: a=b", "x\nX-Evil: 1", "x\r\n\r\n<script>"):
        quoted = value.replace("\r", "%0d").replace("\n", "%0a").replace(" ", "%20").replace("<", "%3c").replace(">", "%3e")
        answers = [
            site.page.ask("GET", f"/{quoted}"),
            site.page.ask("GET", f"/ui/{quoted}/{quoted}"),
            site.page.ask("DELETE", f"{API}/users/{quoted}", headers=site.admin),
            site.page.sign_in(user=value),
            site.page.ask("POST", f"{API}/users", {"name": value, "role": "viewer", "password": PASSWORD}, site.admin),
        ]
        for answer in answers:
            assert "X-Evil" not in answer.headers and "a=b" not in str(answer.headers["set-cookie"]), value
            assert answer.status >= 400 or answer.headers["content-type"].startswith("text/html")
    # Two requests in one, told apart by nobody: what is ambiguous is refused.
    for head in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Host: evil.example",
    ):
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as sock:
            sock.sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n0\r\n\r\n"
                         b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            reply = b"".join(iter(lambda: sock.recv(65536), b""))
            assert b"HTTP/1.1 200" not in reply.split(b"\r\n", 1)[0], (head, reply[:200])


def test_every_answer_protects_the_browser(site):
    for path, headers in (("/", {}), ("/signin", {}), ("/ui/none/app.js", {}), (f"{API}/session", {}),
                          (f"{API}/status", {}), (f"{API}/users", site.admin), ("/", {"Host": "evil.example"})):
        answer = site.page.ask("GET", path, headers=headers)
        assert answer.headers["content-security-policy"] == POLICY, path
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin" and answer.headers["permissions-policy"]
        assert "access-control-allow-origin" not in answer.headers and "server" not in answer.headers
        if path.startswith(API):
            assert answer.headers["cache-control"] == "no-store", path
    text = site.page.ask("GET", f"{API}/users", headers=site.admin).body + site.page.ask("GET", f"{API}/tokens", headers=site.admin).body
    assert b"hash" not in text and b"argon2" not in text and b"sha256" not in text


def test_accounts_and_roles_hold_at_once(site):
    ask = lambda *line, **more: site.page.ask(*line, **more)
    assert ask("POST", f"{API}/users", {"name": "ben", "role": "viewer", "password": PASSWORD}, site.admin).status == 201
    assert ask("POST", f"{API}/users", {"name": "ben", "role": "viewer", "password": PASSWORD}, site.admin).code == "taken"
    ben = cookie(site.page.sign_in("ben"))
    assert ask("GET", f"{API}/audit", headers=ben).code == "forbidden"
    assert ask("PATCH", f"{API}/users/ben", {"role": "admin"}, site.admin).status == 204
    assert ask("GET", f"{API}/audit", headers=ben).status == 200
    assert ask("PATCH", f"{API}/users/ben", {"role": "operator"}, site.admin).status == 204
    assert ask("GET", f"{API}/audit", headers=ben).code == "forbidden"
    assert ask("DELETE", f"{API}/users/anna", headers=site.admin).code == "last-admin"
    assert ask("PATCH", f"{API}/users/anna", {"role": "viewer"}, site.admin).code == "last-admin"
    assert ask("DELETE", f"{API}/users/ben", headers=site.admin).status == 204
    assert ask("GET", f"{API}/status", headers=ben).code == "signed-out"
    assert ask("DELETE", f"{API}/users/ben", headers=site.admin).status == 404
    wrong = {"old": "something else", "new": "a new long password"}
    assert ask("POST", f"{API}/session/password", wrong, site.admin).code == "wrong-login"
    assert ask("POST", f"{API}/session/password", {**wrong, "old": PASSWORD}, site.admin).status == 204
    assert site.page.elsewhere().sign_in().code == "wrong-login"
    assert site.page.elsewhere().sign_in(password="a new long password").status == 200


def test_the_audit_outlives_a_kill_and_tells_no_secret(site):
    site.page.sign_in("anna", "guessed it wrong")
    site.token("viewer")
    site.gateway.signal(signal.SIGKILL)
    site.gateway.child.wait()
    site.gateway.start()
    wait_for(lambda: listening(site.port), what="the page listening")
    assert site.page.ask("GET", f"{API}/status", headers=site.admin).status == 401, "sessions end with the process"
    answer = site.page.sign_in()
    rows = site.page.ask("GET", f"{API}/audit?limit=100", headers=cookie(answer)).json["rows"]
    whats = [row["what"] for row in rows]
    assert whats == ["signed-in", "token-added", "sign-in-refused", "set-up"], rows
    assert all(row["who"] == "anna" and row["from"] == "127.0.0.1" and row["at_wall_ms"] > 1e12 for row in rows)
    page = site.page.ask("GET", f"{API}/audit?limit=3", headers=cookie(answer)).json
    assert [row["what"] for row in page["rows"]] == whats[:3]
    rest = site.page.ask("GET", f"{API}/audit?limit=3&after={page['next']}", headers=cookie(answer)).json
    assert [row["what"] for row in rest["rows"]] == whats[3:] and rest["next"] is None
    text = "".join(path.read_text(errors="replace") for path in (site.gateway.state / "audit.jsonl", site.gateway.log))
    for secret in (PASSWORD, "guessed it wrong", "fhk_", "$argon2"):
        assert secret not in text, secret


def test_every_write_that_is_carried_out_is_in_the_audit(site):
    """Also of routes that say nothing of it themselves; what is refused or only looks is not."""
    assert site.page.ask("POST", f"{API}/scan", {"bus": "none"}, site.admin).status >= 400
    text = site.page.ask("GET", f"{API}/config", headers=site.admin).json["text"]
    draft = site.page.ask("GET", f"{API}/draft", headers=site.admin)
    changed = {"text": text + "# a remark\n"}
    put = site.page.ask("PUT", f"{API}/draft", changed, {**site.admin, "If-Match": draft.json["etag"]})
    assert put.status == 200, put.body
    applied = site.page.ask("POST", f"{API}/draft/apply", {}, {**site.admin, "If-Match": put.json["etag"]})
    assert applied.status == 200, applied.body
    back = site.page.ask("POST", f"{API}/config/rollback", {}, site.admin)
    assert back.status == 200, back.body
    rows = site.page.ask("GET", f"{API}/audit", headers=site.admin).json["rows"]
    assert [row["what"] for row in rows] == ["config-rollback", "draft-apply", "set-up"], rows
    assert all(row["who"] == "anna" for row in rows)


def test_damaged_accounts_begin_anew_with_the_code(site):
    assert site.gateway.stop() == 0
    path = site.gateway.state / "accounts.json"
    assert os.stat(path).st_mode & 0o777 == 0o600
    path.write_text("{ users: [")
    site.gateway.start()
    wait_for(lambda: listening(site.port), what="the page listening")
    assert "the accounts of the web page can't be understood" in site.gateway.output()
    assert (site.gateway.state / "accounts.damaged").read_text() == "{ users: ["
    assert site.page.ask("GET", f"{API}/session").json["state"] == "setup"
    assert site.page.set_up("wrong").code == "wrong-code"
    assert site.page.set_up(site.code(), "ben").status == 200


def test_the_command_line_manages_accounts_with_and_without_a_gateway(tmp_path, started):
    site = Site(tmp_path, started, new=True)
    word = "a long enough one\n"
    refused = site.run("user", "add", "ben", "--role", "viewer", stdin=word)
    assert refused.returncode == 2 and "administrator" in refused.stderr
    assert "no account" in site.run("user", "list").stdout
    done = site.run("user", "add", "anna", "--role", "admin", stdin=word)
    assert done.returncode == 0, done.stderr
    session = cookie(site.page.sign_in("anna", word.strip()))
    done = site.run("user", "passwd", "anna", stdin="another long one\n")
    assert done.returncode == 0, done.stderr
    assert site.page.ask("GET", f"{API}/status", headers=session).status == 401
    assert site.page.sign_in("anna", "another long one").status == 200
    weak = site.run("user", "passwd", "anna", stdin="short\n")
    assert weak.returncode == 2 and "at least 10 characters" in weak.stderr
    assert site.gateway.stop() == 0
    assert site.run("setup-code").returncode == 1
    assert site.run("user", "add", "ben", "--role", "viewer", stdin=word).returncode == 0
    last = site.run("user", "remove", "anna")
    assert last.returncode == 2 and "last administrator" in last.stderr
    listed = site.run("user", "list").stdout
    assert re.search(r"anna +admin +seen 20", listed) and re.search(r"ben +viewer +never", listed), listed
    site.gateway.start()
    wait_for(lambda: listening(site.port), what="the page listening")
    assert site.page.sign_in("ben", word.strip()).status == 200


def test_whoever_installed_the_authority_sees_a_good_certificate(tmp_path, started):
    site = Site(tmp_path, started, web="hosts: [gateway.plant.lan]", new=True)
    blind = Page(site.port, ssl._create_unverified_context())
    answer = blind.ask("GET", f"{API}/certificate")
    assert answer.status == 200 and b"PRIVATE" not in answer.body and b"BEGIN CERTIFICATE" in answer.body
    context = ssl.create_default_context(cadata=answer.body.decode())
    for name in ("localhost", "127.0.0.1", "gateway.plant.lan", socket.gethostname().split(".")[0].lower()):
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as sock:
            with context.wrap_socket(sock, server_hostname=name) as secure:
                assert secure.version() == "TLSv1.3", name
    with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(("127.0.0.1", site.port)) as sock:
        context.wrap_socket(sock, server_hostname="bank.example")
    page = Page(site.port, context)
    answer = page.set_up(None)
    words = answer.headers["set-cookie"].split("; ")
    assert words[0].startswith("__Host-fieldhold=") and {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"} <= set(words)
    assert page.ask("GET", f"{API}/status", headers=cookie(answer)).status == 200
    for name in ("authority.pem", "page.pem"):
        assert os.stat(site.gateway.state / "web" / name).st_mode & 0o777 == 0o600
    before = (site.gateway.state / "web" / "page.pem").read_text()
    assert site.gateway.stop() == 0
    site.gateway.start()
    wait_for(lambda: listening(site.port), what="the page listening")
    assert (site.gateway.state / "web" / "page.pem").read_text() == before, "a restart makes no new one"


def test_a_certificate_of_ones_own_is_shown_and_checked(tmp_path, started):
    directory = tmp_path / "gw"
    directory.mkdir()
    certificates.authority(directory)
    certificates.certificate(directory, "page", "page")
    site = Site(tmp_path, started, web="tls: { certificate: page.pem, key: page.key }", new=True)
    page = Page(site.port, ssl.create_default_context(cafile=directory / "ca.pem"))
    assert page.ask("GET", f"{API}/certificate").status == 404
    answer = page.set_up(None)
    texts = {"certificate": (directory / "page.pem").read_text(), "key": (directory / "page.key").read_text()}
    kept = page.ask("POST", f"{API}/certificate", texts, cookie(answer))
    assert kept.status == 200 and os.stat(kept.json["key"]).st_mode & 0o777 == 0o600
    wrong = page.ask("POST", f"{API}/certificate", {**texts, "key": (directory / "ca.key").read_text()}, cookie(answer))
    assert wrong.status == 422 and "does not belong" in wrong.json["reason"]
    checked = site.run("check")
    assert checked.returncode == 0, checked.stderr
    (directory / "page.key").write_text("nothing")
    checked = site.run("check")
    assert checked.returncode == 2 and "web.tls.key" in checked.stderr, checked.stderr


def test_a_taken_port_is_a_state(tmp_path, started):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = started(Gateway(tmp_path / "gw", config(port)))
        waiting = gateway.wait(lambda s: s["units"]["web"]["state"] == "waiting", what="the state of the page")
        assert "can't listen" in json.dumps(waiting["units"]["web"])
    wait_for(lambda: Page(port).ask("GET", f"{API}/session").status == 200 if listening(port) else None, 60,
             "the page on the port that became free")
    assert gateway.stop() == 0
