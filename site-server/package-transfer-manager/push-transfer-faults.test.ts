import assert from 'node:assert/strict';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import { PieceSource } from '../../shared/content-source/piece-source.ts';
import {
  big,
  claims,
  clock,
  code,
  controller,
  countOf,
  directory,
  dp,
  openBeforeEach,
  otherId,
  packageId,
  pieceSource,
  readFrom,
  shared,
  small,
  test,
  transfer,
  until,
} from './testing/push-ground.ts';

describe('push transfer, when something is lost or wrong', () => {
  openBeforeEach();

  it('inspects again and sends what a DP has lost since it said it had it', async () => {
    const version = await test.commit(packageId, 1, { a: small, b: big });
    let commitCount = 0;
    dp.onCall = (method) => {
      if (method !== 'commit') return;
      commitCount += 1;
      if (commitCount <= 2) dp.files.delete(hashOf(small));
    };
    assert.equal(await transfer().run(), version.packageHash);
    assert.equal(countOf(small), 3);
    assert.equal(countOf(big), 4);
  });

  it('gives a DP up that keeps losing what it acknowledges', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    dp.onCall = (method) => {
      if (method === 'commit') dp.files.clear();
    };
    await assert.rejects(transfer().run(), code('CONTENT_INCOMPLETE'));
    assert.equal(dp.calls.filter((call) => call === 'commit').length, 3);
  });

  it('believes no DP that serves something else (PTM-8)', async () => {
    await test.commit(packageId, 1, { a: small });
    dp.claimedHash = '0'.repeat(64);
    await assert.rejects(transfer().run(), code('CONTENT_HASH_MISMATCH'));
  });

  it('says that the site does not hold the version: none, an older or a newer one', async () => {
    await assert.rejects(transfer().run(), code('CONTENT_NOT_HELD'));
    await test.commit(packageId, 2, { a: small });
    for (const sourceVersion of [1, 3]) {
      await assert.rejects(transfer({ sourceVersion }).run(), code('CONTENT_NOT_HELD'));
    }
    assert.deepEqual(dp.calls, []);
  });

  it('says which file the site has lost, and frees what it had in hand', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    const other = new PieceSource({
      fileLibraryDirectory: directory.join('nowhere'),
      cacheBytesMax: 0,
      openFilesMax: 4,
    });
    const real = pieceSource;
    readFrom(other);
    await assert.rejects(transfer().run(), code('FILE_NOT_HELD'));
    await other.stop();
    readFrom(real);
    await transfer().run();
  });

  it('brings a DP no manifest that is not of the package, whatever it asks for', async () => {
    await test.commit(packageId, 1, { a: small });
    await test.commit(otherId, 1, { secret: shared });
    dp.askedManifests = [`${otherId}.1`, '../../etc/passwd', `${packageId}.1`, `${packageId}.1`];
    await transfer().run();
    assert.deepEqual([...dp.manifests.keys()], [`${packageId}.1`]);
  });

  it('refuses an answer to Inspect that is not about the content', async () => {
    await test.commit(packageId, 1, { a: small });
    const lies: [string, (typeof dp)['tamperInspect']][] = [
      ['entry', (part) => ({ ...part, files: [{ entryIndex: '1', piecesHeld: Buffer.alloc(0) }] })],
      [
        'negative',
        (part) => ({ ...part, files: [{ entryIndex: '-1', piecesHeld: Buffer.alloc(0) }] }),
      ],
      ['twice', ({ files, missingBytes }) => ({ files: [...files, ...files], missingBytes })],
      ['missing', (part) => ({ ...part, missingBytes: '18446744073709551615' })],
    ];
    for (const [name, lie] of lies) {
      dp.tamperInspect = lie;
      await assert.rejects(transfer().run(), code('MESSAGE_INVALID'), name);
    }
  });

  it('ends when it is aborted, whatever it does, and frees what it had in hand', async () => {
    await test.commit(packageId, 1, { a: small, b: big });
    const reason = new Error('withdrawn');
    const hang = () => new Promise<void>(() => {});
    dp.onContent = hang;
    const running = transfer().run();
    const ended = assert.rejects(running, reason);
    await until(() => dp.sent.length === 3);
    controller.abort(reason);
    await ended;
    assert.equal(claims.claim(hashOf(big), {}), 'mine');
    // Only the sweep of the library sleeps, once it has come so far.
    await until(() => clock.sleeperCount === 1);
  });

  it('gives a DP up that is connected and does nothing (PTM-2)', async () => {
    await test.commit(packageId, 1, { b: big });
    dp.onContent = () => new Promise<void>(() => {});
    const ended = assert.rejects(transfer().run(), code('DEADLINE_EXCEEDED'));
    await until(() => dp.sent.length === 3 && clock.sleeperCount > 0);
    await clock.advance(120_000);
    await clock.advance(120_000);
    await ended;
  });
}).timeout(10_000);
