// The generated alerts in the hands of Prometheus' own tool: whether it takes them, and when they fire.

import path from 'node:path';
import { type InstrumentId, instruments, prometheusLabel, prometheusName } from '@resil/telemetry';
import { describeWithPrometheus, prometheusMissing, promtool } from '@resil/testbed';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Inspection, operationsKit } from '../src/index.js';
import { Modules } from './modules.js';

const modules = new Modules();
const source = `
  import { bulkhead, circuitBreaker, failover, fallback, pipeline, retry, retryBudget, throttle, timeout } from '@resil/core';
  export const prices = pipeline(
    { name: 'prices', dependency: { client: 'kafkajs' } },
    fallback(() => 0),
    timeout({ duration: 2_000 }),
    retry({ maxAttempts: 3, budget: retryBudget() }),
    failover({ endpoints: ['a', 'b'] }),
    circuitBreaker({ name: 'prices', failureThreshold: 5, resetTimeout: 10_000 }),
    throttle({ name: 'prices' }),
    bulkhead({ name: 'prices', maxConcurrentCalls: 6, maxQueueSize: 10 }),
    timeout({ duration: 500 }),
  );
  export const odd = pipeline('odd "name" \\\\ {x}', timeout({ duration: 500 }));`;

/** Values of a series, minute by minute, as promtool writes them: \`0+60x10\` grows by 60 ten times. */
interface Input {
  readonly id: InstrumentId;
  readonly ending?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly values: string;
}

function seriesOf({ id, ending = '', labels = {}, values }: Input): object {
  const all = Object.entries({ 'resil.pipeline': 'prices', ...labels }).map(
    ([name, value]) => `${name === 'le' ? name : prometheusLabel(name)}="${value}"`,
  );
  return { series: `${prometheusName(instruments[id])}${ending}{${all.join(',')}}`, values };
}

const ended = (outcome: string, values: string): Input => ({
  id: 'callDuration',
  ending: '_count',
  labels: { 'resil.outcome': outcome },
  values,
});
const circuit = (state: string, values: string): Input => ({
  id: 'circuitState',
  labels: { 'resil.strategy': 'prices', 'resil.state': state },
  values,
});

