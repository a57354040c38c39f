/**
 * Kills what was started, however the process that started it ends: a small shell waits for the end of
 * a pipe that closes with this process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Kills what is named in the `pid` files of the folders in $1 once the pipe on stdin is closed, and
 * removes $1. The first line of such a file is a process id, the second the name of a container, if any.
 */
const SCRIPT = `
trap '' INT TERM HUP
cat >/dev/null
for file in "$1"/*/pid; do
  [ -f "$file" ] || continue
  { read -r pid; read -r name; } <"$file"
  if [ -n "$name" ]; then docker kill "$name" >/dev/null 2>&1; else kill -KILL "$pid" 2>/dev/null; fi
done
sleep 0.1
rm -rf "$1"
`;

/** Watches over the processes of a folder. */
export function watchOver(folder: string): ChildProcess {
  // In a session of its own, so that a Ctrl-C meant for the tests doesn't reach it.
  const watchdog = spawn('/bin/sh', ['-c', SCRIPT, 'sh', folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watchdog.stdin?.on('error', () => {});
  watchdog.unref();
  (watchdog.stdin as unknown as { unref?(): void } | null)?.unref?.();
  return watchdog;
}

/** Lets the watchdog do its work now; resolves when it is done. */
export async function releaseWatchdog(watchdog: ChildProcess): Promise<void> {
  if (watchdog.exitCode !== null) return;
  watchdog.ref();
  const exited = once(watchdog, 'exit');
  watchdog.stdin?.end();
  await exited;
}
