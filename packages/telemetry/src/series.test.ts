import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Instrument, instruments } from './instruments.js';
import { type Series, SeriesTable } from './series.js';
import { errorTypeOf, ShownValues, shownErrorType } from './shown-values.js';

function tableOf(max: number, values = 100, instrument: Instrument = instruments.timeouts) {
  let folded = 0;
  const table = new SeriesTable(
    instrument,
    [
      { name: 'resil.pipeline', shown: new ShownValues(values) },
      { name: 'resil.strategy', shown: new ShownValues(values) },
    ],
    max,
    () => {
      folded++;
    },
  );
  return { table, folded: () => folded };
}

const attributes = ({ attributes: own }: Series) => own;

describe('SeriesTable', () => {
  it('gives the same series for the same values', () => {
    const { table, folded } = tableOf(10);
    const one = table.at(['quotes'], ['timeout']);
    expect(table.at(['quotes'], ['timeout'])).toBe(one);
    expect(table.at(['orders'], ['timeout'])).not.toBe(one);
    expect(one.attributes).toEqual({ 'resil.pipeline': 'quotes', 'resil.strategy': 'timeout' });
    expect(folded()).toBe(0);
  });

  it('leaves out an attribute that does not apply', () => {
    const { table } = tableOf(10);
    expect(table.at(['quotes'], [undefined]).attributes).toEqual({ 'resil.pipeline': 'quotes' });
  });

  it('folds the values of an attribute for which there is no room', () => {
    const { table, folded } = tableOf(10, 2);
    for (const pipeline of ['a', 'b', 'c', 'd', 'c']) table.at([pipeline], ['timeout']).value++;
    expect(table.series.map(attributes)).toEqual([
      { 'resil.pipeline': 'a', 'resil.strategy': 'timeout' },
      { 'resil.pipeline': 'b', 'resil.strategy': 'timeout' },
      { 'resil.pipeline': 'other', 'resil.strategy': 'timeout' },
    ]);
    expect(table.series.map(({ value }) => value)).toEqual([1, 1, 3]);
    expect(folded()).toBe(3);
  });

  it('keeps one place for the series for which there is no room', () => {
    const { table, folded } = tableOf(3);
    for (const pipeline of ['a', 'b', 'c', 'd', 'a']) table.at([pipeline], ['timeout']).value++;
    expect(table.series.map(({ value }) => value)).toEqual([2, 1, 2]);
    expect(table.series.at(-1)?.attributes).toEqual({
      'resil.pipeline': 'other',
      'resil.strategy': 'other',
    });
    expect(folded()).toBe(2);
  });

  it('loses nothing and never has more series than allowed, whatever comes', () => {
    const values = fc.array(fc.tuple(fc.string(), fc.option(fc.string(), { nil: undefined })));
    fc.assert(
      fc.property(
        values,
        fc.integer({ min: 2, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        (all, max, shown) => {
          const { table } = tableOf(max, shown);
          for (const [pipeline, strategy] of all) table.at([pipeline], [strategy]).value++;
          expect(table.series.length).toBeLessThanOrEqual(max);
          expect(table.series.reduce((sum, { value }) => sum + value, 0)).toBe(all.length);
          const ids = table.series.map((series) => JSON.stringify(series.attributes));
          expect(new Set(ids).size).toBe(ids.length);
        },
      ),
    );
  });

  it('shows a URL without its secrets, and nothing endless', () => {
    const { table } = tableOf(10);
    const url = 'https://me:secret@prices.example:8443/v1?token=secret#secret';
    expect(table.at([url], [`${'x'.repeat(200)}`]).attributes).toEqual({
      'resil.pipeline': 'https://prices.example:8443/v1',
      'resil.strategy': `${'x'.repeat(99)}…`,
    });
    expect(table.at([url], ['y'])).toBe(table.at(['https://prices.example:8443/v1'], ['y']));
  });

  it('adds up, or keeps the least or the greatest, where values of a gauge meet', () => {
    const folds = { sum: 6, min: 1, max: 3 } as const;
    for (const [fold, expected] of Object.entries(folds)) {
      const { table } = tableOf(10, 10, { ...instruments.budgetLeft, fold: fold as 'sum' });
      for (const value of [2, 3, 1]) table.fold(['quotes'], ['budget'], value);
      expect(table.series.map(({ value }) => value)).toEqual([expected]);
    }
  });
});

describe('shownErrorType', () => {
  it('takes codes and names, and no texts', () => {
    for (const type of ['ECONNRESET', '23505', 'RESIL_TIMEOUT', 'TypeError', 'grpc:14', 'a.b-c']) {
      expect(shownErrorType(type)).toBe(type);
    }
    for (const type of [undefined, '', 'password is hunter2', 'x'.repeat(65), 'a\nb', 'a/b']) {
      expect(shownErrorType(type)).toBe('other');
    }
  });
});

describe('errorTypeOf', () => {
  it('takes the code, else the name, of whatever was thrown', () => {
    expect(errorTypeOf(Object.assign(new Error('x'), { code: 'ECONNRESET' }))).toBe('ECONNRESET');
    expect(errorTypeOf(Object.assign(new TypeError('x'), { code: 5 }))).toBe('TypeError');
    for (const thrown of [undefined, null, 'a text', 5, {}, { name: 'a text' }]) {
      expect(errorTypeOf(thrown)).toBe('other');
    }
  });
});
