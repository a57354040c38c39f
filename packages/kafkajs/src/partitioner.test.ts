import { Partitioners } from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { murmur2, Partitions } from './partitioner.js';

const metadata = (count: number, dead: number[] = []) =>
  Array.from({ length: count }, (_, partitionId) => ({
    partitionErrorCode: 0,
    partitionId,
    leader: dead.includes(partitionId) ? -1 : 1,
    replicas: [1],
    isr: [1],
  }));

describe('murmur2', () => {
  it('is that of the Java client', () => {
    // From kafka's UtilsTest.testMurmur2.
    expect(murmur2('21')).toBe(-973932308);
    expect(murmur2('foobar')).toBe(-790332482);
    expect(murmur2('a-little-bit-long-string')).toBe(-985981536);
    expect(murmur2('lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8')).toBe(-58897971);
    expect(murmur2(Buffer.from('abc'))).toBe(479470107);
  });
});

describe('Partitions', () => {
  it("puts keyed messages where kafkajs' own partitioner puts them", () => {
    const partitions = new Partitions(undefined, undefined);
    const theirs = Partitioners.DefaultPartitioner();
    const ours = partitions.createPartitioner();
    for (let i = 0; i < 2_000; i += 1) {
      const message = { key: i % 2 ? `key-${i}` : Buffer.from([i, i >> 3, 200]), value: '' };
      const args = { topic: 't', partitionMetadata: metadata(7), message };
      expect(ours(args)).toBe(theirs(args));
    }
  });

  it('goes round over the partitions that have a leader', () => {
    const partitions = new Partitions(undefined, () => 0);
    const ours = partitions.createPartitioner();
    const partitionMetadata = metadata(4, [2]);
    const next = () => ours({ topic: 't', partitionMetadata, message: { value: '' } });
    expect([next(), next(), next(), next()]).toEqual([1, 3, 0, 1]);
  });

  it("asks the user's partitioner once for a message, however often kafkajs asks", () => {
    let asked = 0;
    const partitions = new Partitions(() => () => asked++, undefined);
    const ours = partitions.createPartitioner();
    const args = { topic: 't', partitionMetadata: metadata(3), message: { value: '' } };
    expect([ours(args), ours(args), ours(args)]).toEqual([0, 0, 0]);
    expect(partitions.assignedTo(args.message)).toBe(0);
  });

  it('has the cluster asked again for a partition it does not know, and then refuses it', () => {
    const ours = new Partitions(undefined, undefined).createPartitioner();
    const args = {
      topic: 't',
      partitionMetadata: metadata(3),
      message: { value: '', partition: 3 },
    };
    expect(() => ours(args)).toThrow(expect.objectContaining({ name: 'KafkaJSMetadataNotLoaded' }));
    expect(() => ours(args)).toThrow("topic 't' has no partition 3; it has 3");
    expect(ours({ ...args, partitionMetadata: metadata(4) })).toBe(3);
  });
});
