// npm's mqtt as a client of the tests: one command in (JSON), one line of JSON out per event.
//   { url, options, subscribe: [[filter, qos]], publish: [[topic, payload, qos, retain]], receive: n, linger }
// Certificates in `options` are paths. Ends when `receive` messages have come, or at once if 0.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const require = createRequire(process.argv[2] + '/');
const mqtt = require('mqtt');
const command = JSON.parse(process.argv[3]);
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const options = { reconnectPeriod: 0, connectTimeout: 10000, ...command.options };
for (const key of ['ca', 'cert', 'key']) if (options[key]) options[key] = readFileSync(options[key]);
const client = mqtt.connect(command.url, options);
let missing = command.receive ?? 0;
const end = () => client.end(false, {}, () => process.exit(0));
client.on('error', (error) => { say({ error: String(error), code: error.code ?? null }); process.exit(1); });
client.on('message', (topic, payload, packet) => {
  say({ topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup });
  if (--missing === 0 && published) end();
});
let published = false;
client.on('connect', async (connack) => {
  say({ connected: true, session: connack.sessionPresent });
  for (const [filter, qos] of command.subscribe ?? []) {
    const granted = await client.subscribeAsync(filter, { qos });
    say({ granted: granted.map((grant) => grant.qos) });
  }
  for (const [topic, payload, qos, retain] of command.publish ?? []) {
    await client.publishAsync(topic, payload, { qos, retain });
  }
  published = true;
  say({ published: (command.publish ?? []).length });
  if (missing <= 0) end();
});
