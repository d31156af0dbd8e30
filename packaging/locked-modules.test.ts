import assert from 'node:assert/strict';
import { isInstalled, modulesThatRun } from './locked-modules.ts';

describe('modulesThatRun', () => {
  const lock = {
    packages: {
      '': { version: '0.1.0' },
      'node_modules/yargs': { version: '18.2.0', license: 'MIT' },
      'node_modules/yargs/node_modules/string-width': { version: '8.3.0', license: 'MIT' },
      'node_modules/mocha': { version: '12.0.3', dev: true },
      'node_modules/fsevents': { version: '2.0.0', devOptional: true, optional: true },
      'node_modules/@types/node': { version: '20.0.0', license: 'MIT' },
      'node_modules/hash-linux-x64-gnu': { version: '1.0.0', optional: true, libc: ['glibc'] },
      'node_modules/hash-linux-x64-musl': { version: '1.0.0', optional: true, libc: ['musl'] },
      'node_modules/hash': { version: '1.0.0', license: 'MIT' },
    },
  };

  it('is what runs, sorted', () => {
    assert.deepEqual(
      modulesThatRun(lock).map(({ path, isOptional }) => `${path}${isOptional ? '?' : ''}`),
      [
        'node_modules/hash',
        'node_modules/hash-linux-x64-gnu?',
        'node_modules/yargs',
        'node_modules/yargs/node_modules/string-width',
      ],
    );
  });

  it('tells version and licence', () => {
    assert.deepEqual(modulesThatRun(lock)[2], {
      ...{ path: 'node_modules/yargs', version: '18.2.0', license: 'MIT', isOptional: false },
    });
  });
});

describe('isInstalled', () => {
  const machine = { platform: 'linux', arch: 'x64' };
  const cases: [path: string, isInstalled: boolean][] = [
    ['index.js', true],
    ['lib/deep/index.cjs', true],
    ['esm/index.mjs', true],
    ['package.json', true],
    ['wasm/blake3_js_bg.wasm', true],
    ['build/src/generated/health.proto', true],
    ['LICENSE', true],
    ['license', true],
    ['LICENSE-MIT.txt', true],
    ['CopyrightNotice.txt', true],
    ['README.md', false],
    ['index.d.ts', false],
    ['index.js.map', false],
    ['src/index.ts', false],
    ['dist/node.test.js', false],
    ['test/index.js', false],
    ['lib/test/index.js', true],
    ['deps/leveldb/leveldb.cc', false],
    ['node_modules/other/index.js', false],
    ['prebuilds/linux-x64/classic-level.node', true],
    ['prebuilds/linux-x64/classic-level.musl.node', false],
    ['prebuilds/linux-x64/@cloudpss+zstd.glibc,true.node', true],
    ['prebuilds/linux-x64/@cloudpss+zstd.musl,true.node', false],
    ['prebuilds/zstd.js', true],
    ['prebuilds/zstd.wasm', true],
    ['prebuilds/linux-arm64/classic-level.armv8.node', false],
    ['prebuilds/darwin-x64+arm64/classic-level.node', false],
    ['blake.linux-x64-gnu.node', true],
  ];
  for (const [path, expected] of cases) {
    it(`${path}: ${expected}`, () => assert.equal(isInstalled(path, machine), expected));
  }
});
