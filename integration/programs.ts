import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scanProgramEnd } from './secrets/produced-output.ts';
import { byScale } from './test-scale.ts';

const dist = fileURLToPath(new URL('..', import.meta.url));

/** The built programs, as an installation has them. */
export const programs = {
  waybill: join(dist, 'programs/waybill.js'),
  waybillDp: join(dist, 'programs/waybill-dp.js'),
  waybillSite: join(dist, 'programs/waybill-site.js'),
} as const;

/** After this a program of ours is killed: a test that hangs tells nothing. */
const runMsMax = byScale({ short: 90_000, long: 900_000 });

/** What came of a program that has ended. */
export interface ProgramEnd {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program of ours to its end. Its environment is bare, so that every machine gives the same.
 *
 * @param options.home of the user who calls it @default none
 * @param options.input what it reads on standard input @default nothing
 * @param options.environment set besides @default nothing
 */
export function runProgram(
  program: string,
  words: readonly string[],
  options: {
    readonly home?: string;
    readonly input?: string;
    readonly environment?: Readonly<Record<string, string>>;
  } = {},
): Promise<ProgramEnd> {
  const { home = '/nonexistent', input, environment } = options;
  const env = { PATH: process.env.PATH, HOME: home, TZ: 'UTC', NO_COLOR: '1', ...environment };
  return new Promise((resolve, reject) => {
    const child = execFile(
      process.execPath,
      [program, ...words],
      { env, maxBuffer: 64 * 1024 * 1024, timeout: runMsMax },
      (error, stdout, stderr) => {
        const exitCode = error ? error.code : 0;
        scanProgramEnd(words, { stdout, stderr });
        if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr });
        else reject(new Error(`${program} ${words.join(' ')} was killed: ${stdout}${stderr}`));
      },
    );
    if (input !== undefined) child.stdin?.end(input);
  });
}

/** Runs `waybill` as the network's administrator. */
export function runWaybill(
  network: { readonly cliOptions: readonly string[] },
  words: readonly string[],
): Promise<ProgramEnd> {
  return runProgram(programs.waybill, [...words, ...network.cliOptions]);
}

/**
 * Takes a package out of a DP's library with `waybill-dp extract`.
 *
 * @param name of the directory to make, in the network's
 * @returns the directory it is in
 * @throws when the library is not whole
 */
export async function extractPackage(
  network: { readonly directory: string; dp(dpId: string): { readonly configPath: string } },
  dpId: string,
  packageId: string,
  name = `extracted-${dpId}-${packageId}-${++extractedCount}`,
): Promise<string> {
  const out = join(network.directory, name);
  const { configPath } = network.dp(dpId);
  const words = ['extract', packageId, '--config', configPath, '--out', out];
  const { exitCode, stderr } = await runProgram(programs.waybillDp, words);
  if (exitCode !== 0) throw new Error(`waybill-dp extract ended with ${exitCode}: ${stderr}`);
  return out;
}

let extractedCount = 0;
