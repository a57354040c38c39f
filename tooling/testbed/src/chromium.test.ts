import { afterEach, describe, expect, it, vi } from 'vitest';
import { startChromium } from './chromium.js';
import { chromiumMissing, describeWithChromium } from './describe-chromium.js';

describeWithChromium({ describe, it }, await chromiumMissing(), 'startChromium', () => {
  it('gives a browser that runs a page', async () => {
    const browser = await startChromium();
    try {
      const page = await browser.newPage();
      await page.goto('data:text/html,<p id="p"></p><script>p.textContent=6*7</script>');
      expect(await page.textContent('#p')).toBe('42');
    } finally {
      await browser.close();
    }
  });
});

describe('a Chromium that is not there', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  it('is told with its path and what to do', async () => {
    vi.stubEnv('CHROMIUM_PATH', '/no/chromium');
    vi.resetModules();
    const fresh = await import('./chromium-files.js');
    await expect(fresh.chromiumFiles()).rejects.toMatchObject({
      name: 'ChromiumUnavailableError',
      message:
        "Chromium can't be had: CHROMIUM_PATH is /no/chromium, which is not there; set CHROMIUM_PATH, or install it (Debian: apt-get install chromium)",
    });
  });
});
