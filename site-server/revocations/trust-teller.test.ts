import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { DistributionPoint } from '../../shared/domain/distribution-point.ts';
import type { Revocation } from '../../shared/domain/revocation.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import type { ToldBundle } from '../../shared/domain/told-trust.ts';
import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { testDistributionPoint } from '../../shared/testing/test-distribution-point.ts';
import { TrustTeller } from './trust-teller.ts';

interface Part {
  readonly header?: {
    readonly revocationCount: number;
    readonly sites: object[];
    readonly bundle?: object;
  };
  readonly revocations: { readonly holder: string }[];
}

/** The DPs of a site, as its connections see them. */
class FakeDps {
  readonly told: { readonly dpId: string; readonly parts: Part[] }[] = [];
  #losses = 0;
  readonly #changed = new WakeSignal();

  /** The DP went away and came back. */
  restart(): void {
    this.#losses++;
    this.#changed.wake();
  }

  channelTo({ dpId }: DistributionPoint) {
    return {
      clientStream: async (method: string, requests: AsyncIterable<Part>) => {
        assert.equal(method, 'setTrust');
        const parts: Part[] = [];
        for await (const part of requests) parts.push(part);
        this.told.push({ dpId, parts });
        return {};
      },
    };
  }

  async reachable(): Promise<boolean> {
    return true;
  }

  async lost(_: DistributionPoint, signal: AbortSignal): Promise<void> {
    const before = this.#losses;
    while (this.#losses === before) {
      throwIfAborted(signal);
      await this.#changed.wait(signal);
    }
  }
}

function revocation(holder: string, revokedAtMs = 1): Revocation {
  return {
    siteCode: 'PS1',
    holder,
    revokedAtMs,
    reason: 'stolen',
    revokedBy: 'waybill://admin/full/a',
  };
}

describe('trust teller (SEC-3)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let dps: FakeDps;
  let teller: TrustTeller;
  let newTeller: () => TrustTeller;
  let list: Revocation[];
  let bundle: ToldBundle | undefined;
  let news = () => {};

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    dps = new FakeDps();
    list = [];
    bundle = undefined;
    const tree = new SiteTree([
      { siteCode: 'PS1', kind: 'primary', parentSiteCode: '', address: '', description: '' },
    ]);
    const onChanged = (listener: () => void) => {
      news = listener;
      return () => {};
    };
    newTeller = () =>
      new TrustTeller(
        {
          revocations: { list: () => list, onChanged },
          sites: { tree, own: { siteCode: 'PS1', kind: 'primary' } },
          bundles: { current: () => bundle, onChanged: () => () => {} },
        },
        { store, connections: dps as never, clock, random: () => 0.5, logger },
      );
    teller = newTeller();
    const point = testDistributionPoint('a:1', 'PS1DP1');
    const points = store.records(keySpaces.distributionPoints);
    await store.write([points.put(point.dpId, point)], { sync: false });
    await teller.start();
  });
  afterEach(async () => {
    await teller.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  /** So much was told, and nothing more. */
  async function toldTimes(count: number): Promise<void> {
    const isKept = async () =>
      (await store.records(keySpaces.toldTrustHashes).get('PS1DP1')) !== undefined;
    for (let turn = 0; dps.told.length < count || !(await isKept()); turn++) {
      assert.ok(turn < 100_000, `never told ${count} times, but ${dps.told.length}`);
      await nextTurn();
    }
    await clock.advance(2_000);
    assert.equal(dps.told.length, count);
  }
  const last = () => dps.told.at(-1)?.parts ?? [];

  it('tells a DP which sites there are, and nothing again without need', async () => {
    await clock.advance(30_000);
    await toldTimes(1);
    const sites = [{ siteCode: 'PS1', parentSiteCode: '' }];
    assert.deepEqual(last(), [{ header: { revocationCount: 0, sites }, revocations: [] }]);
    news();
    dps.restart();
    await toldTimes(1);
  });

  it('tells of a revocation at once, and again when the DP comes back', async () => {
    list = [revocation('dp/PS1DP2', 7)];
    news();
    await toldTimes(1);
    const said = { siteCode: 'PS1', holder: 'dp/PS1DP2', revokedAtMs: 7 };
    assert.deepEqual(last()[0]?.revocations, [said]);
    dps.restart();
    await clock.advance(2_000);
    await toldTimes(2);
    assert.deepEqual(last()[0]?.revocations, [said]);
  });

  it('after a start tells those again by and by that have it already, and others at once', async () => {
    list = [revocation('dp/PS1DP2')];
    news();
    await toldTimes(1);
    await teller.stop();
    teller = newTeller();
    await teller.start();
    await clock.advance(29_000);
    assert.equal(dps.told.length, 1);
    await clock.advance(1_000);
    await toldTimes(2);
    await teller.stop();
    list = [revocation('dp/PS1DP2'), revocation('dp/PS1DP3')];
    teller = newTeller();
    await teller.start();
    await toldTimes(3);
  });

  it('tells what comes in one second together, however much it is', async () => {
    for (let count = 1; count <= 50; count++) {
      list = Array.from({ length: count }, (_, index) => revocation(`client/x${index}`));
      news();
      for (let turn = 0; turn < 10; turn++) await nextTurn();
    }
    assert.ok(dps.told.length <= 1);
    await clock.advance(2_000);
    await toldTimes(2);
    assert.equal(last()[0]?.header?.revocationCount, 50);
  });

  it('tells of a bundle, as it is', async () => {
    bundle = { generation: 3, base64: 'Yg==' };
    news();
    await toldTimes(1);
    assert.deepEqual(last()[0]?.header?.bundle, { generation: 3, bundle: Buffer.from('b') });
  });

  it('tells of many in parts, the latest first', async () => {
    list = Array.from({ length: 2_001 }, (_, index) => revocation(`dp/N${index}`, index));
    news();
    await toldTimes(1);
    assert.equal(last()[0]?.header?.revocationCount, 2_001);
    assert.deepEqual(
      last().map(({ revocations }) => revocations.length),
      [1_000, 1_000, 1],
    );
    assert.equal(last()[0]?.revocations[0]?.holder, 'dp/N2000');
  });
});
