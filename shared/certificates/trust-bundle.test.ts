import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type IssuedCertificate, issueLeafWithKey, issueRoot } from './certificate-issuing.ts';
import { newPrivateKey } from './certificate-requests.ts';
import {
  decodeTrustBundle,
  encodeTrustBundle,
  generationStepMax,
  isTrustBundle,
  signTrustBundle,
  type TrustBundle,
  trustBundleBytesMax,
  verdictOnBundle,
} from './trust-bundle.ts';

const nowMs = Date.UTC(2026, 5, 1);
const yearMs = 365 * 24 * 3_600_000;
const validity = { notBefore: new Date(nowMs - yearMs), notAfter: new Date(nowMs + yearMs) };

const canonical = (bundle: TrustBundle) => bundle.roots;

describe('trust bundles (SEC-1)', () => {
  let old: IssuedCertificate;
  let next: IssuedCertificate;
  let foreign: IssuedCertificate;
  let first: TrustBundle;
  const held = () => ({ generation: 1, roots: canonical(first) });
  const bundle = (
    facts: { generation: number; roots: readonly IssuedCertificate[] },
    ...signers: IssuedCertificate[]
  ) =>
    signTrustBundle(
      { ...facts, roots: facts.roots.map((root) => root.certificate), signedAtMs: nowMs },
      signers,
    );
  const verdict = (row: unknown, trust = held()) => verdictOnBundle(row, trust, nowMs);
  const refused = (row: unknown, reason: RegExp, trust = held()) => {
    const found = verdict(row, trust);
    assert.equal(found.kind, 'refused');
    assert.match(found.kind === 'refused' ? found.reason : '', reason);
  };

  before(async () => {
    old = await issueRoot({ name: 'Waybill root CS1 1', ...validity });
    next = await issueRoot({ name: 'Waybill root CS1 2', ...validity });
    foreign = await issueRoot({ name: 'Waybill root CS1 2', ...validity });
    first = bundle({ generation: 1, roots: [old] }, old);
  });

  it('are taken when a root that is trusted signed them, with a higher generation', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old, next);
    assert.deepEqual(verdict(both), { kind: 'newer', bundle: both });
    const only = bundle({ generation: 3, roots: [next] }, next);
    const afterwards = { generation: 2, roots: canonical(both) };
    assert.deepEqual(verdict(only, afterwards), { kind: 'newer', bundle: only });
  });

  it('are passed over when they are old: rollback', () => {
    const only = bundle({ generation: 3, roots: [next] }, next, old);
    const afterwards = { generation: 3, roots: canonical(only) };
    assert.equal(
      verdict(bundle({ generation: 2, roots: [next, old] }, old), afterwards).kind,
      'older',
    );
    assert.equal(verdict(first, afterwards).kind, 'older');
    assert.equal(verdict(first).kind, 'same');
  });

  it('are refused when only a root that is over has signed them: a stolen key', () => {
    const only = bundle({ generation: 3, roots: [next] }, next, old);
    const afterwards = { generation: 3, roots: canonical(only) };
    refused(bundle({ generation: 4, roots: [foreign, old] }, old), /no root/, afterwards);
  });

  it('are refused when they are foreign, signed by whom they name only', () => {
    refused(bundle({ generation: 2, roots: [foreign] }, foreign), /no root that is trusted here/);
    refused(bundle({ generation: 2, roots: [foreign, old] }, foreign), /no root/);
    refused(bundle({ generation: 1, roots: [foreign] }, foreign), /no root/);
  });

  it('are refused far ahead: nobody uses up the generations (fast-forward)', () => {
    for (const generation of [Number.MAX_SAFE_INTEGER, generationStepMax + 2]) {
      refused(bundle({ generation, roots: [next, old] }, old), /at most 1000/);
    }
    const largest = bundle({ generation: generationStepMax + 1, roots: [next, old] }, old);
    assert.equal(verdict(largest).kind, 'newer');
    refused({ ...first, generation: 2 ** 53 }, /not a trust bundle/);
  });

  it('count with a good signature among wrong ones, and not with wrong ones only', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    const [good] = both.signatures;
    const wrong = { ...good!, signature: Buffer.from('wrong').toString('base64') };
    const byForeign = bundle({ generation: 2, roots: [next, old] }, foreign).signatures[0]!;
    // Somebody else's signature under the name of the root that is trusted.
    const stolen = { ...byForeign, rootKeyId: good!.rootKeyId };
    assert.equal(verdict({ ...both, signatures: [wrong, stolen, byForeign, good!] }).kind, 'newer');
    refused({ ...both, signatures: [wrong, stolen, byForeign] }, /no root/);
    refused({ ...both, signatures: [] }, /not a trust bundle/);
    refused({ ...both, signatures: [good, good, good, good, good] }, /not a trust bundle/);
  });

  it('are refused with anything changed that was signed: mix and match', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    const other = bundle({ generation: 2, roots: [foreign, old] }, foreign);
    refused({ ...both, roots: other.roots }, /no root/);
    refused({ ...both, roots: both.roots.toReversed() }, /no root/);
    refused({ ...both, roots: both.roots.slice(0, 1) }, /no root/);
    refused({ ...both, generation: 3 }, /no root/);
    refused({ ...both, signedAtMs: nowMs + 1 }, /no root/);
  });

  it('are refused with a second certificate behind a root, which nobody signed', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    const [newest = '', before = ''] = both.roots;
    refused({ ...both, roots: [newest + foreign.certificate, before] }, /not a trust bundle/);
    refused({ ...both, roots: [`# hello\n${newest}`, before] }, /not a trust bundle/);
  });

  it('are refused with roots that are none, or twice the same', async () => {
    const leaf = await issueLeafWithKey(old, { commonName: 'x', uris: [], ...validity });
    refused(bundle({ generation: 2, roots: [leaf] }, old), /not a trust bundle/);
    refused(bundle({ generation: 2, roots: [old, old] }, old), /not a trust bundle/);
    refused(bundle({ generation: 2, roots: [] }, old), /not a trust bundle/);
  });

  it('count nothing by a root that has expired, nor bring only such ones', async () => {
    const past = { notBefore: new Date(nowMs - yearMs), notAfter: new Date(nowMs - 1_000) };
    const expired = await issueRoot({ name: 'Waybill root CS1 1', ...past });
    const trust = {
      generation: 1,
      roots: bundle({ generation: 1, roots: [expired] }, expired).roots,
    };
    refused(bundle({ generation: 2, roots: [next] }, expired), /no root/, trust);
    refused(bundle({ generation: 2, roots: [expired] }, old), /none of its roots is valid/);
  });

  it('are not taken for good by a machine whose clock is wrong, and are once it is right', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    assert.equal(verdictOnBundle(both, held(), 0).kind, 'refused');
    assert.equal(verdict(both).kind, 'newer');
  });

  it('hold a key that is none for nobody’s', async () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    const stray = { certificate: old.certificate, key: await newPrivateKey() };
    const forged = bundle({ generation: 2, roots: [next, old] }, stray);
    refused({ ...both, signatures: forged.signatures }, /no root/);
  });

  it('travel as bytes, of which too many or other ones are none', () => {
    const both = bundle({ generation: 2, roots: [next, old] }, old);
    const bytes = encodeTrustBundle(both);
    assert.deepEqual(decodeTrustBundle(bytes), both);
    assert.ok(bytes.length < trustBundleBytesMax / 4);
    for (const other of [
      bytes.subarray(1),
      Buffer.alloc(0),
      Buffer.alloc(trustBundleBytesMax + 1),
    ]) {
      assert.equal(verdict(decodeTrustBundle(other)).kind, 'refused');
    }
  });

  it('are told from whatever else comes', () => {
    fc.assert(
      fc.property(fc.anything(), (row) => {
        assert.equal(isTrustBundle(row), false);
      }),
    );
    const field = fc.constantFrom('generation', 'roots', 'signedAtMs', 'signatures');
    fc.assert(
      fc.property(field, fc.anything(), (name, value) => {
        assert.notEqual(verdict({ ...first, [name]: value }).kind, 'newer');
      }),
    );
  });
});
