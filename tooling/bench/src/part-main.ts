/** One part in a process of its own: progress and the report go to the parent. */
import { parts } from './part.js';

/** What goes to the parent. */
export type PartMessage =
  | { readonly progress: string }
  | { readonly report: import('./report.js').PartReport };

const name = process.argv[2] as string;
const part = parts[name];
if (part === undefined || process.send === undefined) throw new Error(`no part '${name}'`);
const tell = (message: PartMessage): void => {
  process.send?.(message);
};
tell({ report: await part((progress) => tell({ progress })) });
process.disconnect();
