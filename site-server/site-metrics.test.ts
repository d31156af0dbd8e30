import assert from 'node:assert/strict';
import {
  type DistributionPointHealth,
  unmeasured,
} from '../shared/domain/distribution-point-health.ts';
import { metricsOf } from '../shared/metrics/metric-register.ts';
import { readMetrics } from '../shared/metrics/testing/metrics-page.ts';
import { CapturedLog } from '../shared/testing/captured-log.ts';
import { FakeClock } from '../shared/testing/fake-clock.ts';
import { testDistributionPoint } from '../shared/testing/test-distribution-point.ts';
import { siteMetrics } from './site-metrics.ts';

const life = { notBeforeMs: 0, notAfterMs: 86_400_500 };
const standing = { ...life, reason: '', issuerSiteCode: '', rootKeyId: '' };
const known = {
  ...{ ...standing, identityUri: '', isOnNewestRoot: true, toldAtMs: 0 },
};
const one = (isIt: boolean) => (isIt ? 1 : 0);

describe('what a site server tells of itself (ADM-7)', () => {
  const { logger } = new CapturedLog();
  const health: Record<string, DistributionPointHealth['reachability']> = {
    ...{ PS1DP1: 'reachable', PS1DP2: 'unreachable', PS1DP3: 'unknown' },
  };

  function metricsOfSite(listen: string | undefined) {
    return siteMetrics(
      {
        ...{ clock: new FakeClock(), logOf: () => logger, siteCode: 'PS1' },
        config: { metrics: { listen } },
        hierarchy: {
          list: async function* () {
            for (const dpId of Object.keys(health)) yield testDistributionPoint('a:1', dpId);
          },
          healthOf: async (dpId) => ({
            ...unmeasured(dpId),
            reachability: health[dpId] ?? 'unknown',
          }),
        },
      },
      {
        certificates: {
          own: () => ({ ...standing, state: 'valid' }),
          ofAgents: async () => [{ ...known, kind: 'identity', holder: 'dp/PS1DP1' }],
        },
        jobs: {
          countOf: (state) => (state === 'pending' ? 2_500_000 : 0),
          endedCountOf: (state) => (state === 'failed' ? 3 : 0),
        },
        sends: {
          countOf: (state) => one(state === 'sending'),
          endedCountOf: (state) => one(state === 'complete'),
        },
        alarms: { standingCountOf: (kind) => one(kind === 'dp' || kind === 'unheard') },
        replication: {
          delays: async () => [{ siteCode: 'CAS', connected: false, behindMs: 1_500 }],
        },
        permits: { sentBytes: 10 },
        content: { sentBytes: 20 },
        sender: { sentBytes: 30 },
        service: { receivedBytes: 40 },
      },
    );
  }

  it('is every metric of a site, each from whoever knows it', async () => {
    const [component] = metricsOfSite('127.0.0.1:0');
    const { text, lines, names } = await readMetrics(component);
    assert.deepEqual(names, metricsOf('site').toSorted());
    for (const line of [
      'waybill_certificate_valid 1',
      'waybill_certificate_expiry_timestamp_seconds{certificate="identity",holder="dp/PS1DP1"} 86400.5',
      'waybill_jobs{state="pending"} 2500000',
      'waybill_jobs{state="in-progress"} 0',
      'waybill_jobs_ended_total{state="failed"} 3',
      'waybill_sends{state="sending"} 1',
      'waybill_sends_ended_total{state="complete"} 1',
      'waybill_alarms{about="distribution-point"} 1',
      'waybill_alarms{about="silent-site"} 1',
      'waybill_alarms{about="job"} 0',
      'waybill_neighbour_up{neighbour="CAS"} 0',
      'waybill_replication_lag_seconds{neighbour="CAS"} 1.5',
      'waybill_distribution_point_up{distribution_point="PS1DP1"} 1',
      'waybill_distribution_point_up{distribution_point="PS1DP2"} 0',
      'waybill_content_bytes_total{way="push",direction="sent"} 10',
      'waybill_content_bytes_total{way="pull",direction="sent"} 20',
      'waybill_content_bytes_total{way="site",direction="sent"} 30',
      'waybill_content_bytes_total{way="site",direction="received"} 40',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.doesNotMatch(text, /PS1DP3/);
  });

  it('is told nobody unless it is configured where', () => {
    assert.deepEqual(metricsOfSite(undefined), []);
  });
});
