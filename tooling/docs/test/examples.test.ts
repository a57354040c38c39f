// Every example of every README and docstring compiles and runs.

import fs from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type PostgresServer, startPostgres } from '@resil/testbed';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileExamples } from '../src/compile.js';
import { documentedFiles, findExamples } from '../src/examples.js';
import { withOwnExports } from '../src/own-exports.js';
import { runExample } from '../src/run.js';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.resolve(here, '../../..');
const files = documentedFiles(root);
const found = files.map((file) => ({
  file,
  ...findExamples(file, fs.readFileSync(path.join(root, file), 'utf8')),
}));
const compiled = compileExamples(
  found.flatMap(({ examples }) => examples).map((example) => withOwnExports(root, example)),
  path.resolve(here, '../.examples'),
);

/** Answers every request with what it was asked, as JSON. */
function startApi(): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ method: request.method, path: request.url, price: 42 }));
    });
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

let api: Server;
let postgres: PostgresServer | undefined;
const env: Record<string, string> = {};

beforeAll(async () => {
  api = await startApi();
  env.API_URL = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  if (compiled.some(({ example }) => example.needs.includes('pg'))) {
    postgres = await startPostgres();
    env.PGHOST = postgres.host;
    env.PGPORT = String(postgres.port);
    env.PGUSER = postgres.user;
    env.PGDATABASE = postgres.database;
  }
});

afterAll(async () => {
  await postgres?.close();
  api.closeAllConnections();
  await new Promise((resolve) => api.close(resolve));
});

it('every fence can be read', () => {
  expect(found.flatMap(({ problems }) => problems)).toEqual([]);
});

it.each(['README.md', ...files.filter((file) => /^packages\/[^/]+\/README\.md$/.test(file))])(
  '%s has an example',
  (file) => {
    expect(found.find((entry) => entry.file === file)?.examples.length).toBeGreaterThan(0);
  },
);

describe.each(compiled)('$example.file:$example.line', ({ example, script, errors }) => {
  it('compiles', () => {
    expect(errors.join('\n')).toBe('');
  });

  if (example.notRun === undefined) {
    it('runs', async () => {
      const { code, output } = await runExample(script, env);
      expect(code, output).toBe(0);
    });
  }
});
