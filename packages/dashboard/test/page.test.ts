// The page in a real browser. What a test waits for is seen by the page itself, in the order in which
// it happened there; no time is asserted.

import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { CircuitBreaker, circuitBreaker, keyed, type Pipeline, pipeline, retry } from '@resil/core';
import {
  type Browser,
  chromiumMissing,
  describeWithChromium,
  type Page,
  startChromium,
} from '@resil/testbed';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type DashboardOptions, dashboard } from '../src/index.js';

// A browser takes its time on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

const TOKEN = 'a-token-of-control';
/** Where pictures go, to be looked at. */
const pictures = fileURLToPath(new URL('../.vitest/pictures/', import.meta.url));

describeWithChromium({ describe, it }, await chromiumMissing(), 'the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium();
    await mkdir(pictures, { recursive: true });
  });
  afterAll(() => browser?.close());

  async function open(url: string, options: Parameters<Browser['newPage']>[0] = {}) {
    const page = await browser.newPage({
      locale: 'en-US',
      viewport: { width: 1_300, height: 850 },
      ...options,
    });
    onTestFinished(() => page.close());
    const complaints: string[] = [];
    const elsewhere: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(url)) elsewhere.push(request.url());
    });
    await page.goto(url);
    await page.waitForSelector('.connection.live');
    return { page, complaints, elsewhere };
  }

  async function serve(options: DashboardOptions = {}) {
    const board = dashboard({ interval: 200, ...options });
    onTestFinished(() => board.close());
    const { url, port } = await board.listen(0);
    return { board, url, port };
  }

  const rowOf = (page: Page, name: string) =>
    page.locator('.scroller .row', {
      has: page.locator('.name', { hasText: new RegExp(`^${name}$`) }),
    });
  const fail = () => Promise.reject(new Error('down'));
  async function run(to: Pipeline, count: number, operation: () => Promise<unknown>) {
    for (let call = 0; call < count; call++) await to.execute(operation).catch(() => {});
  }

  it('shows a change of state as soon as it is told, and asks nobody else for anything', async () => {
    const { url } = await serve();
    const orders = pipeline('orders', circuitBreaker({ failureThreshold: 3, name: 'orders-db' }));
    const { page, complaints, elsewhere } = await open(url);
    expect(await rowOf(page, 'orders').locator('.badge').textContent()).toBe('closed');
    // The page's own account: which words its line showed, in their order.
    await page.evaluate(() => {
      const seen = ['closed'];
      Object.assign(window, { seen, began: performance.now() });
      new MutationObserver(() => {
        const badge = [...document.querySelectorAll('.scroller .row')]
          .find((row) => row.textContent?.includes('orders'))
          ?.querySelector('.badge')?.textContent;
        if (badge && badge !== seen.at(-1)) {
          seen.push(badge);
          Object.assign(window, {
            took: performance.now() - (window as never as { began: number }).began,
          });
        }
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    });
    await run(orders, 3, fail);
    await rowOf(page, 'orders').locator('.state-open').waitFor();
    const took = await page.evaluate(() => (window as never as { took: number }).took);
    console.warn(`a circuit that opened was seen open by the page after ${Math.round(took)} ms`);
    await rowOf(page, 'orders').click();
    await page.locator('.detail .event', { hasText: 'circuit opened' }).waitFor();
    expect(await page.evaluate(() => (window as never as { seen: string[] }).seen)).toEqual([
      'closed',
      'open',
    ]);
    expect(await page.locator('.circuit').textContent()).toMatch(/orders-db.*next probe in \d+ s/);
    expect(await page.locator('.detail .u-over').count()).toBe(3);
    expect(complaints).toEqual([]);
    expect(elsewhere).toEqual([]);
  });

  it('isolates and resets by a click, with the token, once it is right', async () => {
    const { url } = await serve({ control: { token: TOKEN } });
    const breaker = new CircuitBreaker({ name: 'stock-api' });
    const stock = pipeline('stock', breaker);
    const { page } = await open(url);
    await rowOf(page, stock.name ?? '').click();
    await page.getByRole('button', { name: 'Isolate circuit stock-api' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Token').fill('something-else-entirely');
    await dialog.getByRole('button', { name: 'Isolate' }).click();
    await dialog.getByText('the token is wrong; nothing was done').waitFor();
    await page.screenshot({ path: `${pictures}dialog.png` });
    expect(breaker.state).toBe('closed');
    await dialog.getByLabel('Token').fill(TOKEN);
    await dialog.getByRole('button', { name: 'Isolate' }).click();
    await page.locator('.detail .circuit.state-isolated').waitFor();
    expect(breaker.state).toBe('isolated');
    await page.getByText("circuit 'stock-api' is isolated").waitFor();
    // The page knows the token now.
    await page.getByRole('button', { name: 'Reset circuit stock-api' }).click();
    expect(await dialog.getByLabel('Token').count()).toBe(0);
    await dialog.getByRole('button', { name: 'Reset' }).click();
    await page.locator('.detail .circuit.state-closed').waitFor();
    expect(breaker.state).toBe('closed');
    // It is kept nowhere.
    const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, document.cookie]));
    expect(kept).not.toContain(TOKEN);
  });

  it('switches nothing where that is not allowed', async () => {
    const { url } = await serve();
    pipeline('untouched', circuitBreaker({ name: 'untouched' }));
    const { page } = await open(url);
    await rowOf(page, 'untouched').first().click();
    await page.locator('.detail .circuit').waitFor();
    expect(await page.getByRole('button', { name: /Isolate|Reset/ }).count()).toBe(0);
  });

  it('comes back by itself when the server does', async () => {
    const { board, url, port } = await serve();
    const lasting = pipeline('lasting', circuitBreaker({ failureThreshold: 1 }));
    const { page } = await open(url);
    await rowOf(page, 'lasting').click();
    await board.close();
    await page.locator('.connection.lost').waitFor();
    await run(lasting, 1, fail);
    const second = dashboard({ interval: 200, title: 'the second' });
    onTestFinished(() => second.close());
    await second.listen(port);
    await page.locator('.connection.live').waitFor();
    await rowOf(page, 'lasting').locator('.state-open').waitFor();
    expect(await page.title()).toBe('the second');
  });

  it('says why it can show nothing', async () => {
    const { url } = await serve({ maxViewers: 1 });
    await open(url);
    const page = await browser.newPage({ locale: 'en-US' });
    onTestFinished(() => page.close());
    await page.goto(url);
    await page.getByText(/there are as many viewers as there may be .*; trying again/).waitFor();
  });

  it('stays smooth with 200 pipelines', async () => {
    const { url } = await serve({ interval: 500 });
    const many = Array.from({ length: 200 }, (_, index) =>
      pipeline(`many ${index}`, retry({ maxAttempts: 2, baseDelay: 0 }), circuitBreaker()),
    );
    const { page } = await open(url);
    const inDocument = await page.locator('.scroller .row').count();
    expect(inDocument).toBeLessThan(40);
    await page.evaluate(() => {
      const counts = { mutations: 0, samples: 0, longTasks: 0, longest: 0 };
      Object.assign(window, { counts });
      new MutationObserver((records) => {
        counts.mutations += records.length;
      }).observe(document.body, {
        subtree: true,
        childList: true,
        characterData: true,
        attributes: true,
      });
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
          counts.longTasks++;
          counts.longest = Math.max(counts.longest, duration);
        }
      }).observe({ type: 'longtask' });
      new EventSource('events').addEventListener('sample', () => {
        counts.samples++;
      });
    });
    const counts = () =>
      page.evaluate(
        () =>
          (
            window as never as {
              counts: { mutations: number; samples: number; longTasks: number; longest: number };
            }
          ).counts,
      );
    let samples = 0;
    while (samples < 6) {
      await Promise.all(many.map((one) => one.execute(async () => 1)));
      ({ samples } = await counts());
    }
    const { mutations, longTasks, longest } = await counts();
    const each = mutations / samples;
    console.warn(
      `200 pipelines that all change: ${inDocument} lines in the document, ${Math.round(each)} mutations a sample, ${longTasks} tasks over 50 ms (longest ${Math.round(longest)} ms)`,
    );
    // A few for each line that can be seen; not for each pipeline that there is.
    expect(each).toBeLessThan(inDocument * 12);
    expect(each).toBeGreaterThan(0);
    // What lies further down is brought in when somebody goes there.
    await page.locator('.scroller').evaluate((list) => {
      list.scrollTop = list.scrollHeight;
    });
    await rowOf(page, 'many 99').waitFor();
    expect(await page.locator('.scroller .row').count()).toBeLessThan(40);
  });

  it('is gone through with the keyboard alone', async () => {
    const { url } = await serve();
    const rows = Array.from({ length: 30 }, (_, index) => pipeline(`by key ${index + 10}`));
    const { page } = await open(url);
    await page.getByLabel('Find a pipeline, key or target').fill('by key');
    expect(await page.locator('.scroller .row').first().textContent()).toContain('by key 10');
    await page.locator('.scroller .row').first().focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('.detail h2', { hasText: 'by key 12' }).waitFor();
    await page.locator('.scroller .row[tabindex="0"]').focus();
    await page.keyboard.press('End');
    await page.locator('.scroller .row:focus', { hasText: `by key ${rows.length + 9}` }).waitFor();
    await page.goBack();
    await page.locator('.side > .events').waitFor();
  });

  it('finds, sorts and leaves out', async () => {
    const { url } = await serve();
    const good = pipeline('sorted good', circuitBreaker());
    const bad = pipeline('sorted bad', circuitBreaker({ failureThreshold: 1 }));
    await run(good, 1, async () => 1);
    await run(bad, 1, fail);
    const { page } = await open(url);
    await page.getByLabel('Find a pipeline, key or target').fill('sorted');
    const names = () => page.locator('.scroller .row .name').allTextContents();
    await expect.poll(names, { timeout: 30_000 }).toEqual(['sorted bad', 'sorted good']);
    await page.getByRole('combobox').selectOption('name');
    await page.getByLabel('In trouble').check();
    await expect.poll(names, { timeout: 30_000 }).toEqual(['sorted bad']);
  });

  it.each([
    ['light', 'light', { width: 1_300, height: 850 }],
    ['dark', 'dark', { width: 1_300, height: 850 }],
    ['phone', 'light', { width: 390, height: 844 }],
  ] as const)('can be read: %s', async (name, colorScheme, viewport) => {
    const { url } = await serve({ title: 'checkout', control: { token: TOKEN } });
    const kept = Array.from({ length: 8 }, (_, index) =>
      pipeline(`${name} ${index}`, circuitBreaker({ failureThreshold: 2, resetTimeout: 60_000 })),
    );
    const tenants = keyed(
      (key) => pipeline({ name: `${name} tenants`, key }, circuitBreaker({ name: key })),
      { name: `${name} tenants` },
    );
    const { page, complaints } = await open(url, { colorScheme, viewport });
    for (const [index, one] of kept.entries()) {
      await run(one, 5, index === 2 ? fail : async () => 1);
      await run(tenants.for(`tenant ${index}`), 3, async () => 1);
    }
    await page.getByLabel('Find a pipeline, key or target').fill(name);
    await rowOf(page, `${name} 2`).locator('.state-open').waitFor();
    await page.screenshot({ path: `${pictures}${name}-all.png` });
    await rowOf(page, `${name} 2`).click();
    await page.locator('.detail .event').first().waitFor();
    await page.screenshot({ path: `${pictures}${name}-one.png` });
    // Nothing stands out to the side, and every text stands out from what is behind it.
    const { wider, faint } = await page.evaluate(measure);
    expect(wider).toBe(0);
    expect(faint).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it('changes its colours by a click, and remembers that', async () => {
    const { url } = await serve();
    const { page } = await open(url, { colorScheme: 'light' });
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByRole('button', { name: 'Colours: as the system' }).click();
    expect(await background()).toBe(light);
    await page.getByRole('button', { name: 'Colours: light' }).click();
    const dark = await background();
    expect(dark).not.toBe(light);
    await page.reload();
    await page.getByRole('button', { name: 'Colours: dark' }).waitFor();
    expect(await background()).toBe(dark);
  });
});

/** Runs in the page: by how much it is too wide, and texts whose contrast is under 4.5. */
function measure(): { wider: number; faint: readonly string[] } {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (css: string): readonly number[] => {
    if (canvas === null) return [0, 0, 0, 0];
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour: readonly number[]): number => {
    const [red = 0, green = 0, blue = 0] = colour.map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element: Element): readonly number[] => {
    for (let at: Element | null = element; at !== null; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const faint: string[] = [];
  for (const element of document.querySelectorAll('#app *')) {
    const own = [...element.childNodes].some(
      (node) => node.nodeType === Node.TEXT_NODE && node.textContent?.trim(),
    );
    if (!own || (element as HTMLButtonElement).disabled) continue;
    const [text, ground] = [
      luminance(rgba(getComputedStyle(element).color)),
      luminance(behind(element)),
    ];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (contrast < 4.5)
      faint.push(`${element.className} '${element.textContent}' ${contrast.toFixed(2)}`);
  }
  return { wider: document.documentElement.scrollWidth - innerWidth, faint };
}
