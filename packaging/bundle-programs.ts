/**
 * Puts each program into one file, dist/programs/NAME.js. Loaded one by one, its more than a thousand modules
 * take twice as long to start. Part of `npm run build`; ARCHITECTURE.md, 2.1, says what a module has to heed.
 */
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type OutputFile, type Plugin } from 'esbuild';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const target = join(repository, 'dist/programs');

const programs = {
  waybill: 'dist/site-server/admin-cli/main.js',
  'waybill-site': 'dist/site-server/main.js',
  'waybill-dp': 'dist/dp-agent/main.js',
};

/** Machine code is found from where its module lies. */
const apart = ['level', '@napi-rs/blake-hash', 'blake3', '@cloudpss/zstd'];

/** What an installation has besides the bundles (`program-tree.ts`). */
const installed = /^(node_modules|dist\/(shared|site-server))\//;

/** Would give the place of the bundle instead of the module's own. */
const misleading =
  /\bimport\.meta\.(dirname|filename|resolve)\b|\b__filename\b|\bmodule\.(filename|paths)\b|\brequire\.resolve\b/;
/** It asks only for what is not used here: settings in package.json that extend others, translations. */
const harmless = 'node_modules/yargs/';

/**
 * A module finds the files it comes with, such as protos, and its threads from where it lies: it is told that
 * place, as seen from the bundle.
 */
const placesKept: Plugin = {
  name: 'places-kept',
  setup({ onLoad }) {
    onLoad({ filter: /\.[cm]?js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const module = relative(repository, path);
      if (misleading.test(text) && !module.startsWith(harmless))
        throw new Error(misledText(module));
      const isModule = text.includes('import.meta.url');
      const asksDirectory = /\b__dirname\b/.test(text) && !/\bconst __dirname\b/.test(text);
      if (!isModule && !asksDirectory) return undefined;
      if (!installed.test(module)) throw new Error(`${module}: no place an installation has`);
      const place = `new bundle_URL(${JSON.stringify(relative(target, path))}, bundle_url).href`;
      if (isModule) return { contents: text.replaceAll('import.meta.url', place) };
      const directory = `bundle_dirname(bundle_fileURLToPath(${place}))`;
      return { contents: `const __dirname = ${directory};${text}` };
    });
  },
};

function misledText(module: string): string {
  return `${module}: expected import.meta.url or __dirname, which alone keep their meaning in a bundle`;
}

const { outputFiles, warnings } = await build({
  absWorkingDir: repository,
  entryPoints: programs,
  outdir: target,
  bundle: true,
  write: false,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: apart,
  // The X.509 library and the log tell classes by their names.
  keepNames: true,
  preserveSymlinks: true,
  plugins: [placesKept],
  // Bundled modules see these names, of which esbuild does not know: so that none has them, `bundle_`.
  banner: {
    js: [
      "import { createRequire as bundle_createRequire } from 'node:module';",
      "import { dirname as bundle_dirname } from 'node:path';",
      "import { fileURLToPath as bundle_fileURLToPath, URL as bundle_URL } from 'node:url';",
      'const bundle_url = import.meta.url;',
      'const require = bundle_createRequire(bundle_url);',
    ].join('\n'),
  },
});
if (warnings.length > 0) process.exit(1);
await mkdir(target, { recursive: true });
await Promise.all(outputFiles.map(put));

/** Whole at every moment: programs may be started while others build. */
async function put({ path, contents }: OutputFile): Promise<void> {
  const before = await readFile(path).catch(() => undefined);
  if (before?.equals(contents)) return;
  const made = `${path}.${process.pid}`;
  try {
    await writeFile(made, contents);
    await chmod(made, 0o755);
    await rename(made, path);
  } finally {
    await rm(made, { force: true });
  }
}
