/**
 * Processes that never outlive the one that started them, however that one ends, and also where they
 * are stopped (SIGSTOP) and can do nothing about it themselves.
 *
 * A leash is a pipe whose other end closes with the process that holds it. Before a shell becomes the
 * process that was asked for, it leaves a small shell behind that waits at the pipe: so there is no
 * moment at which the process runs and nobody watches. A line on the pipe says that the process has
 * ended by itself; its id may be another's by then.
 */
import {
  type ChildProcess,
  type ForkOptions,
  fork,
  type SpawnOptions,
  spawn,
} from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { Socket } from 'node:net';

/** Shell commands that end the process `$pid`. */
export type Ending = string;

/** Kills at once. */
export const KILL: Ending = 'kill -KILL "$pid"';

/** Gives a process that hears of the end itself up to two seconds to clear up, then kills it. */
export const KILL_SOON: Ending = `
n=0
while kill -0 "$pid" && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done
kill -KILL "$pid"`;

/** Number of the open file that is the leash, in the shell; those that the process is given come after it. */
const LEASH = 3;

/** A file that {@link forkOnLeash} is given has this number in the process. */
export const INHERITED_FILE = 5;

/** Twice in the background: what waits is no child of the process, and doesn't surprise it with its end. */
const launch = (ending: Ending): string => `
( (
  trap '' INT TERM HUP
  pid=$$
  exec <&${LEASH} >/dev/null 2>&1 ${LEASH}<&- 4<&- ${INHERITED_FILE}<&-
  read -r _ && exit
  ${ending}
) & )
exec ${LEASH}<&-
exec "$@"`;

/** Removes the folder $1; what still ends may write into it for a while. */
const REMOVE = `
trap '' INT TERM HUP
read -r _
n=0
while [ -e "$1" ] && [ $n -lt 200 ]; do rm -rf "$1"; sleep 0.1; n=$((n+1)); done`;

/** Starts a command, in a session of its own: a Ctrl-C meant for the tests doesn't reach it. */
export function spawnOnLeash(
  [command, ...args]: readonly [string, ...string[]],
  ending: Ending,
  options: Omit<SpawnOptions, 'stdio' | 'detached'> & { readonly stdout: 'pipe' | 'ignore' },
): ChildProcess {
  const { stdout, ...rest } = options;
  return held(
    spawn('/bin/sh', ['-c', launch(ending), 'sh', command, ...args], {
      ...rest,
      stdio: ['ignore', stdout, 'pipe', 'pipe'],
      detached: true,
    }),
  );
}

/** Starts a main file of Node's, as `fork` does; `inherited` is an open file that it is given. */
export function forkOnLeash(
  main: string,
  args: readonly string[],
  inherited: number | undefined,
  options: Omit<ForkOptions, 'stdio' | 'detached' | 'execPath' | 'execArgv'> = {},
): ChildProcess {
  return held(
    fork(main, args, {
      ...options,
      execPath: '/bin/sh',
      execArgv: ['-c', launch(KILL_SOON), 'sh', process.execPath],
      stdio: [
        'ignore',
        'inherit',
        'inherit',
        'pipe',
        'ipc',
        ...(inherited === undefined ? [] : [inherited]),
      ],
      detached: true,
    }),
  );
}

/** Removes a folder when this process has ended, if not before. */
export class FolderOnLeash {
  readonly folder: string;
  readonly #remover: ChildProcess;

  constructor(folder: string) {
    this.folder = folder;
    this.#remover = spawn('/bin/sh', ['-c', REMOVE, 'sh', folder], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.#remover.unref();
    letGo(this.#remover.stdin as Socket);
  }

  /** Removes it now. Nothing is writing into it any more. */
  async remove(): Promise<void> {
    const remover = this.#remover;
    if (remover.exitCode === null && remover.signalCode === null) {
      remover.ref();
      const exited = once(remover, 'exit');
      remover.stdin?.end();
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

function held(child: ChildProcess): ChildProcess {
  const leash = child.stdio[LEASH] as Socket | undefined;
  if (leash === undefined || leash === null) return child;
  letGo(leash);
  // Read to its end, or the child's `close` event would wait for it.
  leash.resume();
  child.once('exit', () => leash.end('\n'));
  return child;
}

/** Neither keeps this process alive nor fails when the other end is gone. */
function letGo(pipe: Socket): void {
  pipe.on('error', () => {});
  pipe.unref();
}
