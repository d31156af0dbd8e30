import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CertifiedPeer, Voucher } from '../../shared/domain/certificate-authority.ts';
import type { IssuedCertificateRecord } from '../../shared/domain/issued-certificate.ts';
import type { Revocation } from '../../shared/domain/revocation.ts';
import type { SiteDefinition, SiteIdentity, SiteKind } from '../../shared/domain/site.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { EnrollmentTokens } from '../enrollment/enrollment-tokens.ts';
import { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import {
  deletedAdministratorReason,
  deletedDpReason,
  deletedSiteReason,
  revocationsOf,
} from './revocation-rows.ts';
import { defaultRevocationsConfig, Revocations } from './revocations.ts';

function site(siteCode: string, kind: SiteKind, parentSiteCode = ''): SiteDefinition {
  return { siteCode, kind, parentSiteCode, address: '', description: '' };
}

const by = { reason: 'stolen', revokedBy: 'waybill://admin/full/alice' };
const dayMs = 86_400_000;
const shortLived = { keepMs: 600_000, sweepIntervalMs: 60_000 };

describe('revocations of a site (SEC-3)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let clock: FakeClock;
  let sites: SiteDirectory;
  let revocations: Revocations;

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    clock = new FakeClock();
    const parent = { siteCode: 'CAS', address: 'cas:1' };
    sites = new SiteDirectory({ store, own: { siteCode: 'PS1', kind: 'primary', parent } });
    await sites.start();
    await restart();
  });
  afterEach(async () => {
    await revocations.stop();
    await sites.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(config = {}): Promise<void> {
    await revocations?.stop();
    const { logger } = new CapturedLog();
    const needs = { store, clock, siteCode: 'PS1', sites, logger };
    revocations = new Revocations(needs, { ...defaultRevocationsConfig, ...config });
    await revocations.start();
  }

  const rows = () => store.records(keySpaces.revocations);
  function row(siteCode: string, holder: string, revokedAtMs = clock.nowMs()): Revocation {
    return { siteCode, holder, revokedAtMs, ...by };
  }
  async function replicated(...given: Revocation[]): Promise<void> {
    const keyOf = ({ siteCode, holder }: Revocation) => joinKey(siteCode, ...holder.split('/'));
    await store.write(
      given.map((one) => rows().put(keyOf(one), one)),
      { sync: false },
    );
    await store.settled();
  }
  async function defined(...given: SiteDefinition[]): Promise<void> {
    const records = store.records(keySpaces.sites);
    await store.write(
      given.map((one) => records.put(one.siteCode, one)),
      { sync: false },
    );
  }
  const passedOver = () => Object.fromEntries(revocations.passedOverCounts());
  async function fitted(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await clock.advance(1_000);
      await nextTurn();
    }
  }
  function dp(voucher: Voucher = 'root'): CertifiedPeer {
    const life = { notBeforeMs: clock.nowMs() - dayMs, notAfterMs: clock.nowMs() + 9_000 * dayMs };
    return { identity: { kind: 'dp', dpId: 'PS1DP1' }, voucher, vouchedFromMs: 1, ...life };
  }
  const isOut = (peer: CertifiedPeer) => revocations.trust.refusalOf(peer) !== undefined;

  it('act when they are said, and after a restart; a later certificate counts', async () => {
    const before = dp();
    assert.equal(isOut(before), false);
    let toldCount = 0;
    const end = revocations.trust.onChange(() => toldCount++);
    const said = await revocations.revoke('dp/PS1DP1', by);
    assert.deepEqual(said, row('PS1', 'dp/PS1DP1'));
    assert.equal(toldCount, 1);
    end();
    for (const _ of ['now', 'after a restart']) {
      assert.equal(isOut(before), true);
      assert.equal(isOut({ ...before, notBeforeMs: clock.nowMs() + 1_000 }), false);
      assert.deepEqual(revocations.list(), [said]);
      await restart();
    }
  });

  it('act when another site has said them, as far as it has its say', async () => {
    const sites = store.records(keySpaces.sites);
    const site = (siteCode: string, kind: 'primary' | 'secondary', parentSiteCode: string) =>
      sites.put(siteCode, { siteCode, kind, parentSiteCode, address: '', description: '' });
    await store.write(
      [
        sites.put('CAS', {
          ...{ siteCode: 'CAS', kind: 'central-administration', parentSiteCode: '' },
          ...{ address: '', description: '' },
        }),
        site('PS2', 'primary', 'CAS'),
      ],
      { sync: false },
    );
    await store.settled();
    await replicated(row('PS2', 'dp/PS1DP1'));
    assert.equal(isOut(dp({ siteCode: 'PS1' })), false);
    assert.equal(isOut(dp({ siteCode: 'PS2' })), true);
    assert.equal(revocations.heardOf('dp/PS1DP1', { siteCode: 'PS1' }), undefined);
    assert.equal(revocations.heardOf('dp/PS1DP1', { siteCode: 'PS2' })?.siteCode, 'PS2');
    // Nobody without a say delays what is issued to others.
    assert.equal(revocations.heardByIssuer('dp/PS1DP1'), undefined);
    await replicated(row('PS2', 'site/PS1'), row('PS2', 'site/PS2'));
    assert.equal(revocations.heardByIssuer('site/PS1'), undefined);
    assert.equal(revocations.heardByIssuer('site/PS2')?.siteCode, 'PS2');
    await replicated(row('CAS', 'dp/PS1DP1'));
    assert.equal(isOut(dp({ siteCode: 'PS1' })), true);
    assert.equal(revocations.heardByIssuer('dp/PS1DP1')?.siteCode, 'CAS');
  });

  it('end the tokens that their holders have not used, in the same batch', async () => {
    const tokens = new EnrollmentTokens({
      store,
      clock,
      randomBytes: (count) => randomBytes(count),
    });
    const make = (dpId: string) =>
      tokens.create({
        ...{ identity: { kind: 'dp', dpId }, validForMs: dayMs },
        ...{ createdBy: by.revokedBy, rootKeyHash: randomBytes(32) },
      });
    const [own, other] = [await make('PS1DP1'), await make('PS1DP2')];
    const batches: string[][] = [];
    const end = store.onWritten((changes) => batches.push(changes.map(({ space }) => space)));
    await revocations.revoke('dp/PS1DP1', by);
    end();
    const rows = store.records(keySpaces.enrollmentTokens);
    const revoked = { atMs: clock.nowMs(), because: 'holder-gone' };
    assert.deepEqual((await rows.get(own.row.tokenId))?.revoked, revoked);
    assert.equal((await rows.get(other.row.tokenId))?.revoked, undefined);
    assert.deepEqual(batches, [[keySpaces.revocations.name, keySpaces.enrollmentTokens.name]]);
  });

  it('go to no earlier moment when the clock goes back', async () => {
    const said = await revocations.revoke('dp/PS1DP1', by);
    clock = new FakeClock(clock.nowMs() - dayMs);
    await restart();
    const again = await revocations.revoke('dp/PS1DP1', { ...by, reason: 'lost' });
    assert.deepEqual(again, { ...said, reason: 'lost' });
    const needs = { store, clock, siteCode: 'PS1' };
    const { rows: made } = await revocationsOf(needs, ['dp/PS1DP1', 'dp/PS1DP2'], by);
    assert.deepEqual(
      made.map(({ revokedAtMs }) => revokedAtMs),
      [said.revokedAtMs, clock.nowMs()],
    );
  });

  it('keep their reason when they are said again without one', async () => {
    await revocations.revoke('dp/PS1DP1', by);
    const again = await revocations.revoke('dp/PS1DP1', { ...by, reason: '' });
    assert.equal(again.reason, 'stolen');
    const other = await revocations.revoke('dp/PS1DP1', { ...by, reason: 'lost' });
    assert.equal(other.reason, 'lost');
  });

  it('keep no reason of what was said before their holder was enrolled anew', async () => {
    const issued = store.records(keySpaces.issuedCertificates);
    const issue = async (notBeforeMs: number) => {
      const row = { kind: 'leaf', holder: 'dp/PS1DP1', notBeforeMs } as IssuedCertificateRecord;
      await store.write([issued.put(`leaf/dp/PS1DP1/${notBeforeMs}/1`, row)], { sync: false });
    };
    await issue(clock.nowMs() - dayMs);
    const { revokedAtMs } = await revocations.revoke('dp/PS1DP1', by);
    const sayAgain = () => revocations.revoke('dp/PS1DP1', { ...by, reason: '' });
    assert.equal((await sayAgain()).reason, 'stolen');
    await issue(revokedAtMs + 1_000);
    assert.equal((await sayAgain()).reason, '');
  });

  for (const reason of [deletedDpReason, deletedSiteReason, deletedAdministratorReason]) {
    it(`keep no reason of a deletion, "${reason}", for what is there again`, async () => {
      await revocations.revoke('dp/PS1DP1', { ...by, reason });
      assert.equal((await revocations.revoke('dp/PS1DP1', { ...by, reason: '' })).reason, '');
    });
  }

  it('of a neighbour that remembers an earlier moment, or none, are passed over', async () => {
    await restart(shortLived);
    const held = row('PS2', 'dp/PS1DP1');
    await replicated(held);
    const key = 'PS2/dp/PS1DP1';
    const earlier = { ...held, revokedAtMs: held.revokedAtMs - 1 };
    assert.equal(revocations.isRollback(key, earlier), true);
    assert.equal(revocations.isRollback(key, undefined), true);
    assert.equal(revocations.isRollback(key, held), false);
    assert.equal(revocations.isRollback('PS3/dp/PS1DP1', earlier), false);
    // Once no certificate is left that it could be about, its site deletes it.
    await clock.advance(shortLived.keepMs);
    assert.equal(revocations.isRollback(key, undefined), false);
  });

  it('that contradict their key, or are of the future, are refused of a neighbour', () => {
    const key = 'PS2/dp/PS1DP1';
    const fit = row('PS2', 'dp/PS1DP1');
    assert.equal(revocations.refusalOfRow(key, fit), undefined);
    const others = [row('PS2', 'dp/PS1DP2'), row('PS3', 'dp/PS1DP1'), row('PS2', 'admin/PS1DP1')];
    for (const other of others) {
      assert.match(revocations.refusalOfRow(key, other) ?? '', /another row than its key/);
    }
    const ahead = { ...fit, revokedAtMs: clock.nowMs() + 600_001 };
    assert.match(revocations.refusalOfRow(key, ahead) ?? '', /in the future/);
  });

  it('of this site go when no certificate is left; those of others are theirs to delete', async () => {
    await restart(shortLived);
    await revocations.revoke('dp/PS1DP1', by);
    await replicated(row('PS2', 'dp/PS2DP1'));
    await clock.advance(shortLived.keepMs);
    assert.equal(revocations.list().length, 2);
    await clock.advance(2 * shortLived.sweepIntervalMs);
    await store.settled();
    assert.deepEqual(
      revocations.list().map(({ holder }) => holder),
      ['dp/PS2DP1'],
    );
  });

  it('of another site are bounded in number: what it has said already it may say again', async () => {
    await restart({ otherCountMax: 2 });
    await replicated(row('PS2', 'client/x1'), row('PS2', 'client/x2'));
    const refusal = (one: Revocation) =>
      revocations.roomOfMessage()(`${one.siteCode}/${one.holder}`, one);
    assert.match(refusal(row('PS2', 'client/x3')) ?? '', /of a site 2 revocations are kept/);
    assert.equal(refusal(row('PS2', 'client/x2')), undefined);
    assert.equal(refusal(row('PS3', 'client/x3')), undefined);
    await restart({ otherCountMax: 2 });
    assert.ok(refusal(row('PS2', 'client/x3')), 'also after a restart');
    await store.write([rows().delete('PS2/client/x1')], { sync: false });
    await store.settled();
    const room = revocations.roomOfMessage();
    const answers = ['x3', 'x4', 'x2'].map((name) => room('', row('PS2', `client/${name}`)));
    assert.deepEqual(
      answers.map((answer) => answer === undefined),
      [true, false, true],
      'those of one message count',
    );
  });

  it('beyond what is heard of a branch are kept, and heard as soon as there is room (SEC-3)', async () => {
    await defined(site('CAS', 'central-administration'), site('PS2', 'primary', 'CAS'));
    const few = { branchCountMax: 3 };
    await restart(few);
    const said = [1, 2, 3, 4, 5].map((at) => row('PS2', `client/x${at}`, clock.nowMs() + at));
    await replicated(...said);
    await fitted(() => passedOver().PS2 === 2);
    const heard = () => revocations.list().map(({ holder }) => holder);
    for (const _ of ['now', 'after a restart']) {
      assert.deepEqual(heard(), ['client/x3', 'client/x4', 'client/x5'], 'the newest');
      assert.deepEqual(passedOver(), { PS2: 2 });
      const [oldest] = said;
      const earlier = { ...oldest, revokedAtMs: 1 };
      assert.equal(revocations.isRollback('PS2/client/x1', earlier), true, 'and no earlier one');
      await restart(few);
    }
    await store.write([rows().delete('PS2/client/x4')], { sync: false });
    await fitted(() => passedOver().PS2 === 1);
    assert.deepEqual(heard(), ['client/x2', 'client/x3', 'client/x5']);
    await store.write([rows().delete('PS2/client/x5')], { sync: false });
    await fitted(() => passedOver().PS2 === undefined);
    assert.deepEqual(heard(), ['client/x1', 'client/x2', 'client/x3']);
    assert.equal(revocations.list()[0]?.reason, by.reason, 'with all of its row');
  });

  it('of a site that says few are heard, whatever others of its branch said before (SEC-3)', async () => {
    const below = ['S21', 'S22', 'S23'].map((code) => site(code, 'secondary', 'PS2'));
    await defined(
      ...[site('CAS', 'central-administration'), site('PS2', 'primary', 'CAS')],
      ...below,
    );
    // Of this branch only one has shown a certificate; the others may be made up.
    await store.write(
      [store.records(keySpaces.siteIdentities).put('S23', { siteCode: 'S23' } as SiteIdentity)],
      { sync: false },
    );
    await restart({ branchCountMax: 6 });
    const names = ['1', '2', '3', '4', '5', '6'];
    await replicated(...names.map((name) => row('S21', `client/x${name}`)));
    await replicated(...names.map((name) => row('S22', `client/x${name}`)));
    await replicated(row('S23', 'client/x1'), row('S23', 'client/x2'));
    await fitted(() => revocations.list().length === 6);
    const count = (code: string) =>
      revocations.list().filter(({ siteCode }) => siteCode === code).length;
    assert.deepEqual([count('S21'), count('S22'), count('S23')], [2, 2, 2]);
    assert.deepEqual(passedOver(), { S21: 4, S22: 4 });
  });

  it('of many sites are shared out now and then at the start, not after each site (SEC-3)', async () => {
    const codes = Array.from({ length: 40 }, (_, at) => `S${at + 10}`);
    const below = codes.map((code) => site(code, 'secondary', 'PS2'));
    await defined(site('CAS', 'central-administration'), site('PS2', 'primary', 'CAS'), ...below);
    const holders = ['client/x1', 'client/x2', 'client/x3'];
    await replicated(...codes.flatMap((code) => holders.map((holder) => row(code, holder))));
    await revocations.stop();
    let askedCount = 0;
    const { identityOf } = sites;
    sites.identityOf = (siteCode) => {
      askedCount += 1;
      return identityOf.call(sites, siteCode);
    };
    await restart({ branchCountMax: 60 });
    assert.ok(askedCount <= 3 * codes.length, `asked ${askedCount} times who has shown what`);
    assert.equal(revocations.list().length, 60);
  });

  it('are bounded in number and length', async () => {
    await restart({ countMax: 1 });
    await revocations.revoke('dp/PS1DP1', by);
    await revocations.revoke('dp/PS1DP1', by);
    await assert.rejects(revocations.revoke('dp/PS1DP2', by), /at most 1 revocations/);
    const long = { ...by, reason: 'x'.repeat(501) };
    await assert.rejects(revocations.revoke('dp/PS1DP1', long), /reason: expected at most 500/);
  });
});
