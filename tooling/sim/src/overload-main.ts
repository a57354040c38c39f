/** `pnpm --filter @resil/sim overload`: a real HTTP server at five times its capacity, with and without an adaptive limiter. */
import { limiters } from './limiters.js';
import { type Load, OverloadBed } from './overload.js';
import { overloadVirtually } from './slow-host.js';

const bed = await OverloadBed.start({
  workers: 20,
  serviceTime: 100,
  timeout: 1_000,
  times: 5,
  warmUp: 3_000,
  duration: 10_000,
});
try {
  const measured = await bed.measure();
  console.log(
    `20 workers of 100 ms each: ${bed.capacity} calls per second at best, ${measured.toFixed(1)} measured with all of them busy.\n` +
      'Offered five times as many for 10 s, timeout 1 s; shares are of what its workers could do in that run:\n',
  );
  console.log('| limiter | calls | in time | too late | refused at once | of the capacity |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  const tell = (name: string, { calls, good, failed, refused, goodput, capacity }: Load): void =>
    console.log(
      `| ${name} | ${calls} | ${good} | ${failed} | ${refused} | ${((100 * goodput) / capacity).toFixed(1)} % |`,
    );
  tell('none', await bed.overload([]));
  for (const [name, make] of Object.entries(limiters)) {
    const limiter = make();
    const load = await bed.overload([limiter]);
    tell(`${name}, at the end ${limiter.limit}`, load);
  }
} finally {
  await bed.stop();
}

console.log('\nThe same on virtual time, of the capacity:\n');
console.log(
  '| limiter | nothing else | answers 150 ms slower from second 5 on, the server as fast |',
);
console.log('| --- | --- | --- |');
for (const name of ['none', ...Object.keys(limiters)]) {
  const quiet = await overloadVirtually(name);
  const slow = await overloadVirtually(name, (now) => (now < 5_000 ? 0 : 150));
  console.log(
    `| ${name} | ${(100 * quiet.share).toFixed(1)} % | ${(100 * slow.share).toFixed(1)} % |`,
  );
}
