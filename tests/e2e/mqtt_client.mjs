// npm's mqtt as a client of the tests: a command on standard input (JSON), one line of JSON out per event.
//   { url, options, subscribe: [[filter, qos]], publish: [[topic, payload, qos, retain]], receive: n }
// Certificates in `options` are paths. Ends when all is published and `receive` messages have come and are
// acknowledged.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const mqtt = createRequire(process.argv[2] + '/')('mqtt');
const command = JSON.parse(readFileSync(0));
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const options = { reconnectPeriod: 0, connectTimeout: 10000, ...command.options };
for (const key of ['ca', 'cert', 'key']) if (options[key]) options[key] = readFileSync(options[key]);

let missing = command.receive ?? 0;
let unacknowledged = 0;
let published = false;
const client = mqtt.connect(command.url, options);
const look = () => {
  if (published && missing <= 0 && unacknowledged <= 0) client.end(false, {}, () => process.exit(0));
};
client.on('error', (error) => { say({ error: String(error), code: error.code ?? null }); process.exit(1); });
client.on('message', (topic, payload, packet) => {
  say({ topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup });
  missing -= 1;
  if (packet.qos > 0) unacknowledged += 1;
  look();
});
client.on('packetsend', (packet) => {
  if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') setImmediate(() => { unacknowledged -= 1; look(); });
});
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
  look();
});
