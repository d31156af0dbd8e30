import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { enrollHere } from './own-enrollment.ts';

const identity = { kind: 'admin', role: 'read-only', name: 'bob' } as const;

describe('waybill enroll, on this machine (SEC-2)', () => {
  let home: TemporaryDirectory;
  let directory: string;

  beforeEach(async () => {
    home = await TemporaryDirectory.create();
    directory = home.join('.config', 'waybill');
    await mkdir(directory, { recursive: true });
  });

  afterEach(() => home[Symbol.asyncDispose]());

  /** @param typed what standard input gives; undefined: it must not be read */
  function enroll(typed: string | undefined, isTTY = false) {
    const stdin = {
      isTTY,
      setRawMode: () => {},
      async *[Symbol.asyncIterator]() {
        if (typed === undefined) assert.fail('no token is needed');
        yield typed;
      },
    };
    const signal = new AbortController().signal;
    const surroundings = { homeDirectory: home.path, clock: new FakeClock(), signal, stdin };
    const asked = { identity, server: '127.0.0.1:1', serverSite: undefined, isForced: true };
    return enrollHere(asked, { ...surroundings, prompt: () => {} });
  }

  for (const [what, text] of [
    ['another configuration', 'server: a:1\nca: ca.crt\ncert: alice.crt\nkey: alice.key\n'],
    ['one that is not whole', 'server: a:1\n'],
  ] as const) {
    it(`writes not over ${what}, and asks for no token`, async () => {
      const path = join(directory, 'config.yaml');
      await writeFile(path, text);
      await assert.rejects(enroll(undefined), {
        code: 'ALREADY_ENROLLED',
        message: /is not written over/,
      });
      assert.equal(await readFile(path, 'utf8'), text);
      assert.deepEqual(await readdir(directory), ['config.yaml']);
    });
  }

  it('tells a token that is none before it does anything', async () => {
    await assert.rejects(enroll('hunter2\n'), { code: 'TOKEN_INVALID' });
    assert.deepEqual(await readdir(directory), []);
  });

  it('says so when the input of the terminal has ended', async () => {
    for (const end of ['\u0004', '\u0000', '']) {
      await assert.rejects(enroll(end, true), {
        name: 'UsageError',
        message: /the input has ended/,
      });
    }
  });

  it('is given up with Ctrl-C while it asks', async () => {
    await assert.rejects(enroll('\u0003', true), { code: 'INTERRUPTED' });
  });
});
