/** What the command `resil` finds of an app, the same for each: nothing to mend, and a kit for each dependency. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

/** `run` of @resil/cli, which each app brings. */
type Run = (
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly color: boolean;
    readonly out: (text: string) => void;
    readonly err: (text: string) => void;
  },
) => Promise<number>;

/** Checks an app: its built `module` with the pipelines, and the names of its dependencies. */
export function describeResilience(
  run: Run,
  module: string,
  dependencies: readonly string[],
): void {
  /** What the program `resil` says, and ends with. */
  const resil = async (...args: readonly string[]): Promise<{ code: number; out: string }> => {
    let out = '';
    const write = (text: string): void => {
      out += text;
    };
    const code = await run(args, { cwd: process.cwd(), color: false, out: write, err: write });
    return { code, out };
  };

  it('has nothing for resil lint to find', async () => {
    expect(await resil('lint', module)).toEqual({ code: 0, out: 'nothing found\n' });
  });

  it('has alerts, a dashboard and runbooks by resil ops', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'resil-ops-'));
    try {
      expect((await resil('ops', module, '--out', folder)).code).toBe(0);
      for (const name of dependencies) {
        const runbook = await readFile(join(folder, `runbooks/${name}.md`), 'utf8');
        expect(runbook).toContain('## How to isolate it');
        expect(await readFile(join(folder, 'alerts.yml'), 'utf8')).toContain(
          `dependency: ${name}\n`,
        );
        expect(await readFile(join(folder, 'dashboard.json'), 'utf8')).toContain(
          `"title": "${name}"`,
        );
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('is at level 3 of its patterns by resil assess', async () => {
    const { code, out } = await resil('assess', module, '--json');
    expect(code).toBe(0);
    const [{ areas }] = JSON.parse(out).assessments;
    expect(areas[0]).toMatchObject({ area: 'patterns', level: 3 });
  });
}
