/** `pnpm --filter @resil/sim overload`: a real HTTP server at five times its capacity, with and without an adaptive limiter. */
import { limiters } from './limiters.js';
import { type Load, OverloadBed } from './overload.js';

const bed = await OverloadBed.start({
  workers: 20,
  serviceTime: 100,
  timeout: 1_000,
  times: 5,
  warmUp: 3_000,
  duration: 10_000,
});
try {
  const { capacity } = bed;
  const measured = await bed.measure();
  console.log(
    `20 workers of 100 ms each: ${capacity} calls per second at best, ${measured.toFixed(1)} measured with all of them busy.\n` +
      'Offered five times as many for 10 s, timeout 1 s; shares are of what is best:\n',
  );
  console.log('| limiter | calls | in time | too late | refused at once | of the capacity |');
  console.log('| --- | --- | --- | --- | --- | --- |');
  const tell = (name: string, { calls, good, failed, refused, goodput }: Load): void =>
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
