/**
 * The values of one attribute, of which there may be ever so many: those that come first are shown, the
 * rest is `other`. Nothing that could be a secret of a URL is shown.
 */

/** What stands for the values that there was no room for. */
export const OTHER = 'other';

/** Longest value that is shown. */
const MAX_LENGTH = 100;
/** Credentials, query and fragment of a URL. */
const SECRETS = /(?<=:\/\/)[^/?#@]*@|[?#].*$/gs;
/** Looks like the code or the name of an error, and not like its message. */
const ERROR_TYPE = /^[\w.:-]{1,64}$/;

/** The values of one attribute. */
export class ShownValues {
  readonly #max: number;
  readonly #shown = new Map<string, string>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Whether there is no room for a value. */
  folds(value: string): boolean {
    return this.#shown.size >= this.#max && !this.#shown.has(value);
  }

  /** How a value is shown; `undefined` if there is no room for it. */
  of(value: string): string | undefined {
    const known = this.#shown.get(value);
    if (known !== undefined) return known;
    if (this.#shown.size >= this.#max) return undefined;
    const shown = withoutSecrets(value);
    this.#shown.set(value, shown);
    return shown;
  }
}

/** Code, else name of an error, as far as it may be shown; `other` for what looks like a text. */
export function errorTypeOf(error: unknown): string {
  const { code, name } = Object(error) as { readonly code?: unknown; readonly name?: unknown };
  const type = typeof code === 'string' && code !== '' ? code : name;
  return shownErrorType(typeof type === 'string' ? type : undefined);
}

/** The code or the name of an error as a value; `other` for what looks like a text. */
export function shownErrorType(value: string | undefined): string {
  return value !== undefined && ERROR_TYPE.test(value) ? value : OTHER;
}

/** A text as it may be shown: a URL without credentials, query and fragment, and nothing endless. */
export function withoutSecrets(value: string): string {
  const shown = value.includes('://') ? value.replace(SECRETS, '') : value;
  return shown.length > MAX_LENGTH ? `${shown.slice(0, MAX_LENGTH - 1)}…` : shown;
}
