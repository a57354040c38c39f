/** Made by `src/bundle.ts`. */
declare module 'suite:files' {
  /** Parts of the names of tests that this runtime can't run. */
  export const without: readonly string[];
  /** The test files of the core by their path. */
  export const files: Readonly<Record<string, () => Promise<unknown>>>;
}
