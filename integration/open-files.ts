import { readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentProcess } from './agent-process.ts';

/** Files under a directory that an agent has open now; told by Linux. */
export async function openFilesUnder(agent: AgentProcess, directory: string): Promise<string[]> {
  const descriptors = `/proc/${agent.pid}/fd`;
  const names = await readdir(descriptors);
  const links = names.map((name) => readlink(join(descriptors, name)).catch(() => ''));
  return (await Promise.all(links)).filter((path) => path.startsWith(`${directory}/`)).sort();
}
