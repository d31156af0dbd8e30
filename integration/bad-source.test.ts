import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Administrator } from './administrator.ts';
import { referencedHashes } from './library-files.ts';
import { Network } from './network.ts';
import { runWaybill } from './programs.ts';
import { writeFiles, writeNoise } from './source-files.ts';

const run = promisify(execFile);

/** A source that is refused, and how it is put right. */
interface BadSource {
  readonly name: string;
  readonly make: (source: string) => Promise<unknown>;
  /** What the sentence must say: the path and what was expected. */
  readonly sentence: RegExp;
  readonly mend: (source: string) => Promise<unknown>;
}

const badSources: readonly BadSource[] = [
  {
    name: 'a fifo',
    make: (source) => run('mkfifo', [join(source, 'docs', 'pipe')]),
    sentence: /docs\/pipe is a .*; a package holds files, directories and symbolic links only/,
    mend: (source) => rm(join(source, 'docs', 'pipe')),
  },
  {
    name: 'a link that leaves the tree',
    make: (source) => symlink('../../outside', join(source, 'docs', 'link')),
    sentence: /docs\/link is a symbolic link to \.\.\/\.\.\/outside, outside the source directory/,
    mend: (source) => rm(join(source, 'docs', 'link')),
  },
  {
    name: 'an absolute link',
    make: (source) => symlink('/etc/passwd', join(source, 'link')),
    sentence: /\/link is a symbolic link to \/etc\/passwd/,
    mend: (source) => rm(join(source, 'link')),
  },
  {
    name: 'a link that goes out by way of a name',
    make: (source) => symlink('docs/../../outside', join(source, 'link')),
    sentence: /\/link .*the target has "\.\." after a name/,
    mend: (source) => rm(join(source, 'link')),
  },
  {
    name: 'a name that is not UTF-8',
    make: (source) => writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.of(0xff)]), ''),
    sentence: /has a name no receiver may create: the name is not valid UTF-8/,
    mend: (source) => rm(Buffer.concat([Buffer.from(`${source}/`), Buffer.of(0xff)])),
  },
  {
    name: 'two names that are one after normalisation',
    make: (source) => writeFiles(source, { 'caf\u00e9': 'composed', 'cafe\u0301': 'decomposed' }),
    sentence: /the name is there twice once Unicode is normalised/,
    mend: (source) => rm(join(source, 'cafe\u0301')),
  },
  {
    name: 'nothing in it',
    make: async (source) => {
      await rm(source, { recursive: true });
      await mkdir(source);
    },
    sentence: /holds nothing; expected at least one entry/,
    mend: (source) => writeFiles(source, { 'setup.exe': 'setup' }),
  },
];

describe('a source that no package can be made of (PKG-3)', () => {
  let network: Network;
  let administrator: Administrator;
  let sourceCount = 0;

  before(async () => {
    network = await Network.start({ distributionPoints: ['PS1DP1'] });
    administrator = await Administrator.of(network);
  });

  after(() => network.stop());

  async function makeSource(): Promise<string> {
    const source = join(network.directory, `source-${++sourceCount}`);
    await writeFiles(source, { 'setup.exe': `setup ${sourceCount}`, 'docs/a.txt': 'a' });
    return source;
  }

  async function create(source: string) {
    const words = ['package', 'create', '--name', 'Bad', '--source', source];
    return runWaybill(network, words);
  }

  async function newestPackageId(): Promise<string> {
    const newest = (await administrator.packages()).at(-1);
    assert.ok(newest);
    return newest.packageId;
  }

  for (const { name, make, sentence, mend } of badSources) {
    it(`${name}: refused with the path and what was expected; mended, it is published`, async () => {
      const source = await makeSource();
      await make(source);
      const published = await referencedHashes(network.dataDirectoryOf('PS1'));
      const { exitCode, stderr } = await create(source);
      assert.equal(exitCode, 1);
      assert.match(stderr, sentence);
      assert.ok(stderr.includes(source), stderr);
      const packageId = await newestPackageId();
      const { state, sourceVersion } = await administrator.getPackage(packageId);
      assert.deepEqual([state, sourceVersion], ['PACKAGE_STATE_FAILED', 0]);
      assert.deepEqual(await referencedHashes(network.dataDirectoryOf('PS1')), published);
      const told = (await administrator.messages({ packageId })).map((one) => one.messageId);
      assert.deepEqual(told, [2300, 2306, 2302]);
      await mend(source);
      assert.equal((await administrator.update(packageId)).sourceVersion, 1);
    });
  }

  it('a socket: refused', async () => {
    const source = await makeSource();
    const server: Server = createServer();
    await new Promise<void>((resolve) => server.listen(join(source, 'socket'), resolve));
    const { exitCode, stderr } = await create(source);
    server.close();
    assert.equal(exitCode, 1);
    assert.match(stderr, /\/socket is a socket; a package holds/);
  });

  it('a directory that is not there, and one that is a file: refused before there is a package', async () => {
    const known = (await administrator.packages()).length;
    const file = join(await makeSource(), 'setup.exe');
    for (const source of [join(network.directory, 'nowhere'), file]) {
      const { exitCode, stderr } = await create(source);
      assert.equal(exitCode, 1);
      assert.match(stderr, /expected an existing directory, given as an absolute path/);
      assert.ok(stderr.includes(source), stderr);
    }
    assert.equal((await administrator.packages()).length, known);
  });

  it('a file that keeps changing: refused after three tries; the version before stays', async () => {
    const source = await makeSource();
    const path = join(source, 'growing.log');
    // Long enough to read that a write falls into every try, however busy the machine is.
    await writeNoise(path, { bytes: 160_000_000, seed: 1 });
    const packageId = await administrator.create(source);
    // A process of its own, which nothing else in this one holds up.
    const writer = spawn('sh', ['-c', 'while :; do echo "one more line" >> "$0"; done', path]);
    const written = once(writer, 'exit');
    const update = ['package', 'update', packageId, '--wait'];
    const { exitCode, stderr } = await runWaybill(network, update).finally(() => {
      writer.kill('SIGKILL');
    });
    await written;
    assert.equal(exitCode, 1);
    assert.match(
      stderr,
      /growing\.log changed while it was read, 3 times\. Stop what writes to it/,
    );
    const { state, sourceVersion } = await administrator.getPackage(packageId);
    assert.deepEqual([state, sourceVersion], ['PACKAGE_STATE_FAILED', 1]);
    await administrator.distribute(packageId, 'PS1DP1');
    await administrator.statusIs({ packageId, dpId: 'PS1DP1' }, (row) => {
      return row.state === 'PACKAGE_STATUS_STATE_INSTALLED' && row.installedVersion === 1;
    });
    assert.equal((await administrator.update(packageId)).sourceVersion, 2);
  });
});
