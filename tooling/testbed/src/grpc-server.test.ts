import { type Client, credentials } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { InventoryClient, type InventoryMethods } from './grpc-definitions.js';
import { startGrpcProcess } from './grpc-process.js';
import { startGrpcService } from './grpc-server.js';

const open: Client[] = [];
afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

function connect(service: { readonly address: string }): Client & InventoryMethods {
  const client = new InventoryClient(service.address, credentials.createInsecure());
  open.push(client);
  return client as unknown as Client & InventoryMethods;
}

const codeOf = (client: InventoryMethods): Promise<number> =>
  new Promise((resolve) =>
    client.getStock({ sku: 'a' }, { deadline: Date.now() + 5_000 }, (error) =>
      resolve((error as { code?: number } | null)?.code ?? 0),
    ),
  );

describe('the gRPC service', () => {
  it('fails as it is told, and counts what arrived', async () => {
    const service = await startGrpcService({ faults: { statuses: [14, 0, 8] } });
    const client = connect(service);
    expect([await codeOf(client), await codeOf(client), await codeOf(client)]).toEqual([14, 0, 8]);
    service.set({ statusRatio: 1, status: 5 });
    expect(await codeOf(client)).toBe(5);
    expect(service.counters()).toMatchObject({ hits: 4, byMethod: { GetStock: 4 } });
    service.resetCounters();
    expect(service.counters().hits).toBe(0);
    service.stop();
  });

  it('streams, and fails after as many messages as it is told', async () => {
    const service = await startGrpcService();
    const client = connect(service);
    const skus: string[] = [];
    for await (const { sku } of client.listStock({ count: 2 })) skus.push(sku);
    expect(skus).toEqual(['sku-0', 'sku-1']);
    service.set({ statusRatio: 1, failAfterMessages: 1 });
    const stream = client.listStock({ count: 5 });
    let messages = 0;
    stream.on('data', () => messages++);
    await new Promise((resolve) => stream.on('error', resolve));
    expect(messages).toBe(1);
    service.stop();
  });

  it('runs in a process of its own, which can be killed and started on the same port', async () => {
    const first = await startGrpcProcess({ faults: { statuses: [13] } });
    expect(await codeOf(connect(first))).toBe(13);
    expect((await first.counters()).hits).toBe(1);
    await first.kill();
    const second = await startGrpcProcess({ port: first.port });
    expect(await codeOf(connect(second))).toBe(0);
    await second.kill();
  });
});
