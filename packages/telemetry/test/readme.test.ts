import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { instruments, prometheusName } from '../src/index.js';

/** The README's table of metrics. */
function table(): string {
  const rows = Object.values(instruments).map((instrument) => {
    const { name, kind, unit, description, attributes } = instrument;
    const labels = attributes.map((attribute) => `\`${attribute}\``).join(', ');
    return `| \`${name}\`<br>\`${prometheusName(instrument)}\` | ${kind}, \`${unit}\` | ${labels} | ${description} |`;
  });
  return ['| metric | kind, unit | attributes | what |', '| --- | --- | --- | --- |', ...rows].join(
    '\n',
  );
}

describe('README', () => {
  it('has the table of metrics as it is', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const found = /<!-- metrics -->\n(.*)\n<!-- \/metrics -->/s.exec(readme)?.[1];
    expect(found).toBe(table());
  });
});

describe('instruments', () => {
  it('have names of their own, in both worlds', () => {
    const all = Object.values(instruments);
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    const names = all.map(prometheusName);
    expect(new Set(names).size).toBe(all.length);
    for (const name of names) expect(name).toMatch(/^[a-z][a-z_]*[a-z]$/);
  });

  it('have no name that is the namespace of another', () => {
    const names = Object.values(instruments).map(({ name }) => name);
    for (const name of names) {
      expect(names.filter((other) => other.startsWith(`${name}.`))).toEqual([]);
    }
  });

  it('are named for Prometheus as OpenTelemetry does it', () => {
    expect(prometheusName(instruments.callDuration)).toBe('resil_call_duration_seconds');
    expect(prometheusName(instruments.circuitTime)).toBe('resil_circuit_duration_seconds_total');
    expect(prometheusName(instruments.refusals)).toBe('resil_refusals_total');
    expect(prometheusName(instruments.queueLength)).toBe('resil_queue_length');
    expect(prometheusName(instruments.throttleRatio)).toBe('resil_throttle_rejection_ratio');
  });

  it('have buckets that rise, if they are histograms', () => {
    for (const { kind, buckets } of Object.values(instruments)) {
      expect(buckets === undefined).toBe(kind !== 'histogram');
      expect([...(buckets ?? [])].sort((a, b) => a - b)).toEqual(buckets ?? []);
    }
  });
});
