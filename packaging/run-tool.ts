import { execFile } from 'node:child_process';
import { PackagingFailure } from './packaging-failure.ts';

/** Which package of Debian has a program that is used here. */
const packageOf = {
  dpkg: 'dpkg',
  'dpkg-deb': 'dpkg',
  'dpkg-shlibdeps': 'dpkg-dev',
  strip: 'binutils',
  git: 'git',
} as const;

export type Tool = keyof typeof packageOf;

/**
 * Runs a program of the machine that builds.
 *
 * @returns what it printed
 * @throws PackagingFailure when it is not there or fails
 */
export function runTool(
  tool: Tool,
  words: readonly string[],
  options: { readonly directory?: string; readonly environment?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  const { directory, environment } = options;
  const settings = { cwd: directory, env: environment, maxBuffer: 16 * 1024 * 1024 };
  return new Promise((resolve, reject) => {
    execFile(tool, words, settings, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else reject(new PackagingFailure(failureText(tool, error, stderr)));
    });
  });
}

function failureText(tool: Tool, error: { code?: unknown; message: string }, stderr: string) {
  if (error.code !== 'ENOENT') return `${tool} failed: ${stderr.trim() || error.message}`;
  return `There is no ${tool} here. Expected a Debian with the package ${packageOf[tool]} (apt install ${packageOf[tool]})`;
}
