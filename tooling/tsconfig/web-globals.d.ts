/**
 * The globals that every runtime has (Node, Bun, Deno, browsers, workers) and `@resil/core` may use.
 * Core is compiled with these and ES2023 alone, so neither a Node type nor the DOM can slip in. An
 * emitted declaration names only `AbortSignal`, which is then the consumer's own.
 */

interface AbortEvent {
  readonly type: string;
}

interface AbortListenerOptions {
  readonly once?: boolean;
  readonly passive?: boolean;
  readonly capture?: boolean;
  readonly signal?: AbortSignal;
}

interface AbortSignal {
  readonly aborted: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: as the standard library declares it
  readonly reason: any;
  throwIfAborted(): void;
  addEventListener(
    type: 'abort',
    listener: (event: AbortEvent) => void,
    options?: boolean | AbortListenerOptions,
  ): void;
  removeEventListener(
    type: 'abort',
    listener: (event: AbortEvent) => void,
    options?: boolean | AbortListenerOptions,
  ): void;
}

declare var AbortSignal: {
  readonly prototype: AbortSignal;
  abort(reason?: unknown): AbortSignal;
};

interface AbortController {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}

declare var AbortController: {
  readonly prototype: AbortController;
  new (): AbortController;
};

/** V8's, absent elsewhere; read with care. */
interface ErrorConstructor {
  stackTraceLimit?: number | undefined;
  captureStackTrace?(target: object, above?: unknown): void;
}

/** A number in browsers, an object that has `unref` in Node. */
interface TimerHandle {
  unref?(): unknown;
}

declare function setTimeout(callback: () => void, delay?: number): TimerHandle;
declare function clearTimeout(timer: TimerHandle | undefined): void;
declare function queueMicrotask(callback: () => void): void;

/** Where a listener's own error goes, when the runtime has one. */
declare var reportError: ((error: unknown) => void) | undefined;

declare var performance: {
  now(): number;
};

declare var console: {
  error(...data: unknown[]): void;
  warn(...data: unknown[]): void;
};
