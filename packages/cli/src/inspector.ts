/**
 * Main file of the process that a module is loaded in, so that a module that serves, prints, hangs or
 * ends its process does that to nobody else. It answers its parent once.
 */
import { pathToFileURL } from 'node:url';
import { type Survey, survey } from './survey.js';

/** What the process answers. */
export type InspectorAnswer =
  | { readonly survey: Survey }
  | { readonly failure: { readonly code: string | undefined; readonly message: string } };

const [file = ''] = process.argv.slice(2);
let answer: InspectorAnswer;
try {
  const namespace: Record<string, unknown> = await import(pathToFileURL(file).href);
  answer = { survey: survey(namespace) };
} catch (error) {
  const { code, message } = error as { code?: unknown; message?: unknown };
  answer = {
    failure: {
      code: typeof code === 'string' ? code : undefined,
      message: typeof message === 'string' ? message : String(error),
    },
  };
}
// Whatever the module has begun ends here.
process.send?.(answer, undefined, undefined, () => process.exit(0));
