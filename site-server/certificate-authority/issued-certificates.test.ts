import assert from 'node:assert/strict';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { IssuedCertificates } from './issued-certificates.ts';

const config = { perHolderMax: 2, countMax: 4, keptMs: 1_000, sweepIntervalMs: 10_000 };

describe('issued certificates', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let issued: IssuedCertificates;
  let serial = 0;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    serial = 0;
    issued = new IssuedCertificates({ store, clock, logger }, config);
  });
  afterEach(async () => {
    await issued.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  const record = async (
    holder: string,
    lifeMs: number,
    kind: IssuedCertificateRecord['kind'] = 'leaf',
  ) => {
    serial += 1;
    const issuedAtMs = clock.nowMs() + serial;
    await issued.record({
      ...{ kind, serialNumber: `${serial}`, holder, identityUri: `waybill://${holder}` },
      ...{ issuedAtMs, notBeforeMs: issuedAtMs, notAfterMs: clock.nowMs() + lifeMs },
      rootKeyId: '',
    } satisfies IssuedCertificateRecord);
  };
  const serials = async () => {
    const all: string[] = [];
    for await (const { serialNumber } of issued.list()) all.push(serialNumber);
    return all;
  };

  it('are few of each holder, the newest', async () => {
    for (let count = 0; count < 4; count++) await record('dp/PS1DP1', 5_000);
    // A name that begins as another one does is another holder.
    await record('dp/PS1DP11', 5_000);
    assert.deepEqual(await serials(), ['3', '4', '5']);
  });

  it('say of whom one is remembered, also of a site whose authority it is', async () => {
    await record('dp/PS1DP11', 5_000);
    await record('site/PS1', 5_000, 'authority');
    for (const [holder, hasOne] of [
      ['dp/PS1DP11', true],
      ['dp/PS1DP1', false],
      ['site/PS1', true],
      ['admin/PS1', false],
    ] as const) {
      assert.equal(await issued.hasOf(holder), hasOne, holder);
    }
  });

  it('are forgotten a while after they expired', async () => {
    await record('dp/PS1DP1', 5_000);
    await record('dp/PS1DP2', 50_000);
    await clock.advance(6_000);
    await issued.sweep();
    assert.deepEqual(await serials(), ['1', '2']);
    await clock.advance(1);
    await issued.sweep();
    assert.deepEqual(await serials(), ['2']);
  });

  it('are never more than so many: those that end first go', async () => {
    for (const [index, lifeMs] of [9_000, 5_000, 8_000, 7_000, 6_000, 10_000].entries()) {
      await record(`dp/PS1DP${index}`, lifeMs);
    }
    await issued.sweep();
    assert.deepEqual(await serials(), ['1', '3', '4', '6']);
  });

  it('are swept at the start, and now and then', async () => {
    await record('dp/PS1DP1', 5_000);
    await issued.start();
    while (clock.sleeperCount === 0) await clock.advance(0);
    assert.deepEqual(await serials(), ['1']);
    await clock.advance(10_000);
    await issued.stop();
    assert.deepEqual(await serials(), []);
  });
});
