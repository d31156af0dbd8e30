import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import { signTrustBundle, type TrustBundle } from '../../shared/certificates/trust-bundle.ts';
import { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { trustBundleKey } from '../../shared/domain/trust-bundle.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { until } from '../despooler/testing/test-receiver.ts';
import { newRoot } from './authority-making.ts';
import { readRootKey } from './root-keys.ts';
import { retireRoot, rotateRoot } from './root-rotation.ts';
import { inAuthority, TestAuthority } from './testing/test-authority.ts';
import { TrustBundles } from './trust-bundles.ts';

const diskFull = { code: 'DISK_FULL', path: '/', freeBytes: 0, neededBytes: 1 } as const;

describe('trust bundles of a site', () => {
  let clock: FakeClock;
  let files: TestAuthority;
  let roots: TrustedRoots;
  let bundles: TrustBundles;
  const change = () => {
    const { directory, rootsFile, agentFile, settings } = files;
    return { directory, rootsFile, agentFile, settings, siteCode: 'CS1', nowMs: clock.nowMs() };
  };
  const rows = () => files.store.records(keySpaces.trustBundles);
  const put = (row: unknown) =>
    files.store.write([rows().put(trustBundleKey, row as TrustBundle)], { sync: false });
  /** As a site that starts; without the authority, as one below the top. */
  const start = async (options: { isTop: boolean; isDiskFull?: () => boolean }) => {
    roots = await TrustedRoots.open(files.rootsFile, clock);
    const authority = options.isTop ? await files.open() : undefined;
    const { store, log } = files;
    const write: StateStore['write'] = async (changes, how) => {
      if (options.isDiskFull?.()) throw new WaybillError(diskFull);
      await store.write(changes, how);
    };
    bundles = new TrustBundles({
      store: {
        write,
        records: (space) => store.records(space),
        onWritten: (listener) => store.onWritten(listener),
      },
      clock,
      logger: log.logger,
      trustedRoots: roots,
      authority,
    });
    await bundles.start();
  };

  beforeEach(async () => {
    clock = new FakeClock();
    files = await TestAuthority.make({ clock });
  });
  afterEach(async () => {
    await bundles.stop();
    await files[Symbol.asyncDispose]();
  });

  it('are published by the top, at the start and when a command has changed the root', async () => {
    await start({ isTop: true });
    assert.equal((await rows().get(trustBundleKey))?.generation, 1);
    await rotateRoot(change());
    let newsCount = 0;
    const end = bundles.onChanged(() => newsCount++);
    await clock.advance(5_000);
    await until(() => roots.held.generation === 2);
    assert.equal((await rows().get(trustBundleKey))?.generation, 2);
    await until(() => newsCount > 0);
    assert.equal(bundles.current()?.generation, 2);
    end();
    await bundles.stop();
    await retireRoot(change(), { isForced: true });
    await start({ isTop: true });
    assert.equal((await rows().get(trustBundleKey))?.generation, 3);
    await until(() => roots.held.generation === 3);
  });

  it('are published with a later look when the disk is full at the start', async () => {
    let isFull = true;
    await start({ isTop: true, isDiskFull: () => isFull });
    assert.equal(await rows().get(trustBundleKey), undefined);
    isFull = false;
    await clock.advance(5_000);
    await until(() => bundles.current()?.generation === 1);
    assert.equal((await rows().get(trustBundleKey))?.generation, 1);
  });

  it('are taken as they come, and at the start', async () => {
    await start({ isTop: false });
    const both = await rotateRoot(change());
    await put(both);
    await until(() => roots.held.generation === 2);
    await bundles.stop();
    await put((await retireRoot(change(), { isForced: true })).bundle);
    assert.equal(roots.held.generation, 2);
    await start({ isTop: false });
    assert.equal(roots.held.generation, 3);
  });

  it('of other sites are refused, passed over or taken, and never one of their own', async () => {
    await start({ isTop: false });
    const first = signedBy(await readRoot(), 1);
    const evil = await newRoot('PS1', 2, { nowMs: clock.nowMs(), days: 10 });
    const foreign = signTrustBundle({ generation: 2, roots: [evil.certificate], signedAtMs: 1 }, [
      evil,
    ]);
    assert.match(bundles.checkRow(trustBundleKey, foreign) ?? '', /no root that is trusted here/);
    assert.match(bundles.checkRow('other', first) ?? '', /no row but roots/);
    assert.match(bundles.checkRow(trustBundleKey, {}) ?? '', /not a trust bundle/);
    const both = await rotateRoot(change());
    assert.equal(bundles.checkRow(trustBundleKey, both), undefined);
    assert.equal(bundles.isRollback(both), false);
    await put(both);
    await bundles.stop();
    assert.equal(
      bundles.checkRow(trustBundleKey, first),
      undefined,
      'old, and so only passed over',
    );
    assert.equal(bundles.isRollback(first), true);
    assert.equal(bundles.isRollback(undefined), true, 'nobody deletes it');
  });

  it('that are not believed change nothing, even when they stand in the table', async () => {
    await start({ isTop: false });
    const evil = await newRoot('PS1', 2, { nowMs: clock.nowMs(), days: 10 });
    await put(signTrustBundle({ generation: 2, roots: [evil.certificate], signedAtMs: 1 }, [evil]));
    await put({ generation: 'two' });
    await bundles.stop();
    assert.equal(bundles.current(), undefined);
    assert.equal(roots.held.generation, 1);
    assert.deepEqual(files.log.messages(40), [
      'A trust bundle is not believed',
      'A trust bundle is not believed',
    ]);
  });

  it('are not taken back by an authority of an old backup, which says so', async () => {
    const old = await readFile(inAuthority(files, 'trust-bundle.json'), 'utf8');
    await put(await rotateRoot(change()));
    await writeSecretFile(inAuthority(files, 'trust-bundle.json'), old);
    await start({ isTop: true });
    assert.equal((await rows().get(trustBundleKey))?.generation, 2);
    assert.match(files.log.messages(50).join(), /restored from a backup/);
  });

  async function readRoot() {
    const [certificate = ''] = roots.held.roots;
    return readRootKey(files.directory, certificate, undefined);
  }

  function signedBy(root: { certificate: string; key: string }, generation: number) {
    return signTrustBundle({ generation, roots: [root.certificate], signedAtMs: 1 }, [root]);
  }
});
