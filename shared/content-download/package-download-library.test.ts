import assert from 'node:assert/strict';
import { hashOf } from '../content-library/content-hash.ts';
import { pieceBytes } from '../domain/content.ts';
import type { PackageVersion } from '../domain/package.ts';
import type { PullSource } from '../domain/pull-source.ts';
import { big, bytes, ProviderTest, packageId } from '../package-receiver/testing/provider-test.ts';
import { systemClock } from '../runtime/clock.ts';
import { CapturedLog } from '../testing/captured-log.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { SeededRandom } from '../testing/seeded-random.ts';
import { PackageDownload } from './package-download.ts';
import { SourceSet } from './source-set.ts';
import { RecordedDownload } from './testing/fake-puller.ts';
import { libraryChannel } from './testing/library-channel.ts';

describe('package download into a library', () => {
  let test: ProviderTest;
  beforeEach(async function () {
    this.timeout(10_000);
    test = await ProviderTest.open();
  });
  afterEach(async function () {
    this.timeout(10_000);
    await test[Symbol.asyncDispose]();
  });

  const source = (dpId: string, rank: number): PullSource => ({
    identity: { kind: 'dp', dpId },
    address: dpId,
    rank,
  });
  const small = Object.fromEntries(
    Array.from({ length: 700 }, (_, index) => [`f${index}`, bytes(`file ${index}`)]),
  );
  const tree = { b: big('b', 9), empty: bytes(''), same: big('b', 9), small };

  async function download(version: PackageVersion, jobSerial: number, redistribute = false) {
    const observer = new RecordedDownload(new FakeClock());
    const flip = (data: Buffer) => {
      data[0] = (data[0] ?? 0) ^ 1;
      return data;
    };
    const registered: string[] = [];
    const job = new PackageDownload({
      receiver: test.dp.provider,
      library: test.dp.library,
      arriving: {
        add: ({ descriptor }) => {
          registered.push(descriptor.contentId);
          return () => registered.pop();
        },
        changed: () => {},
      },
      connect: ({ address }) =>
        libraryChannel(test.source, address === 'PS1LIAR' ? flip : undefined),
      clock: systemClock,
      random: new SeededRandom(1).next,
      logger: new CapturedLog().logger,
    });
    const action = { packageId, jobSerial, version, redistribute };
    await test.dp.provider.begin(action);
    const { signal } = new AbortController();
    const sources = new SourceSet([source('PS1DP1', 1), source('PS1LIAR', 1)]);
    const downloaded = await job.run({ action, sources, signal, observer });
    assert.deepEqual(registered, [`${packageId}.${version.sourceVersion}`]);
    const hash = await test.dp.provider.commit(action);
    downloaded.end();
    assert.deepEqual(registered, []);
    assert.equal(hash, version.packageHash);
    return observer;
  }

  it('brings a package whole beside a source that lies: no wrong byte gets in (PULL-7, SEC-4)', async () => {
    const version = await test.publish(1, tree);
    const observer = await download(version, 1);
    assert.deepEqual(observer.liars, ['PS1LIAR']);
    assert.deepEqual(await test.extracted('b'), tree.b);
    assert.deepEqual(await test.extracted('same'), tree.b);
    assert.deepEqual(await test.extracted('small/f699'), bytes('file 699'));
    const smallBytes = Object.values(small).reduce((sum, { length }) => sum + length, 0);
    assert.equal(observer.doneBytes, tree.b.length + smallBytes);
    assert.equal(observer.expectedBytes, observer.doneBytes);
  });

  it('brings of a new version only what is new, of a redistribution everything (PULL-6)', async () => {
    await download(await test.publish(1, tree), 1);
    const changed = { ...tree, new: bytes('new') };
    const second = await test.publish(2, changed);
    assert.equal((await download(second, 2)).doneBytes, 3);
    assert.equal((await download(second, 3)).doneBytes, 0);
    const again = await download(second, 4, true);
    assert.ok(again.doneBytes > tree.b.length);
  });

  it('goes on after a restart with the pieces that are here (PULL-4)', async () => {
    const version = await test.publish(1, tree);
    await test.sender.begin(version, 1);
    await test.sender.wanted(version, 1);
    for (const index of [0, 3, 4]) {
      const piece = tree.b.subarray(index * pieceBytes, (index + 1) * pieceBytes);
      const action = { packageId, jobSerial: 1 };
      await test.sender.sendPiece(action, hashOf(tree.b), index, Buffer.from(piece));
    }
    await test.restart();
    const observer = await download(version, 1);
    const smallBytes = Object.values(small).reduce((sum, { length }) => sum + length, 0);
    assert.equal(observer.doneBytes, tree.b.length - 3 * pieceBytes + smallBytes);
  });
}).timeout(20_000);
