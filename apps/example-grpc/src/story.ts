/**
 * A checkout asks the inventory service for stock, by a plain gRPC client and by a guarded one, while
 * the service is restarted, fails now and then, and stops answering. Same calls, same faults, same time.
 */
import { isResilienceError } from '@resil/core';
import { startGrpcProcess } from '@resil/testbed';
import { connect, guardedInventory, type Inventory } from './clients.js';

const CALLS = 150;
const PAUSE = 10;

const wait = (duration: number) => new Promise((resolve) => setTimeout(resolve, duration));

/** One question about stock, with the deadline that any caller should give. */
function ask(client: Inventory): Promise<{ source: string; duration: number }> {
  const began = performance.now();
  return new Promise((resolve) => {
    client.getStock({ sku: 'tea' }, { deadline: Date.now() + 2_000 }, (error, stock) => {
      const cause = (error as { cause?: unknown } | null)?.cause;
      const source =
        error === null
          ? stock?.available === -1
            ? 'estimate'
            : 'answer'
          : isResilienceError(cause)
            ? cause.code
            : error.message.replace(/:.*/s, '');
      resolve({ source, duration: performance.now() - began });
    });
  });
}

/** Asks again and again; tells how often it got what, and the longest wait. */
async function shop(client: Inventory): Promise<string> {
  const asked = [];
  for (let call = 0; call < CALLS; call++) {
    asked.push(ask(client));
    await wait(PAUSE);
  }
  const results = await Promise.all(asked);
  const counts = new Map<string, number>();
  for (const { source } of results) counts.set(source, (counts.get(source) ?? 0) + 1);
  const longest = Math.max(...results.map(({ duration }) => duration));
  const told = [...counts].map(([source, count]) => `${count} ${source}`).join(', ');
  return `${told}; longest wait ${(longest / 1_000).toFixed(1)} s`;
}

/** Tells the story, line by line. */
export async function story(print: (lines: string) => void): Promise<void> {
  let service = await startGrpcProcess();
  // Each of the two has a connection of its own.
  const own = { 'grpc.use_local_subchannel_pool': 1 };
  const plain = connect(service.address, own);
  const guarded = guardedInventory(service.address, own);

  async function compare(title: string, during: () => Promise<void>): Promise<void> {
    const faults = during();
    const [bare, kept] = await Promise.all([shop(plain), shop(guarded)]);
    await faults;
    print(`${title}\n  plain    ${bare}\n  guarded  ${kept}`);
    await wait(600);
  }

  await Promise.all([ask(plain), ask(guarded)]);

  await compare('The service fails one call in three.', () => service.set({ statusRatio: 1 / 3 }));
  await service.set();

  await compare('It is killed, and started again.', async () => {
    await wait(300);
    await service.kill();
    service = await startGrpcProcess({ port: service.port });
  });

  await compare('It stops answering for a second.', async () => {
    await wait(200);
    service.suspend();
    await wait(1_000);
    service.resume();
  });

  plain.close();
  guarded.close();
  await service.kill();
}
