/**
 * Puts each program into one file, dist/programs/NAME.js: of some 1,500 modules that load one by one the
 * start of a program would take twice as long. Run by `npm run build`.
 */
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const target = join(repository, 'dist/programs');

const programs = {
  waybill: 'dist/site-server/admin-cli/main.js',
  'waybill-site': 'dist/site-server/main.js',
  'waybill-dp': 'dist/dp-agent/main.js',
};

/** Modules with machine code find it from where they lie. */
const apart = ['level', '@cloudpss/zstd', '@napi-rs/blake-hash', 'blake3'];

/**
 * A module finds the files it comes with, such as protos, and its threads from where it lies: it is told that
 * place, as seen from the bundle.
 */
const placesKept: Plugin = {
  name: 'places-kept',
  setup({ onLoad }) {
    onLoad({ filter: /\.[cm]?js$/ }, async ({ path }) => {
      const text = await readFile(path, 'utf8');
      const place = `new URL(${JSON.stringify(relative(target, path))}, bundle_url).href`;
      if (text.includes('import.meta.url')) {
        return { contents: text.replaceAll('import.meta.url', place) };
      }
      const isAsked = /\b__dirname\b/.test(text) && !/\bconst __dirname\b/.test(text);
      const directory = `bundle_dirname(bundle_fileURLToPath(${place}))`;
      return isAsked ? { contents: `const __dirname = ${directory};${text}` } : undefined;
    });
  },
};

await build({
  absWorkingDir: repository,
  entryPoints: programs,
  outdir: target,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: apart,
  plugins: [placesKept],
  logLevel: 'warning',
  // Names that no module has: a bundle is one scope.
  banner: {
    js: [
      "import { createRequire as bundle_createRequire } from 'node:module';",
      "import { dirname as bundle_dirname } from 'node:path';",
      "import { fileURLToPath as bundle_fileURLToPath } from 'node:url';",
      'const bundle_url = import.meta.url;',
      'const require = bundle_createRequire(bundle_url);',
    ].join('\n'),
  },
});
