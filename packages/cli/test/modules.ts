/** Modules that tests write, in a folder from which the workspace's packages can be imported. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';
import { type Inspection, inspect } from '../src/index.js';

const examples = fileURLToPath(new URL('../.examples/', import.meta.url));

/** A folder for modules, which goes when the test file is through. */
export class Modules {
  #folder: Promise<string> | undefined;
  #count = 0;

  constructor() {
    afterAll(async () => {
      if (this.#folder !== undefined) await rm(await this.#folder, { recursive: true });
    });
  }

  /** The folder. */
  get folder(): Promise<string> {
    this.#folder ??= mkdir(examples, { recursive: true }).then(() =>
      mkdtemp(path.join(examples, 'test-')),
    );
    return this.#folder;
  }

  /** Writes a module, and gives its file. */
  async write(source: string, name = `module-${++this.#count}.mjs`): Promise<string> {
    const file = path.join(await this.folder, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, source);
    return file;
  }

  /** Writes a module, and loads it. */
  async inspect(source: string, service?: string): Promise<Inspection> {
    return inspect(await this.write(source), { service });
  }
}
