/** The wiring of what a site server tells of itself (docs/metrics.md). */
import type { ContentServer } from '../shared/content-server/content-server.ts';
import type { JobState } from '../shared/domain/distribution-job.ts';
import { holderOf } from '../shared/domain/peer-identity.ts';
import type { SendRequestState } from '../shared/domain/send-request.ts';
import { agentReadings, expiryReadings, movedReadings } from '../shared/metrics/agent-readings.ts';
import { type MetricReader, type Reading, reading } from '../shared/metrics/metric-register.ts';
import { Metrics } from '../shared/metrics/metrics.ts';
import type { Component } from '../shared/runtime/component.ts';
import type { AlarmKind, AlarmWatch } from './alarm-watch/alarm-watch.ts';
import type { CertificateWatch } from './certificate-watch/certificate-watch.ts';
import type { TransferService } from './despooler/transfer-service.ts';
import type { HierarchyManager } from './hierarchy-manager/hierarchy-manager.ts';
import type { JobTable } from './package-transfer-manager/job-table.ts';
import type { TransferPermits } from './package-transfer-manager/transfer-permits.ts';
import type { ReplicationManager } from './replication-manager/replication-manager.ts';
import type { SendRequestTable } from './scheduler/send-request-table.ts';
import type { Sender } from './sender/sender.ts';
import type { Ground, SiteSettings } from './site-ground.ts';

/** Whom the metrics ask. */
export interface SiteMetricsNeeds {
  readonly certificates: Pick<CertificateWatch, 'ofAgents' | 'own'>;
  readonly jobs: Pick<JobTable, 'countOf' | 'endedCountOf'>;
  readonly sends: Pick<SendRequestTable, 'countOf' | 'endedCountOf'>;
  readonly alarms: Pick<AlarmWatch, 'standingCountOf'>;
  readonly replication: Pick<ReplicationManager, 'delays'>;
  readonly permits: Pick<TransferPermits, 'sentBytes'>;
  readonly sender: Pick<Sender, 'sentBytes'>;
  readonly content: Pick<ContentServer, 'sentBytes'>;
  readonly service: Pick<TransferService, 'receivedBytes'>;
}

const openJobStates = [
  'pending',
  'ready',
  'started',
  'in-progress',
  'pending-restart',
  'suspended',
] as const satisfies readonly JobState[];
const openSendStates = [
  'pending',
  'sending',
  'retrying',
  'suspended',
] as const satisfies readonly SendRequestState[];
const endStates = ['complete', 'failed', 'cancelled'] as const;

/** What alarms are about, in the words of the metric. */
const alarmWords = {
  job: 'job',
  send: 'send',
  dp: 'distribution-point',
  site: 'site',
  certificate: 'certificate',
  unheard: 'silent-site',
  'passed-over': 'revocations',
} as const satisfies Record<AlarmKind, string>;

/** Makes them where they are wanted. Start last. */
export function siteMetrics(
  ground: Pick<Ground, 'clock' | 'logOf' | 'siteCode'> & {
    readonly config: Pick<SiteSettings, 'metrics'>;
    readonly hierarchy: Pick<HierarchyManager, 'list' | 'healthOf'>;
  },
  needs: SiteMetricsNeeds,
): readonly Component[] {
  const { clock, config, hierarchy, logOf, siteCode } = ground;
  const { listen } = config.metrics;
  if (listen === undefined) return [];
  const { certificates } = needs;
  const readers = [
    agentReadings(holderOf({ kind: 'site', siteCode }), () => certificates.own()),
    async () => expiryReadings(await certificates.ofAgents()),
    work(needs),
    alarms(needs),
    moved(needs),
    neighbours(needs),
    distributionPoints(hierarchy),
  ];
  const logger = logOf('metrics');
  return [new Metrics({ kind: 'site', readers, clock, logger }, { listen })];
}

function work({ jobs, sends }: SiteMetricsNeeds): MetricReader {
  return () => [
    ...openJobStates.map((state) => reading('waybill_jobs', { state }, jobs.countOf(state))),
    ...openSendStates.map((state) => reading('waybill_sends', { state }, sends.countOf(state))),
    ...endStates.flatMap((state) => [
      reading('waybill_jobs_ended_total', { state }, jobs.endedCountOf(state)),
      reading('waybill_sends_ended_total', { state }, sends.endedCountOf(state)),
    ]),
  ];
}

function alarms({ alarms: watch }: SiteMetricsNeeds): MetricReader {
  const kinds = Object.keys(alarmWords) as AlarmKind[];
  return () =>
    kinds.map((kind) =>
      reading('waybill_alarms', { about: alarmWords[kind] }, watch.standingCountOf(kind)),
    );
}

function moved({ permits, content, sender, service }: SiteMetricsNeeds): MetricReader {
  return () =>
    movedReadings([
      { way: 'push', direction: 'sent', bytes: permits.sentBytes },
      { way: 'pull', direction: 'sent', bytes: content.sentBytes },
      { way: 'site', direction: 'sent', bytes: sender.sentBytes },
      { way: 'site', direction: 'received', bytes: service.receivedBytes },
    ]);
}

function neighbours({ replication }: SiteMetricsNeeds): MetricReader {
  return async () =>
    (await replication.delays()).flatMap(({ siteCode: neighbour, connected, behindMs }) => [
      reading('waybill_neighbour_up', { neighbour }, connected ? 1 : 0),
      reading('waybill_replication_lag_seconds', { neighbour }, behindMs / 1_000),
    ]);
}

/** The DPs of a site are few, whatever they hold. */
function distributionPoints(hierarchy: Pick<HierarchyManager, 'list' | 'healthOf'>): MetricReader {
  return async () => {
    const readings: Reading[] = [];
    for await (const { dpId } of hierarchy.list()) {
      const { reachability } = await hierarchy.healthOf(dpId);
      if (reachability === 'unknown') continue;
      const isUp = reachability === 'reachable' ? 1 : 0;
      readings.push(reading('waybill_distribution_point_up', { distribution_point: dpId }, isUp));
    }
    return readings;
  };
}
