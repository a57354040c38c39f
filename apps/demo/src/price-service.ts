/** Main file of the price service: the HTTP service of the testbed, with prices and a real capacity. */

import { type HttpFaults, type HttpHandler, startHttpService } from '@resil/testbed';
import { answerParent, childOptions } from '@resil/testbed/child';
import { seededRandom } from '@resil/testing';
import { items, priceService } from './scenario.js';

/** What the price service can be asked. */
export type PriceServiceQuestion =
  | { readonly type: 'port' }
  | { readonly type: 'faults'; readonly faults: HttpFaults }
  | { readonly type: 'hits' };

const { seed } = childOptions<{ readonly seed: number }>();

/** In cents; it wanders a little with time, so that a last known price may be another one. */
const priceOf =
  (item: number): HttpHandler =>
  () => ({ price: 1_000 + 250 * item + Math.round(20 * Math.sin(Date.now() / 5_000 + item)) });

const service = await startHttpService({
  ...priceService,
  handlers: Object.fromEntries(items.map((item, index) => [`/prices/${item}`, priceOf(index)])),
  random: seededRandom(seed),
});

answerParent((question: PriceServiceQuestion) => {
  switch (question.type) {
    case 'port':
      return service.port;
    case 'faults':
      return service.set(question.faults);
    case 'hits':
      return service.counters().hits;
  }
});
