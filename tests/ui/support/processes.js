// Child processes of the tests, and waiting for what they do. Everything is on loopback, on ports
// of its own, and ends with the test that began it.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../../..');
export const BINARY = process.env.FIELDHOLD_BIN ?? join(ROOT, 'target/debug/fieldhold');

/** The longest that anything is waited for; the machine that runs this may be slow. */
export const PATIENCE_MS = 30_000;

/** Asks until the answer is true and resolves to it. */
export async function until(condition, what, ms = PATIENCE_MS) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await condition();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what} did not come true within ${ms} ms`);
    await new Promise((then) => { setTimeout(then, 25); });
  }
}

/** Below the ports that the system gives to outgoing connections. */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const free = await new Promise((then) => {
      const server = createServer();
      server.once('error', () => then(false));
      server.listen(port, '127.0.0.1', () => server.close(() => then(true)));
    });
    if (free) return port;
  }
}

/** A directory that goes with the test. */
export function directory(t) {
  const path = mkdtempSync(join(tmpdir(), 'fieldhold-ui-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A program whose output is kept. */
export class Child {
  constructor(program, args, options = {}) {
    this.output = '';
    this.child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.child.stdout.on('data', (data) => { this.output += data; });
    this.child.stderr.on('data', (data) => { this.output += data; });
    this.child.stdin.on('error', () => {});
    this.ended = new Promise((then) => { this.child.once('close', then); });
    this.child.once('error', (error) => { this.output += `\n${error}`; });
  }

  say(line) { this.child.stdin.write(`${line}\n`); }

  async kill(signal = 'SIGKILL') {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGCONT');
      this.child.kill(signal);
    }
    await this.ended;
  }
}

/** One that ends with the test. */
export function child(t, program, args, options) {
  const started = new Child(program, args, options);
  t.after(() => started.kill());
  return started;
}

/** Waits until the program said something; with what it said if that never comes. */
export function said(process, pattern) {
  return until(() => {
    if (process.child.exitCode !== null) throw new Error(`it ended:\n${process.output}`);
    return pattern.exec(process.output);
  }, `${pattern} of the output`).catch((error) => { throw new Error(`${error.message}; it said:\n${process.output}`); });
}
