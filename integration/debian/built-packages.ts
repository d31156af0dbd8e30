import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

const main = fileURLToPath(new URL('../../packaging/main.js', import.meta.url));

/** The packages, in the order in which they need each other. */
export const packageNames = ['waybill', 'waybill-site', 'waybill-dp'] as const;

export type PackageName = (typeof packageNames)[number];

/** Packages that were made for a test, by name. */
export type BuiltPackages = Readonly<Record<PackageName, string>>;

/** Makes the packages of what is built, as `npm run package` does. */
export async function builtPackages(
  target: string,
  { version, epochSeconds }: { readonly version?: string; readonly epochSeconds?: number } = {},
): Promise<BuiltPackages> {
  const versionWords = version === undefined ? [] : ['--version-of', version];
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(epochSeconds ?? 1_700_000_000) };
  await run(process.execPath, [main, '--out', target, ...versionWords], { env });
  const files = await readdir(target);
  const pathOf = (name: PackageName) => {
    const file = files.find((one) => one.startsWith(`${name}_`));
    if (!file) throw new Error(`no package ${name} in ${target}`);
    return join(target, file);
  };
  return {
    waybill: pathOf('waybill'),
    'waybill-site': pathOf('waybill-site'),
    'waybill-dp': pathOf('waybill-dp'),
  };
}

/** Why no packages can be made here; undefined when they can. */
export async function whyNoPackages(): Promise<string | undefined> {
  for (const tool of ['dpkg-deb', 'dpkg-shlibdeps', 'strip']) {
    try {
      await run(tool, ['--version']);
    } catch {
      return `there is no ${tool} here (apt install dpkg-dev)`;
    }
  }
  return undefined;
}
