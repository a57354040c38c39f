/**
 * Keeps a second user of a file away: a lock file beside it names the process that has it. A lock whose
 * process is gone is taken over. A process id alone does not tell that: in a container every process is
 * 1, and elsewhere ids come around again. So the lock also says when that process began (Linux:
 * `/proc/<pid>/stat`, field 22, within the boot of `/proc/sys/kernel/random/boot_id`).
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { InvalidOptionError } from '@resil/core';

/** The files that this thread has locked. */
const held = new Set<string>();

/**
 * Locks a file for this process. Gives what unlocks it.
 *
 * @throws InvalidOptionError naming `option`, while somebody has the file.
 */
export async function lockFile(option: string, path: string): Promise<() => Promise<void>> {
  const key = resolve(path);
  const lock = `${key}.lock`;
  for (let tries = 0; ; tries += 1) {
    try {
      await writeFile(lock, `${process.pid} ${await beginning(process.pid)}`, { flag: 'wx' });
      held.add(key);
      return () => {
        held.delete(key);
        return rm(lock, { force: true });
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || tries === 3) throw error;
    }
    const owner = await readFile(lock, 'utf8').catch(() => '');
    if (held.has(key) || (await isAlive(owner))) {
      const rule = `must not be open already; process ${Number.parseInt(owner, 10)} has it`;
      throw new InvalidOptionError(option, path, rule);
    }
    await rm(lock, { force: true });
  }
}

/** Whether the process that wrote a lock still runs. */
async function isAlive(owner: string): Promise<boolean> {
  const [id = '', began = ''] = owner.split(' ');
  const pid = Number(id);
  if (!(pid > 0)) return false;
  const now = await beginning(pid);
  // The same process, perhaps another of its threads; or one that has got the id of a dead one.
  if (began !== '' && now !== '') return began === now;
  // Nothing tells them apart. This thread knows what it holds, and it does not hold this one.
  return pid !== process.pid && isRunning(pid);
}

/** What tells a process from an earlier one with its id; `''` where the system does not say. */
async function beginning(pid: number): Promise<string> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
    // The second field is the command in brackets and may itself hold spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${boot.trim()}/${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
