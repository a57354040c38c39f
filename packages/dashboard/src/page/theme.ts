/** Light or dark: as the system says, unless the person at the page chose. */

/** What can be chosen. */
export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'resil-dashboard-theme';
const order: readonly Theme[] = ['auto', 'light', 'dark'];
const dark = matchMedia('(prefers-color-scheme: dark)');

export function currentTheme(): Theme {
  const { theme } = document.documentElement.dataset;
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

/** What was chosen before on this page. */
export function restoreTheme(): void {
  try {
    const stored = localStorage.getItem(KEY);
    if (stored === 'light' || stored === 'dark') set(stored);
  } catch {
    // A browser that stores nothing.
  }
}

/** Goes on to the next one. */
export function nextTheme(): Theme {
  const theme = order[(order.indexOf(currentTheme()) + 1) % order.length] as Theme;
  set(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // It holds until the page is closed, then.
  }
  return theme;
}

/** Calls `listener` when colours change; the result ends it. */
export function onColours(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  dark.addEventListener('change', listener);
  return () => {
    observer.disconnect();
    dark.removeEventListener('change', listener);
  };
}

/** A colour of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function set(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
