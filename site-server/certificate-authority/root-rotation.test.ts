import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { writeSecretFile } from '../../shared/certificates/secret-files.ts';
import {
  rootKeyIdOf,
  type TrustBundle,
  verdictOnBundle,
} from '../../shared/certificates/trust-bundle.ts';
import { TrustedRoots } from '../../shared/certificates/trusted-roots.ts';
import type { StandingReport } from '../../shared/domain/root-standing.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { readBundle } from './authority-files.ts';
import { rootKeyFileOf } from './root-keys.ts';
import { retireRoot, rotateRoot } from './root-rotation.ts';
import { publicKeyInfoIn } from './site-authority-certificate.ts';
import { writeStandingReport } from './standing-report.ts';
import { askedWithNewKey, inAuthority, TestAuthority } from './testing/test-authority.ts';

const hourMs = 3_600_000;
const conflict = (message: RegExp) => ({ code: 'AUTHORITY_CONFLICT', message });

describe('change of the root', () => {
  let clock: FakeClock;
  let files: TestAuthority;
  const change = () => {
    const { directory, rootsFile, agentFile, settings } = files;
    return { directory, rootsFile, agentFile, settings, siteCode: 'CS1', nowMs: clock.nowMs() };
  };
  const keys = async () =>
    (await readdir(files.directory)).filter((name) => name.endsWith('.key')).toSorted();
  const keysOf = ({ roots }: TrustBundle) => roots.map(rootKeyFileOf).toSorted();
  const bundle = async () => {
    const found = await readBundle(files.directory);
    assert.ok(found);
    return found;
  };

  const report = (facts: Partial<StandingReport> = {}) =>
    writeStandingReport(files.directory, {
      ...{ seenAtMs: clock.nowMs(), generation: 2, standings: [], silent: [] },
      ...facts,
    });
  const nobodyBehind = () => report();
  /** The root was changed, and is the only one again. */
  const changeRoot = async () => {
    await rotateRoot(change());
    return retireRoot(change(), { isForced: true });
  };

  beforeEach(async () => {
    clock = new FakeClock();
    files = await TestAuthority.make({ clock });
  });
  afterEach(() => files[Symbol.asyncDispose]());

  it('makes a new root beside the old one, which signs for it; then retires the old one', async () => {
    const first = await bundle();
    const both = await rotateRoot(change());
    assert.equal(both.generation, 2);
    assert.deepEqual(both.roots[1], first.roots[0]);
    assert.equal(verdictOnBundle(both, first, clock.nowMs()).kind, 'newer');
    assert.deepEqual(await keys(), keysOf(both));
    await clock.advance(170 * hourMs);
    await nobodyBehind();
    const { bundle: last, standing } = await retireRoot(change(), { isForced: false });
    assert.deepEqual(standing, []);
    assert.deepEqual([last.generation, last.roots], [3, both.roots.slice(0, 1)]);
    assert.deepEqual(await keys(), keysOf(last));
    assert.equal(verdictOnBundle(last, both, clock.nowMs()).kind, 'newer');
    // Also for whoever did not hear of the one between.
    assert.equal(verdictOnBundle(last, first, clock.nowMs()).kind, 'newer');
    assert.deepEqual(await bundle(), last);
  });

  it('retires no root on which somebody stands, and says who does, and what to do', async () => {
    await rotateRoot(change());
    await clock.advance(170 * hourMs);
    const behind = Array.from({ length: 30 }, (_, index) => `dp/PS1DP${index}`);
    const standings = [{ siteCode: 'PS1', generation: 2, behind, behindCount: 40 }];
    await report({ standings, silent: ['SS1'] });
    await assert.rejects(retireRoot(change(), { isForced: false }), ({ message }: Error) => {
      assert.match(message, /who still stands on the old root would be cut off; wait until/);
      assert.match(
        message,
        /at PS1: dp\/PS1DP0, dp\/PS1DP1, [\s\S]*, dp\/PS1DP19, and 20 others\n/,
      );
      const [, ...lines] = message.split('\n');
      const isShort = lines.slice(0, -1).every((line) => line.length <= 80);
      assert.ok(isShort, message);
      assert.match(message, /not said who stands on it there: SS1\n/);
      assert.match(message, /takes --force:\n.*waybill dp enroll DP/);
      assert.match(
        message,
        /client enroll NAME\nWho is gone for good[\s\S]*revoke client\/NAME\. Nothing/,
      );
      return true;
    });
    const { standing } = await retireRoot(change(), { isForced: true });
    assert.match(standing.join('\n'), /at PS1: dp\/PS1DP0/);
  });

  for (const [what, facts] of [
    ['nobody has looked', undefined],
    ['the server looked at roots before', { generation: 1 }],
    ['somebody has edited what it saw', { standings: [{ siteCode: 'PS1' }] as never }],
    ['the server has not run for long', { seenAtMs: -20 * 60_000 }],
  ] as const) {
    it(`retires no root when ${what}: nobody knows who would be cut off`, async () => {
      await rotateRoot(change());
      await clock.advance(170 * hourMs);
      const { seenAtMs: agoMs = 0, ...other } = { seenAtMs: 0, ...facts };
      if (facts) await report({ ...other, seenAtMs: clock.nowMs() + agoMs });
      const asked = retireRoot(change(), { isForced: false });
      await assert.rejects(asked, conflict(/Nobody knows who [\s\S]*does not run. Start it/));
      const { standing } = await retireRoot(change(), { isForced: true });
      assert.match(standing.join(), /^Nobody knows/);
    });
  }

  for (const [what, wrongMs] of [
    ['a year ahead', 365 * 24 * hourMs],
    ['back at 1970', -new FakeClock().nowMs()],
  ] as const) {
    it(`leaves a root that counts where the clock is right, though it was made while it was ${what}`, async () => {
      const first = await bundle();
      const wrong = { ...change(), nowMs: clock.nowMs() + wrongMs };
      const both = await rotateRoot(wrong, { isForced: true });
      const { bundle: last } = await retireRoot(wrong, { isForced: true });
      for (const held of [first, both]) {
        assert.equal(verdictOnBundle(last, held, clock.nowMs()).kind, 'newer');
      }
      const roots = await TrustedRoots.open(files.rootsFile, clock);
      await roots.take(last);
      // The clock of the top is right again: it is itself again, signs others, and changes the root.
      const authority = await files.open();
      const issuer = new X509Certificate(authority.authorityCertificate());
      assert.ok(issuer.verify(new X509Certificate(last.roots[0]!).publicKey));
      await authority.certifySiteAuthority('PS1', (await askedWithNewKey()).info);
      const next = await rotateRoot(change(), { isForced: true });
      assert.equal(verdictOnBundle(next, last, clock.nowMs()).kind, 'newer');
    });
  }

  it('makes no root that is over where the clock is right, though roots are to live for less time now', async () => {
    const first = await bundle();
    await clock.advance(3 * 365 * 24 * hourMs);
    const settings = { ...files.settings, rootDays: 365 };
    const wrong = { ...change(), settings, nowMs: 0 };
    await rotateRoot(wrong, { isForced: true });
    const { bundle: last } = await retireRoot(wrong, { isForced: true });
    assert.equal(verdictOnBundle(last, first, clock.nowMs()).kind, 'newer');
    const [ends = 0, endedBefore] = [last, first].map(({ roots: [pem = ''] }) =>
      Date.parse(new X509Certificate(pem).validTo),
    );
    assert.equal(ends, endedBefore);
  });

  it('is refused by a clock that is before what was signed, unless it is forced', async () => {
    const behind = (ms: number) => rotateRoot({ ...change(), nowMs: clock.nowMs() - ms });
    await assert.rejects(
      behind(1),
      conflict(/its roots were signed at .* by the clock it is .*--force/),
    );
    await clock.advance(100 * hourMs);
    const { bundle: once } = await changeRoot();
    await assert.rejects(behind(hourMs), conflict(/its roots were signed at/));
    assert.equal((await bundle()).generation, once.generation);
    assert.equal((await rotateRoot(change())).generation, once.generation + 1);
  });

  it('is refused by a clock that is before the authority of the top', async () => {
    const authority = await files.open();
    await clock.advance(100 * hourMs);
    const own = new X509Certificate(authority.authorityCertificate());
    const later = await authority.certifySiteAuthority('CS1', publicKeyInfoIn(own));
    await authority.replaceCertificate(later);
    const wrong = { ...change(), nowMs: clock.nowMs() - hourMs };
    await assert.rejects(rotateRoot(wrong), conflict(/its authority begins at .*set the clock/));
    await clock.advance(hourMs);
    await rotateRoot(change());
  });

  it('is refused by a clock that is before the own certificate of the top, the newest it has', async () => {
    const authority = await files.open();
    await clock.advance(100 * hourMs);
    await authority.renewOwnLeaf();
    const wrong = { ...change(), nowMs: clock.nowMs() - hourMs };
    await assert.rejects(
      rotateRoot(wrong),
      conflict(/its own certificate begins at .*set the clock/),
    );
    // What cannot be read says nothing of the clock.
    await writeSecretFile(files.agentFile, 'spoilt');
    await rotateRoot(wrong);
  });

  it('signs both roots again that were signed in the future, so that sites change in time', async () => {
    await rotateRoot({ ...change(), nowMs: clock.nowMs() + 365 * 24 * hourMs });
    const both = await bundle();
    const doubted = conflict(/"waybill-site rotate-root --force" signs both roots again/);
    await assert.rejects(rotateRoot(change()), doubted);
    await assert.rejects(retireRoot(change(), { isForced: false }), doubted);
    const again = await rotateRoot(change(), { isForced: true });
    assert.deepEqual(again.roots, both.roots);
    assert.equal(again.signedAtMs, clock.nowMs());
    assert.equal(verdictOnBundle(again, both, clock.nowMs()).kind, 'newer');
    assert.deepEqual(await keys(), keysOf(again));
    const once = rotateRoot(change(), { isForced: true });
    await assert.rejects(once, conflict(/being replaced already/));
    await clock.advance(170 * hourMs);
    await report({ generation: 3 });
    await retireRoot(change(), { isForced: false });
  });

  it('is used by the authority: the newest root signs again, the one it stands on who is enrolled', async () => {
    const authority = await files.open();
    const both = await rotateRoot(change());
    assert.equal(await authority.readRootsAgain(), true);
    assert.equal(await authority.readRootsAgain(), false);
    const roots = await TrustedRoots.open(files.rootsFile, clock);
    assert.equal((await roots.take(authority.bundle)).kind, 'newer');
    const { info, request } = await askedWithNewKey();
    await authority.certifySiteAuthority('PS1', info);
    await authority.issueSiteAuthority('PS2', request);
    const rootOf = new Map<string, string>();
    for await (const { kind, holder, rootKeyId } of files.issued.list()) {
      if (kind === 'authority') rootOf.set(holder, rootKeyId);
    }
    const [newest = '', old = ''] = both.roots.map(rootKeyIdOf);
    assert.deepEqual([rootOf.get('site/PS1'), rootOf.get('site/PS2')], [newest, old]);
  });

  it('is refused twice, and too early, unless a stolen key forces it', async () => {
    await assert.rejects(retireRoot(change(), { isForced: false }), conflict(/only one root/));
    await rotateRoot(change());
    await assert.rejects(rotateRoot(change()), conflict(/being replaced already/));
    await clock.advance(168 * hourMs);
    await assert.rejects(retireRoot(change(), { isForced: false }), conflict(/until 20.*--force/));
    assert.equal((await bundle()).generation, 2);
    assert.equal((await retireRoot(change(), { isForced: true })).bundle.generation, 3);
  });

  it('is refused below the top, and with an authority of an old backup', async () => {
    const old = await readFile(inAuthority(files, 'trust-bundle.json'), 'utf8');
    const both = await rotateRoot(change());
    const roots = await TrustedRoots.open(files.rootsFile, clock);
    await roots.take(both);
    await writeSecretFile(inAuthority(files, 'trust-bundle.json'), old);
    await assert.rejects(rotateRoot(change()), conflict(/generation 1, .* generation 2.*backup/));
    await rm(inAuthority(files, 'trust-bundle.json'));
    await assert.rejects(rotateRoot(change()), conflict(/only the top site has the root/));
  });

  it('leaves the old root after a crash before the bundle, and goes on', async () => {
    const first = await readFile(inAuthority(files, 'trust-bundle.json'), 'utf8');
    const lost = await rotateRoot(change());
    // Killed after the key was written, and before the bundle was.
    await writeSecretFile(inAuthority(files, 'trust-bundle.json'), first);
    await files.open();
    assert.equal((await keys()).length, 2);
    await assert.rejects(retireRoot(change(), { isForced: true }), conflict(/only one root/));
    assert.equal((await keys()).length, 1, 'a key that signed nothing is removed');
    const both = await rotateRoot(change());
    assert.notDeepEqual(both.roots, lost.roots);
    assert.deepEqual(await keys(), keysOf(both));
  });

  it('has retired after a crash after the bundle, and removes the key at the next change', async () => {
    const both = await rotateRoot(change());
    const oldKey = rootKeyFileOf(both.roots[1]!);
    const text = await readFile(inAuthority(files, oldKey), 'utf8');
    await retireRoot(change(), { isForced: true });
    await writeSecretFile(inAuthority(files, oldKey), text);
    const authority = await files.open();
    assert.equal(authority.bundle?.generation, 3);
    const next = await rotateRoot(change());
    assert.equal(next.generation, 4);
    assert.deepEqual(await keys(), keysOf(next));
  });

  it('encrypts the new key with the passphrase of the old one', async () => {
    const passphrase = 'correct horse battery staple';
    const path = files.place.join('passphrase');
    await writeSecretFile(path, passphrase);
    const settings = { rootPassphraseFile: path };
    await using secret = await TestAuthority.make({ clock, passphrase, settings });
    const { directory, rootsFile } = secret;
    const both = await rotateRoot({ ...change(), directory, rootsFile, settings: secret.settings });
    for (const root of both.roots) {
      const text = await readFile(inAuthority(secret, rootKeyFileOf(root)), 'utf8');
      assert.match(text, /BEGIN ENCRYPTED PRIVATE KEY/);
    }
    const without = { ...secret.settings, rootPassphraseFile: undefined };
    const asked = retireRoot(
      { ...change(), directory, rootsFile, settings: without },
      { isForced: true },
    );
    await assert.rejects(asked, { code: 'CERTIFICATE_INVALID', message: /it is encrypted/ });
    assert.equal((await readBundle(directory))?.generation, 2);
  });
});
