/** The wiring of what a DP agent tells of itself (docs/metrics.md). */
import type { CertificateKeeper } from '../shared/certificate-keeper/certificate-keeper.ts';
import { rootKeyIdOf } from '../shared/certificates/trust-bundle.ts';
import type { ContentServer } from '../shared/content-server/content-server.ts';
import { holderOf } from '../shared/domain/peer-identity.ts';
import { agentReadings, expiryReadings, movedReadings } from '../shared/metrics/agent-readings.ts';
import { type MetricReader, reading } from '../shared/metrics/metric-register.ts';
import { Metrics } from '../shared/metrics/metrics.ts';
import type { PackageReceiver } from '../shared/package-receiver/package-receiver.ts';
import { authoritiesOf, chainOf, lifeOf } from '../shared/rpc/certificate-trust.ts';
import type { LiveCredentials } from '../shared/rpc/live-credentials.ts';
import type { Clock } from '../shared/runtime/clock.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { Logger } from '../shared/runtime/logger.ts';
import type { DpConfig } from './dp-config.ts';
import type { PullDp } from './pull-dp/pull-dp.ts';

/** Whom the metrics ask. */
export interface DpMetricsNeeds {
  readonly credentials: Pick<LiveCredentials, 'ca' | 'certificate'>;
  readonly keeper: Pick<CertificateKeeper, 'report'>;
  readonly provider: Pick<PackageReceiver, 'freeBytes'>;
  readonly pullDp: Pick<PullDp, 'jobCounts' | 'receivedBytes'>;
  readonly contentServer: Pick<ContentServer, 'sentBytes'>;
  /** What was pushed here since this program began. */
  readonly pushedBytes: () => number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** The logger of a component. */
  readonly child: (component: string) => Logger;
}

/** Makes them where they are wanted. Start last. */
export function dpMetrics(
  needs: DpMetricsNeeds,
  config: Pick<DpConfig, 'dpId' | 'metrics'>,
): readonly Component[] {
  const { listen } = config.metrics;
  if (listen === undefined) return [];
  const { clock, keeper } = needs;
  const holder = holderOf({ kind: 'dp', dpId: config.dpId });
  const readers = [
    agentReadings(holder, () => keeper.report()),
    certificates(needs, holder),
    content(needs),
    pullJobs(needs),
  ];
  const logger = needs.child('metrics');
  return [new Metrics({ kind: 'dp', readers, clock, logger }, { listen })];
}

/** Of its own chain, and of the roots it trusts. */
function certificates({ credentials, keeper }: DpMetricsNeeds, holder: string): MetricReader {
  return () => {
    const [own, issuer] = chainOf(credentials.certificate);
    const issuerHolder = `site/${keeper.report().issuerSiteCode}`;
    const roots = authoritiesOf(credentials.ca).map(
      (root) =>
        ({ kind: 'root', holder: rootKeyIdOf(root).slice(0, 16), ...lifeOf(root) }) as const,
    );
    return expiryReadings([
      ...roots,
      ...(issuer
        ? [{ kind: 'site-authority', holder: issuerHolder, ...lifeOf(issuer) } as const]
        : []),
      { kind: 'identity', holder, ...lifeOf(own) },
    ]);
  };
}

function content({ contentServer, provider, pullDp, pushedBytes }: DpMetricsNeeds): MetricReader {
  return async () => [
    ...movedReadings([
      { way: 'push', direction: 'received', bytes: pushedBytes() },
      { way: 'pull', direction: 'received', bytes: pullDp.receivedBytes },
      { way: 'pull', direction: 'sent', bytes: contentServer.sentBytes },
    ]),
    reading('waybill_content_free_bytes', {}, await provider.freeBytes()),
  ];
}

function pullJobs({ pullDp }: DpMetricsNeeds): MetricReader {
  return () => {
    const { fetching, waiting } = pullDp.jobCounts;
    return [
      reading('waybill_pull_jobs', { state: 'fetching' }, fetching),
      reading('waybill_pull_jobs', { state: 'waiting' }, waiting),
    ];
  };
}
