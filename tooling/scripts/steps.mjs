// Runs named steps, prints each with its time, and remembers which failed.

import { spawn } from 'node:child_process';

/** Thrown for a failure whose message says everything a reader needs: printed without a stack. */
export class StepError extends Error {}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

export class Steps {
  /** Names of the steps that failed, in order. */
  failed = [];
  #started = performance.now();

  /** Runs `work`; a failure is printed and remembered. Resolves to whether it went well. */
  async run(name, work) {
    const started = performance.now();
    console.log(`\n▶ ${name}`);
    try {
      await work();
      console.log(`✔ ${name} (${seconds(started)})`);
      return true;
    } catch (error) {
      console.error(error instanceof StepError ? error.message : error);
      console.error(`✘ ${name} (${seconds(started)})`);
      this.failed.push(name);
      return false;
    }
  }

  /** Time since the first step, for people. */
  get elapsed() {
    return seconds(this.#started);
  }
}

/**
 * Runs a command with this process's output, or with its output returned when `capture` is set.
 * Rejects with a `StepError` when the command can't start or ends with anything but 0.
 */
export function run(command, args, { cwd, env, capture = false } = {}) {
  return new Promise((resolve, reject) => {
    const stdio = capture ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'];
    const child = spawn(command, args, { cwd, env, stdio });
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      output += chunk;
    });
    child.once('error', (error) => {
      reject(new StepError(`${command} could not be started: ${error.message}`));
    });
    child.once('close', (code, signal) => {
      if (code === 0) {
        resolve(output);
        return;
      }
      const end = signal === null ? `exit code ${code}` : `signal ${signal}`;
      reject(new StepError(`${output}${command} ${args.join(' ')}: ${end}`));
    });
  });
}
