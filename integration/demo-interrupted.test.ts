import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { TemporaryDirectory } from '../shared/testing/temporary-directory.ts';
import { writeFiles } from './source-files.ts';

const demo = fileURLToPath(new URL('demo/main.js', import.meta.url));

describe('a demo that is interrupted', function () {
  this.timeout(120_000);

  for (const [moment, shown] of [
    ['while it copies its source', 'Source: a copy of '],
    ['while it runs', 'Site PS1 runs as '],
  ] as const) {
    it(`${moment} says that, and no failure of its own, and leaves nothing`, async () => {
      await using directory = await TemporaryDirectory.create();
      const source = directory.join('source');
      await writeFiles(source, { 'setup.sh': '#!/bin/sh\n' });
      await using places = await TemporaryDirectory.create();
      const words = ['--small', '--dps', '1', '--pull', '0', '--source', source];
      const child = spawn(process.execPath, [demo, ...words], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { ...process.env, TMPDIR: places.path },
      });
      const exit = once(child, 'exit');
      const said = text(child.stderr);
      for await (const part of child.stdout) {
        if (String(part).includes(shown)) child.kill('SIGTERM');
      }
      assert.deepEqual([...(await exit)], [143, null]);
      const [first, ...rest] = (await said).split('\n');
      assert.deepEqual(
        [first, ...rest.filter((line) => line.startsWith('demo:'))],
        ['demo: interrupted'],
      );
      assert.deepEqual(await readdir(places.path), []);
    });
  }
});