describeWithPrometheus(
  { describe, it },
  await prometheusMissing(),
  'the alerts in Prometheus',
  () => {
    let service: Inspection;
    let kits = 0;

    beforeAll(async () => {
      service = await modules.inspect(source, 'shop');
    });

    /** Writes the rules, and what promtool is to do with them. */
    async function ask(timeScale: number, tests: (rules: string) => object | undefined) {
      const folder = `alerts-${++kits}`;
      const kit = operationsKit(service, { timeScale });
      const rules = await modules.write(kit['alerts.yml'] ?? '', `${folder}/alerts.yml`);
      const wanted = tests(path.basename(rules));
      if (wanted === undefined) return promtool(['check', 'rules', '--lint=all', rules]);
      const file = await modules.write(JSON.stringify(wanted), `${folder}/test.yml`);
      return promtool(['test', 'rules', path.basename(file)], path.dirname(file));
    }

    /** Checks in which minutes an alert fires, and in which it doesn't. */
    async function fires(
      alert: string,
      inputs: readonly Input[],
      when: Record<string, boolean>,
      interval = '1m',
    ) {
      const { ok, output } = await ask(1, (rules) => ({
        rule_files: [rules],
        evaluation_interval: interval,
        tests: [
          {
            interval,
            input_series: inputs.map(seriesOf),
            promql_expr_test: Object.entries(when).map(([minute, firing]) => ({
              expr: `count(ALERTS{alertname="${alert}",alertstate="firing",dependency="prices"}) or vector(0)`,
              eval_time: minute,
              exp_samples: [{ labels: '{}', value: firing ? 1 : 0 }],
            })),
          },
        ],
      }));
      expect(output).toContain('SUCCESS');
      expect(ok, output).toBe(true);
    }

    it.each([1, 1 / 60, 0.0123])('are taken by promtool, windows × %d', async (timeScale) => {
      const { ok, output } = await ask(timeScale, () => undefined);
      expect(ok, output).toBe(true);
      expect(output).toMatch(/SUCCESS: \d+ rules found/);
    });

    it('burn the error budget fast: within minutes of an outage, until minutes after it', async () => {
      // Two hours all is well; then for 20 minutes nothing; then all is well again.
      await fires(
        'ResilErrorBudgetBurnsFast',
        [
          ended('succeeded', '0+600x120 72000x20 72000+600x60'),
          ended('failed', '0x120 0+300x20 6000x60'),
          ended('rejected', '0x120 0+300x20 6000x60'),
        ],
        { '119m': false, '124m': true, '140m': true, '180m': false },
      );
    });

    it('burn the error budget slowly: some failures for hours, and no page for them', async () => {
      const days = (succeeded: number, failed: number) => [
        ended('succeeded', `0+${succeeded}x160`),
        ended('failed', `0+${failed}x160`),
      ];
      // Every half an hour, for 80 hours.
      await fires('ResilErrorBudgetBurns', days(1_000, 4), { '78h': true }, '30m');
      await fires('ResilErrorBudgetBurns', days(10_000, 5), { '78h': false }, '30m');
      const hours = [ended('succeeded', '0+1000x370'), ended('failed', '0+4x370')];
      await fires('ResilErrorBudgetBurnsFast', hours, { '365m': false });
    });

    it('what callers aborted burns nothing', async () => {
      await fires(
        'ResilErrorBudgetBurnsFast',
        [ended('succeeded', '0+10x120'), ended('aborted', '0+1000x120')],
        { '119m': false },
      );
    });

    it('a circuit is open, through its probes, until a minute after it has closed', async () => {
      await fires(
        'ResilCircuitOpen',
        [circuit('open', '0x5 1 1 0 1 1 0 1 0x20'), circuit('closed', '1x5 0x6 1x20')],
        { '5m': false, '8m': true, '12m': true, '15m': false },
      );
    });

    it('a circuit is open, though every scrape meets one of its probes', async () => {
      await fires(
        'ResilCircuitOpen',
        [circuit('open', '0x30'), circuit('half-open', '0x5 1x10 0x15')],
        { '5m': false, '8m': true, '15m': true, '19m': false },
      );
    });

    it.each([
      [
        'ResilCircuitFlaps',
        [
          {
            id: 'circuitTransitions',
            labels: { 'resil.state': 'open', 'resil.mode': 'enforce', 'resil.strategy': 'prices' },
            values: '0x5 0+1x20 20x60',
          },
        ],
        { '4m': false, '20m': true, '80m': false },
      ],
      [
        'ResilCircuitIsolated',
        [circuit('isolated', '0x5 1x70 0x5')],
        { '60m': false, '70m': true, '77m': false },
      ],
      [
        'ResilManyRetries',
        [
          { id: 'attempts', labels: { 'resil.attempt.kind': 'first' }, values: '0+100x60' },
          {
            id: 'attempts',
            labels: { 'resil.attempt.kind': 'retry' },
            values: '0x10 0+50x20 1000x30',
          },
        ],
        { '10m': false, '25m': true, '40m': false },
      ],
      [
        'ResilRetryBudgetExhausted',
        [
          {
            id: 'budgetExhausted',
            labels: { 'resil.strategy': 'b' },
            values: '0x10 0+5x20 100x30',
          },
        ],
        { '10m': false, '20m': true, '40m': false },
      ],
      [
        'ResilQueueFull',
        [
          {
            id: 'queueLimit',
            labels: { 'resil.layer': 'bulkhead', 'resil.strategy': 'prices' },
            values: '10x30',
          },
          {
            id: 'queueLength',
            labels: { 'resil.layer': 'bulkhead', 'resil.strategy': 'prices' },
            values: '8x5 9x5 2x20',
          },
        ],
        { '5m': false, '9m': true, '15m': false },
      ],
      [
        'ResilCallsRefused',
        [
          {
            id: 'refusals',
            labels: { 'resil.layer': 'bulkhead', 'resil.mode': 'enforce', 'resil.reason': 'full' },
            values: '0x5 0+3x20 60x30',
          },
        ],
        { '5m': false, '15m': true, '40m': false },
      ],
      [
        'ResilSlow',
        [
          { id: 'callDuration', ending: '_bucket', labels: { le: '1' }, values: '0+100x60' },
          {
            id: 'callDuration',
            ending: '_bucket',
            labels: { le: '2.5' },
            values: '0+100x10 1000+120x50',
          },
          {
            id: 'callDuration',
            ending: '_bucket',
            labels: { le: '+Inf' },
            values: '0+100x10 1000+120x50',
          },
        ],
        { '10m': false, '30m': true },
      ],
      [
        'ResilTimeouts',
        [
          { id: 'attempts', labels: { 'resil.attempt.kind': 'first' }, values: '0+100x60' },
          {
            id: 'timeouts',
            labels: { 'resil.strategy': 'attempt' },
            values: '0+5x10 50+20x20 450x30',
          },
        ],
        { '9m': false, '25m': true, '50m': false },
      ],
      [
        'ResilFallbackAnswers',
        [ended('succeeded', '0+100x60'), { id: 'fallbacks', values: '0x10 0+20x20 400x30' }],
        { '10m': false, '28m': true, '50m': false },
      ],
      [
        'ResilThrottled',
        [
          {
            id: 'throttleRatio',
            labels: { 'resil.strategy': 'prices' },
            values: '0x5 0.4x10 0x20',
          },
        ],
        { '5m': false, '13m': true, '20m': false },
      ],
      [
        'ResilEndpointEjected',
        [
          {
            id: 'ejections',
            labels: { 'resil.endpoint': 'a', 'resil.mode': 'enforce' },
            values: '0x10 1x40',
          },
        ],
        { '9m': false, '12m': true, '30m': false },
      ],
      [
        'ResilDeadLetters',
        [
          {
            id: 'messages',
            labels: { 'resil.outcome': 'dead-lettered', 'messaging.destination.name': 'orders' },
            values: '0x10 3x40',
          },
        ],
        { '9m': false, '12m': true, '40m': false },
      ],
      [
        'ResilNotMeasured',
        [{ id: 'callsInFlight', values: '0x10 _x30 0x20' }],
        { '10m': false, '30m': true, '45m': false },
      ],
    ] as const satisfies readonly (readonly [string, readonly Input[], Record<string, boolean>])[])(
      '%s',
      async (alert, inputs, when) => fires(alert, inputs, when),
    );
  },
);
