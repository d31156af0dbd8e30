import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { usageFailure } from '../shared/runtime/usage-failure.ts';
import { isDebianVersion } from './control-text.ts';
import { PackagingFailure } from './packaging-failure.ts';
import { runTool } from './run-tool.ts';
import { makePackages } from './waybill-packages.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));

const given = yargs(hideBin(process.argv))
  .scriptName('npm run package --')
  .usage('$0 [--out DIR]\n\nMakes Debian packages of what is in this repository.')
  .option('out', { type: 'string', describe: 'directory for them', default: 'dist/debian' })
  .option('version-of', {
    type: 'string',
    describe: "their version, instead of package.json's; digits first",
  })
  .example('$0 --out /tmp/packages', 'make them there')
  .epilogue('SOURCE_DATE_EPOCH: the time of all files; default: that of the last commit')
  .version(false)
  .strict()
  .fail(usageFailure('package', 'npm run package -- [--out DIR]'))
  .parseSync();

/** Exit codes as everywhere: 0 done, 1 failed, 2 wrong usage (ADM-6). */
try {
  const version = given.versionOf ?? (await ownVersion());
  if (!isDebianVersion(version)) {
    console.error(`package: ${version}: expected a version such as 0.1.0 or 0.2.0~rc1`);
    process.exit(2);
  }
  const epochSeconds = await sourceTime();
  const target = resolve(given.out);
  for (const path of await makePackages({ repository, target, version, epochSeconds })) {
    const { size } = await stat(path);
    console.log(`${path}  ${(size / 1024 / 1024).toFixed(1)} MiB`);
  }
} catch (error) {
  if (!(error instanceof PackagingFailure)) throw error;
  console.error(`package: ${error.message}`);
  process.exitCode = 1;
}

async function ownVersion(): Promise<string> {
  const text = await readFile(join(repository, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** When what is packed was made: the same for everybody who packs it. */
async function sourceTime(): Promise<number> {
  const told = process.env.SOURCE_DATE_EPOCH;
  const text = told ?? (await runTool('git', ['-C', repository, 'log', '-1', '--format=%ct']));
  const seconds = Number(text.trim() || Number.NaN);
  if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds;
  throw new PackagingFailure(`SOURCE_DATE_EPOCH: expected seconds since 1970, got ${told}`);
}
