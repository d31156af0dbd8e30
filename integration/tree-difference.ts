import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * What GNU tar thinks of a tree: every name, byte, mode, link and modification time to the
 * nanosecond. An opinion that shares no code with ours, and goes deeper than a path may be long.
 */
export async function treeFingerprint(directory: string): Promise<string> {
  const options = ['--format=pax', '--pax-option=delete=atime,delete=ctime,exthdr.name=%f'];
  // The root itself is no entry of a content: only what is in it counts.
  const names = (await readdir(directory, { encoding: 'buffer' })).sort(Buffer.compare);
  const owner = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner'];
  const input = ['--null', '--verbatim-files-from', '-T', '-'];
  const tar = spawn(
    'tar',
    [...options, ...owner, '--hard-dereference', '-cf', '-', '-C', directory, ...input],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  for (const name of names) tar.stdin.write(Buffer.concat([name, Buffer.alloc(1)]));
  tar.stdin.end();
  const hash = createHash('sha256');
  for await (const chunk of tar.stdout) hash.update(chunk as Buffer);
  const code = await new Promise((resolve) => tar.once('close', resolve));
  if (code !== 0) throw new Error(`tar of ${directory} ended with ${code}`);
  return hash.digest('hex');
}

/** The first lines in which two trees differ, in words; empty when they are equal. */
export async function treeDifference(left: string, right: string): Promise<string> {
  const [a, b] = await Promise.all([treeFingerprint(left), treeFingerprint(right)]);
  if (a === b) return '';
  const { stdout } = await run('diff', ['-rq', '--no-dereference', left, right]).catch(
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? String(error) }),
  );
  return stdout.slice(0, 2000) || 'modes or times differ';
}
