"""A document of docs/ carried out as it stands: what it says to type is typed, what it shows must come.

How a fenced block is understood, by the words behind its fence (a reader sees none of them):

- `sh`: a script for bash that has to end well;
- `sh background`: the same, left running until the document ends, as in a second terminal;
- `sh elsewhere`: for another machine or carried out by another test, whose name follows;
- `yaml NAME`: the file NAME is written;
- `text`: what the script above prints. `...` stands for anything, and lines may come before and after. It is run again
  until it prints that, since a gateway has to reach a device first; one that goes on by itself is ended then.

Anything else, as `json` or `yaml` without a name, is only to be read.
"""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

FENCE = re.compile(r"^```(\w*) ?(.*)$")
FAILED = (1, 2)  # and no signal: some documents kill what they started
SECONDS = 60  # until what is shown has to have come


class Block:
    """What stands between two fences."""

    def __init__(self, line, language, words, text):
        self.line, self.language, self.words, self.text, self.shown = line, language, words.split(), text, None


def blocks(document):
    """Every block of a Markdown text; a `text` becomes what the script before it shows."""
    found, lines = [], iter(enumerate(document.splitlines(), 1))
    for number, line in lines:
        fence = FENCE.match(line)
        if not fence:
            continue
        body = []
        for _, inner in lines:
            if inner.startswith("```"):
                break
            body.append(inner)
        block = Block(number, fence[1], fence[2], "\n".join(body) + "\n")
        if block.language == "text" and found and found[-1].language == "sh":
            found[-1].shown = block.text
        else:
            found.append(block)
    return found


def pattern(shown):
    """What is shown, as a pattern for what is printed."""
    lines = [line.rstrip() for line in shown.rstrip("\n").split("\n")]
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(map(re.escape, line.split("..."))) + r"[ \t]*(?:\n|\Z)")
    return re.compile("^" + "".join(parts), re.M)


class Walk:
    """Carries out one document in a directory."""

    def __init__(self, directory, environment, seconds=SECONDS):
        self.directory, self.environment, self.seconds, self.left = directory, environment, seconds, []

    def document(self, path):
        for block in blocks(path.read_text()):
            where = f"{path.name}:{block.line}"
            if block.language == "yaml" and block.words:
                (self.directory / block.words[0]).write_text(block.text)
            elif block.language == "sh" and block.words[:1] == ["background"]:
                self.left.append((where, self.begin(block.text, tempfile.TemporaryFile("w+"))))
            elif block.language == "sh" and not block.words:
                self.script(where, block)
            elif block.language == "sh" and block.words[0] != "elsewhere":
                raise SystemExit(f"{where}: {block.words} means nothing")
            for started, (child, out) in self.left:
                if child.poll() in FAILED:
                    raise SystemExit(f"{started}: ended with {child.returncode}:\n{printed(out)}")

    def script(self, where, block):
        end = time.monotonic() + self.seconds
        wanted = pattern(block.shown) if block.shown else None
        last = ""
        while True:
            with tempfile.TemporaryFile("w+") as out:
                child, _ = self.begin(block.text, out)
                while child.poll() is None and time.monotonic() < end and not (wanted and wanted.search(printed(out))):
                    time.sleep(0.05)
                said, code = printed(out), child.poll()
                stop(child)
            if wanted and wanted.search(said):
                return
            if not wanted and code == 0:
                return
            last = said or last
            if not wanted or time.monotonic() > end:
                gateways = "\n".join(f"--- {at}\n{printed(out)[-3000:]}" for at, (_, out) in self.left)
                raise SystemExit(f"{where}: exit code {code}; it printed\n{last}\nand should have\n{block.shown}\n{gateways}")
            time.sleep(0.3)

    def begin(self, script, out):
        child = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.directory, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )
        return child, out

    def close(self):
        for _, (child, _) in reversed(self.left):
            stop(child)


def printed(out):
    return pathlib.Path(f"/proc/self/fd/{out.fileno()}").read_text(errors="replace")


def stop(child):
    """Ends a script with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if child.poll() is not None and number == signal.SIGTERM:
            continue
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            continue
