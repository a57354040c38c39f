/**
 * Where a request goes, as the key that breakers, bulkheads and budgets are kept by: the origin. Path,
 * query and credentials never become part of it: they would make too many keys, and keys are shown.
 */
import type { InternalAxiosRequestConfig } from 'axios';

/** As axios tells an absolute URL (`helpers/isAbsoluteURL.js`). */
const ABSOLUTE = /^([a-z][a-z\d+\-.]*:)?\/\//i;
const SCHEME_AND_AUTHORITY = /^([a-z][a-z\d+\-.]*:\/\/)(?:[^/?#\\]*@)?([^/?#\\]*)/i;

const SLASH = 47;

/** How many spellings of origins are remembered; forgotten all at once beyond, which costs a little time only. */
const MAX_REMEMBERED = 1_000;

/** Key of requests whose destination can't be told, such as a path without a `baseURL`. */
export const UNKNOWN_DESTINATION = 'unknown';

const origins = new Map<string, string>();

/**
 * The origin that `config` is sent to (`https://api.example.com`, `http://127.0.0.1:8080`), or
 * `unix:` and the path for a request over a Unix socket.
 */
export function destinationOf(config: InternalAxiosRequestConfig): string {
  if (config.socketPath) return `unix:${config.socketPath}`;
  const { baseURL } = config;
  const url = config.url ?? '';
  // As axios joins the two (`core/buildFullPath.js`).
  return baseURL && (isRelative(url) || config.allowAbsoluteUrls === false)
    ? rememberedOrigin(baseURL)
    : originOf(url);
}

/** The origin of a `baseURL`; `undefined` where it tells none. */
export function originOfBase(baseURL: string | undefined): string | undefined {
  const origin = baseURL === undefined ? UNKNOWN_DESTINATION : parsedOrigin(baseURL);
  return origin === UNKNOWN_DESTINATION ? undefined : origin;
}

/** Whether axios puts a base URL before it. */
export function isRelative(url: string): boolean {
  // A path, the usual case, needs no closer look.
  if (url.charCodeAt(0) === SLASH && url.charCodeAt(1) !== SLASH) return true;
  return !ABSOLUTE.test(url);
}

/** The scheme and authority of an absolute URL can be remembered, its path comes in too many forms. */
function originOf(url: string): string {
  const match = SCHEME_AND_AUTHORITY.exec(url);
  return match === null ? UNKNOWN_DESTINATION : rememberedOrigin(`${match[1]}${match[2]}`);
}

function rememberedOrigin(base: string): string {
  let origin = origins.get(base);
  if (origin === undefined) {
    origin = parsedOrigin(base);
    if (origins.size >= MAX_REMEMBERED) origins.clear();
    origins.set(base, origin);
  }
  return origin;
}

function parsedOrigin(base: string): string {
  if (!SCHEME_AND_AUTHORITY.test(base) || !URL.canParse(base)) return UNKNOWN_DESTINATION;
  return new URL(base).origin;
}
