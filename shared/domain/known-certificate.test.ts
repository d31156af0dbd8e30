import assert from 'node:assert/strict';
import { type CertificateDue, dueOf, type KnownCertificate } from './known-certificate.ts';

const dayMs = 24 * 3_600_000;
const nowMs = Date.UTC(2026, 0, 1);

function certificate(lifeDays: number, leftDays: number, changes: Partial<KnownCertificate> = {}) {
  const notAfterMs = nowMs + leftDays * dayMs;
  return {
    ...{ kind: 'identity', holder: 'dp/PS1DP1', identityUri: '', issuerSiteCode: 'PS1' },
    ...{ notBeforeMs: notAfterMs - lifeDays * dayMs, notAfterMs, rootKeyId: '', reason: '' },
    ...{ isOnNewestRoot: true, toldAtMs: 0, ...changes },
  } as KnownCertificate;
}

describe('what is due of a certificate (SEC-3)', () => {
  const cases: [string, KnownCertificate, CertificateDue][] = [
    ['a young one', certificate(90, 80), 'nothing'],
    ['one that its holder renews', certificate(90, 20), 'renewal'],
    ['one that was not renewed, 14 days before', certificate(90, 14), 'soon'],
    ['3 days before', certificate(90, 3), 'urgent'],
    ['one that is over', certificate(90, -1), 'expired'],
    ['one that has not begun', certificate(90, 91), 'not-yet-valid'],
    ['one on an older root', certificate(90, 80, { isOnNewestRoot: false }), 'old-root'],
    [
      'one on an older root, of which little is left',
      certificate(90, 2, { isOnNewestRoot: false }),
      'urgent',
    ],
    ['a development certificate of 30 days', certificate(30, 13), 'nothing'],
    ['the same, five days before', certificate(30, 5), 'soon'],
    ['an authority of two years', certificate(730, 15, { kind: 'site-authority' }), 'renewal'],
    ['a root of ten years, a year before', certificate(3650, 365, { kind: 'root' }), 'nothing'],
    ['the same, half a year before', certificate(3650, 180, { kind: 'root' }), 'soon'],
  ];
  for (const [what, one, due] of cases) {
    it(`${what}: ${due}`, () => assert.equal(dueOf(one, nowMs), due));
  }
});
