import assert from 'node:assert/strict';
import {
  issueLeafWithKey,
  issueRoot,
  issueSiteAuthority,
} from '../shared/certificates/certificate-issuing.ts';
import { newPrivateKey, publicKeyInfoOf } from '../shared/certificates/certificate-requests.ts';
import { metricsOf } from '../shared/metrics/metric-register.ts';
import { readMetrics } from '../shared/metrics/testing/metrics-page.ts';
import { CapturedLog } from '../shared/testing/captured-log.ts';
import { FakeClock } from '../shared/testing/fake-clock.ts';
import { dpMetrics } from './dp-metrics.ts';

const seconds = (year: number) => Date.UTC(year, 0, 1) / 1_000;
const until = (year: number) => ({
  notBefore: new Date(Date.UTC(2024, 0, 1)),
  notAfter: new Date(Date.UTC(year, 0, 1)),
});

/** A DP that was enrolled: its chain, and the root it trusts. */
async function enrolled() {
  const root = await issueRoot({ name: 'Waybill root', ...until(2034) });
  const key = await newPrivateKey();
  const publicKey = publicKeyInfoOf(key);
  const authority = await issueSiteAuthority(root, { siteCode: 'PS1', publicKey, ...until(2026) });
  const uris = ['waybill://dp/PS1DP1'];
  const { certificate } = await issueLeafWithKey(
    { certificate: authority, key },
    { commonName: 'dp/PS1DP1', uris, ...until(2025) },
  );
  return {
    ca: Buffer.from(root.certificate),
    certificate: Buffer.from(`${certificate}\n${authority}`),
  };
}

describe('what a DP tells of itself (ADM-7)', () => {
  const { logger } = new CapturedLog();
  const standing = {
    reason: '',
    notBeforeMs: 0,
    notAfterMs: 0,
    issuerSiteCode: 'PS1',
    rootKeyId: '',
  };

  async function metricsOfDp(listen: string | undefined) {
    return dpMetrics(
      {
        credentials: await enrolled(),
        keeper: { report: () => ({ ...standing, state: 'expired' }) },
        provider: { freeBytes: async () => 4_096 },
        pullDp: { jobCounts: { fetching: 2, waiting: 5 }, receivedBytes: 70 },
        contentServer: { sentBytes: 80 },
        pushedBytes: () => 90,
        clock: new FakeClock(),
        child: () => logger,
      },
      { dpId: 'PS1DP1', metrics: { listen } },
    );
  }

  it('is every metric of a DP, each from whoever knows it', async () => {
    const [component] = await metricsOfDp('127.0.0.1:0');
    const { text, lines, names } = await readMetrics(component);
    assert.deepEqual(names, metricsOf('dp').toSorted());
    const expiry = 'waybill_certificate_expiry_timestamp_seconds';
    for (const line of [
      'waybill_certificate_valid 0',
      `${expiry}{certificate="identity",holder="dp/PS1DP1"} ${seconds(2025)}`,
      `${expiry}{certificate="site-authority",holder="site/PS1"} ${seconds(2026)}`,
      'waybill_content_bytes_total{way="push",direction="received"} 90',
      'waybill_content_bytes_total{way="pull",direction="received"} 70',
      'waybill_content_bytes_total{way="pull",direction="sent"} 80',
      'waybill_content_free_bytes 4096',
      'waybill_pull_jobs{state="fetching"} 2',
      'waybill_pull_jobs{state="waiting"} 5',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    const root = new RegExp(`certificate="root",holder="[0-9a-f]{16}"} ${seconds(2034)}$`, 'm');
    assert.match(text, root);
    assert.match(text, /^waybill_build_info\{agent="dp\/PS1DP1",version="\d+\.\d+\.\d+"\} 1$/m);
  });

  it('is told nobody unless it is configured where', async () => {
    assert.deepEqual(await metricsOfDp(undefined), []);
  });
});
