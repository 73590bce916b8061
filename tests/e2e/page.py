"""The API of a gateway's page, as a browser on this machine uses it."""

import http.client
import json
import subprocess

from conftest import BINARY, listening, wait_for

USER, PASSWORD = "anna", "a long pass phrase 7"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()


class Page:
    """A signed-in administrator; the first one of a gateway makes the account."""

    def __init__(self, gateway, port, user=USER, password=PASSWORD):
        self.port, self.cookie = port, None
        wait_for(lambda: listening(port), what="the page listening")
        who = {"user": user, "password": password}
        # Without TLS there may be a proxy, so the code is needed on this machine, too.
        code = subprocess.run([BINARY, "setup-code", gateway.config], capture_output=True, text=True, timeout=30)
        if code.returncode == 0:
            answer = self.ask("POST", "/setup", {**who, "code": code.stdout.strip()})
        else:
            answer = self.ask("POST", "/session", who)
        assert answer.status == 200, (answer.status, answer.body)
        self.cookie = answer.headers["set-cookie"].split(";")[0]

    def ask(self, method, path, body=None, timeout=120):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Cookie": self.cookie} if self.cookie else {}
        text = None
        if body is not None:
            headers["Content-Type"], text = "application/json", json.dumps(body)
        connection.request(method, f"/api/v1{path}", text, headers)
        answer = connection.getresponse()
        answer = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return answer

    def get(self, path):
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer.status, answer.body)
        return answer.json

    def post(self, path, body=None):
        answer = self.ask("POST", path, body)
        assert answer.status == 200, (path, body, answer.status, answer.body)
        return answer.json

    def refused(self, method, path, body=None):
        """A problem, with the words that every one has."""
        answer = self.ask(method, path, body)
        assert answer.status >= 400, (path, body, answer.body)
        assert answer.headers["content-type"] == "application/problem+json", answer.headers
        problem = answer.json
        assert problem["status"] == answer.status and problem["title"] and problem["reason"], problem
        return problem

    def events(self, path, timeout=30):
        """The events of a stream as (name, data), for as long as they are read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.request("GET", f"/api/v1{path}", headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        name = None
        try:
            for line in answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    yield name, json.loads(line[5:])
        finally:
            connection.close()
