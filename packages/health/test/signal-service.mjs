// A service that drains at a signal, as it is built: run by signals.test.ts.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { pipeline } from '@resil/core';
import { drainOnSignals, health } from '../dist/index.js';

const [, , how] = process.argv;
const calls = pipeline('calls');
const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');

drainOnSignals(health(), {
  deadline: how === 'endless' ? 600_000 : 1_000,
  readinessDelay: 0,
  stop: {
    http: () => {
      if (how === 'endless') console.log('stopping');
      return new Promise((resolve) => server.close(resolve));
    },
  },
  close: { pool: () => {} },
  onDrained: (report) => console.log(JSON.stringify(report)),
});
void calls.execute(() => (how === 'clean' ? delay(200) : delay(600_000)));
console.log('listening');
