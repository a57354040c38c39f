/** A real browser, driven by playwright-core, with a profile of its own that goes with it. */
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumFiles } from './chromium-files.js';

export type { Browser, Page };

/** Starts a Chromium without a window; whoever started it closes it. */
export async function startChromium(): Promise<Browser> {
  const { executable, args, env } = await chromiumFiles();
  return chromium.launch({
    executablePath: executable,
    args: [...args],
    env: { ...process.env, ...env } as Record<string, string>,
  });
}
