import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beginningOf, type Revocation } from '../../shared/domain/revocation.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { IssuedCertificates } from '../certificate-authority/issued-certificates.ts';
import { until } from '../despooler/testing/test-receiver.ts';
import { EnrollmentTokens } from '../enrollment/enrollment-tokens.ts';
import { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import { LateRevocations } from './late-revocations.ts';
import { defaultRevocationsConfig, Revocations } from './revocations.ts';

const minuteMs = 60_000;
const holder = 'dp/PS1DP1';
const voucher = { siteCode: 'PS1' };

describe('a revocation that comes after its holder has renewed (SEC-3)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let sites: SiteDirectory;
  let revocations: Revocations;
  let late: LateRevocations;
  let serial = 0;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock(Date.UTC(2026, 0, 1));
    const parent = { siteCode: 'CAS', address: 'cas:1' };
    sites = new SiteDirectory({ store, own: { siteCode: 'PS1', kind: 'primary', parent } });
    await sites.start();
    await begin();
  });
  afterEach(async () => {
    await end();
    await sites.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function begin(config = {}): Promise<void> {
    const { logger } = new CapturedLog();
    const needs = { store, clock, siteCode: 'PS1', sites, logger };
    revocations = new Revocations(needs, { ...defaultRevocationsConfig, ...config });
    await revocations.start();
    late = new LateRevocations({ ...needs, revocations });
    await late.start();
  }
  async function end(): Promise<void> {
    await late.stop();
    await revocations.stop();
  }

  /** What the authority does. @returns when the certificate begins */
  async function issue(): Promise<number> {
    const { logger } = new CapturedLog();
    const known = revocations.heardByIssuer(holder);
    const notBeforeMs = beginningOf(clock.nowMs(), 5 * minuteMs, known);
    serial += 1;
    await new IssuedCertificates({ store, clock, logger }).record({
      ...{ kind: 'leaf', serialNumber: `${serial}`, holder, identityUri: 'waybill://dp/PS1DP1' },
      ...{ issuedAtMs: clock.nowMs(), notBeforeMs, notAfterMs: notBeforeMs + 90 * 1440 * minuteMs },
      ...{ rootKeyId: '', knownRevokedAtMs: known?.revokedAtMs ?? 0 },
    });
    return notBeforeMs;
  }
  async function comes(revokedAtMs: number, siteCode = 'CAS'): Promise<void> {
    const row: Revocation = { siteCode, holder, revokedAtMs, reason: 'lost', revokedBy: 'x' };
    const key = joinKey(siteCode, ...holder.split('/'));
    await store.write([store.records(keySpaces.revocations).put(key, row)], { sync: false });
    await store.settled();
  }
  const own = () => store.records(keySpaces.revocations).get(`PS1/${holder}`);
  const isOut = (notBeforeMs: number) =>
    revocations.trust.revocationOf({
      ...{ identity: { kind: 'dp', dpId: 'PS1DP1' }, voucher, notBeforeMs },
      ...{ notAfterMs: notBeforeMs + 90 * 1440 * minuteMs, vouchedFromMs: 1 },
    }) !== undefined;

  for (const [what, saidMsAgo, issuedMsAgo] of [
    ['while this site was cut off', 20 * minuteMs, 10 * minuteMs],
    ['before it was said by a clock that is behind', 6 * minuteMs, minuteMs / 2],
  ] as const) {
    it(`counts for a certificate that was issued ${what}`, async () => {
      const saidAtMs = clock.nowMs();
      await clock.advance(saidMsAgo - issuedMsAgo);
      const notBeforeMs = await issue();
      await clock.advance(issuedMsAgo);
      await comes(saidAtMs);
      await until(async () => isOut(notBeforeMs));
      assert.deepEqual(await own(), {
        ...{ siteCode: 'PS1', holder, revokedAtMs: clock.nowMs(), reason: 'lost' },
        revokedBy: 'waybill://site/PS1',
      });
    });
  }

  it('ends tokens that were made before it was said, and no later one', async () => {
    const tokens = new EnrollmentTokens({ store, clock, randomBytes });
    const make = () =>
      tokens.create({
        ...{ identity: { kind: 'dp', dpId: 'PS1DP1' }, validForMs: 90 * minuteMs },
        ...{ createdBy: 'waybill://admin/full/alice', rootKeyHash: randomBytes(32) },
      });
    const stateOf = async (tokenId: string) =>
      (await store.records(keySpaces.enrollmentTokens).get(tokenId))?.revoked?.because;
    const { row: early } = await make();
    await clock.advance(minuteMs);
    await comes(clock.nowMs());
    await until(async () => (await stateOf(early.tokenId)) === 'holder-gone');
    await clock.advance(minuteMs);
    const { row: later } = await make();
    await end();
    await begin();
    assert.equal(await stateOf(later.tokenId), undefined);
    // Said while this site was off.
    await end();
    await comes(clock.nowMs());
    await begin();
    assert.equal(await stateOf(later.tokenId), 'holder-gone');
  });

  it('ends no token of whom a site without a say has revoked', async () => {
    const tokens = new EnrollmentTokens({ store, clock, randomBytes });
    const { row } = await tokens.create({
      ...{ identity: { kind: 'dp', dpId: 'PS1DP1' }, validForMs: 90 * minuteMs },
      ...{ createdBy: 'waybill://admin/full/alice', rootKeyHash: randomBytes(32) },
    });
    await end();
    await begin();
    await comes(clock.nowMs(), 'XX1');
    await end();
    await begin();
    const rows = store.records(keySpaces.enrollmentTokens);
    assert.equal((await rows.get(row.tokenId))?.revoked, undefined);
  });

  it('counts also when there was no room for it at first', async () => {
    const rows = store.records(keySpaces.revocations);
    const said = { siteCode: 'S11', reason: 'lost', revokedBy: 'x' };
    const place = {
      kind: 'secondary',
      parentSiteCode: 'PS1',
      address: '',
      description: '',
    } as const;
    const issued = { issuedAtMs: clock.nowMs(), notAfterMs: clock.nowMs() + 1440 * minuteMs };
    const { logger } = new CapturedLog();
    await new IssuedCertificates({ store, clock, logger }).record({
      ...{ kind: 'authority', serialNumber: '1', holder: 'site/S11', rootKeyId: '' },
      ...{ ...issued, identityUri: 'waybill://site/S11', notBeforeMs: clock.nowMs() },
      knownRevokedAtMs: 0,
    });
    await end();
    await store.write(
      [
        store.records(keySpaces.sites).put('S11', { siteCode: 'S11', ...place }),
        rows.put('S11/site/S11', { ...said, holder: 'site/S11', revokedAtMs: clock.nowMs() - 2 }),
        rows.put('S11/client/x', { ...said, holder: 'client/x', revokedAtMs: clock.nowMs() - 1 }),
      ],
      { sync: false },
    );
    await begin({ branchCountMax: 1 });
    assert.deepEqual(Object.fromEntries(revocations.passedOverCounts()), { S11: 1 });
    await store.write([rows.delete('S11/client/x')], { sync: false });
    const isSaid = async () => (await rows.get('PS1/site/S11')) !== undefined;
    while (!(await isSaid())) {
      await clock.advance(1_000);
      await nextTurn();
    }
  });

  it('counts after a crash in between', async () => {
    const saidAtMs = clock.nowMs();
    await clock.advance(10 * minuteMs);
    const first = await issue();
    await end();
    await comes(saidAtMs);
    await begin();
    assert.equal(isOut(first), true);
  });

  it('counts for a certificate that is written down only after it came', async () => {
    await comes(clock.nowMs() - 6 * minuteMs);
    const { heardByIssuer } = revocations;
    revocations.heardByIssuer = () => undefined;
    const issuing = issue();
    revocations.heardByIssuer = heardByIssuer;
    const notBeforeMs = await issuing;
    await until(async () => isOut(notBeforeMs));
  });

  it('leaves who was enrolled since it came, also after a restart', async () => {
    const saidAtMs = clock.nowMs();
    await clock.advance(10 * minuteMs);
    const first = await issue();
    await comes(saidAtMs);
    await until(async () => isOut(first));
    const said = await own();
    const again = await issue();
    await end();
    await begin();
    await clock.advance(30 * minuteMs);
    await comes(saidAtMs);
    await end();
    await begin();
    assert.equal(isOut(again), false);
    assert.deepEqual(await own(), said);
  });

  it('leaves who was enrolled for the first time after it came', async () => {
    await comes(clock.nowMs());
    const notBeforeMs = await issue();
    await end();
    await begin();
    assert.equal(isOut(notBeforeMs), false);
    assert.equal(await own(), undefined);
  });

  it('of a site that has no say about the holder changes nothing', async () => {
    const rows = store.records(keySpaces.sites);
    const place = { kind: 'primary', parentSiteCode: 'CAS', address: '', description: '' } as const;
    const change = ['PS1', 'PS2'].map((siteCode) => rows.put(siteCode, { siteCode, ...place }));
    await store.write(change, { sync: false });
    await store.settled();
    const saidAtMs = clock.nowMs();
    await clock.advance(10 * minuteMs);
    const notBeforeMs = await issue();
    await comes(saidAtMs, 'PS2');
    await end();
    await begin();
    assert.equal(isOut(notBeforeMs), false);
    assert.equal(await own(), undefined);
  });
});
