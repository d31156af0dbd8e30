import type { PackageProperties } from '../../shared/domain/package.ts';
import type { SiteKind } from '../../shared/domain/site.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { DistributionPointRecord } from '../../shared/rpc/generated/waybill/v1/DistributionPointRecord.ts';
import type { Job } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import type { JobFilter__Output } from '../../shared/rpc/generated/waybill/v1/JobFilter.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import type { DistributionPointConnections } from '../distribution-point-connections/distribution-point-connections.ts';
import type { DistributionPointChecker } from '../hierarchy-manager/distribution-point-checker.ts';
import type { HierarchyManager } from '../hierarchy-manager/hierarchy-manager.ts';
import type { StatusManager } from '../status-manager/status-manager.ts';
import type { DistributionCommands } from './distribution-commands.ts';
import {
  toDistributionPointPatch,
  toDistributionPointRecord,
  toNewDistributionPoint,
} from './distribution-point-messages.ts';
import { siteKindNames } from './enum-tables.ts';
import type { LogReader } from './log-reader.ts';
import type { PackageCommands } from './package-commands.ts';
import {
  requireDistributionPointId,
  requirePackageId,
  toPackageProperties,
  toPackageStatusQuery,
  toTargets,
  withPatch,
} from './package-requests.ts';
import type { PackageStatusView } from './package-status-view.ts';
import type { PackageView } from './package-view.ts';
import {
  toAuditQuery,
  toAuditRecordMessage,
  toStatusMessageMessage,
  toStatusMessageQuery,
} from './report-messages.ts';
import { checkedCount } from './request-text.ts';
import { checkedSources } from './source-check.ts';

/** Jobs as administrators see them: Package Transfer Manager's side of the conversation. */
export interface AdminJobs {
  list(filter: JobFilter__Output): AsyncIterable<Job>;
  watch(filter: JobFilter__Output, signal: AbortSignal): AsyncIterable<Job>;
}

/** What the site says of itself. */
export interface AdminSite {
  readonly siteCode: string;
  readonly kind: SiteKind;
  readonly agentVersion: string;
  readonly startedAtMs: number;
  /** Where the site keeps its own files: no source may be there, or hold it. */
  readonly ownDirectories: readonly string[];
}

/** What the admin service needs. */
export interface AdminServiceComponents {
  readonly site: AdminSite;
  readonly packageCommands: PackageCommands;
  readonly distributionCommands: DistributionCommands;
  readonly packageView: PackageView;
  readonly packageStatusView: PackageStatusView;
  readonly packages: Pick<PackageStore, 'statuses'>;
  readonly hierarchy: HierarchyManager;
  readonly checker: Pick<DistributionPointChecker, 'check'>;
  readonly connections: Pick<DistributionPointConnections, 'forget'>;
  readonly jobs: AdminJobs;
  readonly status: Pick<StatusManager, 'query'>;
  readonly auditTrail: Pick<AuditTrail, 'query'>;
  readonly logs: LogReader;
}

/** Lines of a log when the request does not say how many. */
const logLinesDefault = 100;

/**
 * Answers the Admin conversation (proto/waybill/v1/admin.proto): turns requests into commands and
 * queries of the components, and their rows into messages. Checks everything before anything is
 * written. Stores nothing itself.
 */
export class AdminService {
  readonly #components: AdminServiceComponents;

  constructor(components: AdminServiceComponents) {
    this.#components = components;
  }

  /** The functions that answer the conversation. */
  conversation(): Conversation<'Admin'> {
    return {
      getSite: async () => this.#site(),
      ...this.#packageMethods(),
      ...this.#distributionMethods(),
      ...this.#distributionPointMethods(),
      ...this.#reportMethods(),
    };
  }

  #site() {
    const { siteCode, kind, agentVersion, startedAtMs } = this.#components.site;
    return { siteCode, kind: siteKindNames[kind], agentVersion, startedAtMs };
  }

  #packageMethods() {
    const { packageCommands, packageView, site } = this.#components;
    const own = site.ownDirectories;
    return {
      createPackage: async ({ properties, sourceDirectories }) => {
        const checked = toPackageProperties(properties);
        const directories = await checkedSources(sourceDirectories, own);
        return packageView.toMessage(await packageCommands.create(checked, directories));
      },
      setPackage: async (request) => {
        const packageId = requirePackageId(request.packageId);
        const { properties: patch, sourceDirectories } = request;
        const isMove = sourceDirectories.length > 0;
        const directories = isMove ? await checkedSources(sourceDirectories, own) : [];
        const change = (before: PackageProperties) =>
          patch || !isMove ? withPatch(before, patch) : before;
        return packageView.toMessage(await packageCommands.set(packageId, change, directories));
      },
      updatePackage: async ({ packageId }) => {
        return packageView.toMessage(await packageCommands.update(requirePackageId(packageId)));
      },
      deletePackage: async ({ packageId }) => {
        return packageView.toMessage(await packageCommands.delete(requirePackageId(packageId)));
      },
      getPackage: async ({ packageId }) => packageView.get(requirePackageId(packageId)),
      listPackages: () => packageView.list(),
      watchPackage: ({ packageId }, { signal }) => {
        return packageView.watch(requirePackageId(packageId), signal);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  #distributionMethods() {
    const { distributionCommands, packageStatusView } = this.#components;
    return {
      distributePackage: async (request) => {
        return { dpIds: await distributionCommands.distribute(toTargets(request)) };
      },
      redistributePackage: async (request) => {
        return { dpIds: await distributionCommands.redistribute(toTargets(request)) };
      },
      removePackage: async (request) => {
        return { dpIds: await distributionCommands.remove(toTargets(request)) };
      },
      retryFailed: async (filter) => {
        return await distributionCommands.retryFailed(toPackageStatusQuery(filter));
      },
      listPackageStatus: (filter) => packageStatusView.list(toPackageStatusQuery(filter)),
      watchPackageStatus: (filter, { signal }) => {
        return packageStatusView.watch(toPackageStatusQuery(filter), signal);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  #distributionPointMethods() {
    const { hierarchy } = this.#components;
    return {
      addDistributionPoint: async (settings) => {
        const { dpId } = await hierarchy.add(toNewDistributionPoint(settings));
        return this.#distributionPoint(dpId);
      },
      setDistributionPoint: async (settings) => {
        const { dpId } = await hierarchy.set(toDistributionPointPatch(settings));
        return this.#distributionPoint(dpId);
      },
      deleteDistributionPoint: async (request) => {
        const dpId = requireDistributionPointId('dp_id', request.dpId);
        const record = await this.#distributionPoint(dpId);
        await hierarchy.delete(dpId);
        this.#components.connections.forget(dpId);
        return record;
      },
      checkDistributionPoint: (request, context) => this.#check(request.dpId, context),
      listDistributionPoints: () => this.#distributionPoints(),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  #reportMethods() {
    const { status, auditTrail } = this.#components;
    return {
      listJobs: (filter) => this.#listJobs(filter),
      watchJobs: (filter, { signal }) => this.#watchJobs(filter, signal),
      listStatusMessages: async function* (filter) {
        const messages = await status.query(toStatusMessageQuery(filter));
        for (const message of messages) yield toStatusMessageMessage(message);
      },
      readLog: (request, { signal }) => this.#readLog(request, signal),
      listAuditRecords: async function* (filter) {
        const records = await auditTrail.query(toAuditQuery(filter));
        for (const record of records) yield toAuditRecordMessage(record);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#listJobs(filter: JobFilter__Output): AsyncGenerator<Job> {
    // The history may tell of what is gone.
    if (!filter.history) await this.#requireKnown(filter);
    yield* this.#components.jobs.list(filter);
  }

  async *#watchJobs(filter: JobFilter__Output, signal: AbortSignal): AsyncGenerator<Job> {
    await this.#requireKnown(filter);
    yield* this.#components.jobs.watch(filter, signal);
  }

  /** @throws PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID */
  async #requireKnown({ packageId, dpId }: JobFilter__Output): Promise<void> {
    const { hierarchy, packageView } = this.#components;
    if (packageId !== '') await packageView.get(requirePackageId(packageId));
    if (dpId !== '') await hierarchy.require(requireDistributionPointId('dp_id', dpId));
  }

  async #check(text: string, { signal }: CallContext): Promise<DistributionPointRecord> {
    const { hierarchy, checker } = this.#components;
    const dpId = requireDistributionPointId('dp_id', text);
    await checker.check(await hierarchy.require(dpId), signal);
    return this.#distributionPoint(dpId);
  }

  async #distributionPoint(dpId: string): Promise<DistributionPointRecord> {
    const { hierarchy } = this.#components;
    const distributionPoint = await hierarchy.require(dpId);
    const packageCounts = await this.#packageCounts();
    const health = await hierarchy.healthOf(dpId);
    return toDistributionPointRecord(distributionPoint, health, packageCounts.get(dpId) ?? 0);
  }

  async *#distributionPoints(): AsyncGenerator<DistributionPointRecord> {
    const { hierarchy } = this.#components;
    const packageCounts = await this.#packageCounts();
    for await (const distributionPoint of hierarchy.list()) {
      const { dpId } = distributionPoint;
      const health = await hierarchy.healthOf(dpId);
      yield toDistributionPointRecord(distributionPoint, health, packageCounts.get(dpId) ?? 0);
    }
  }

  /** How many packages each DP serves, in one walk over the table. */
  async #packageCounts(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for await (const [, { dpId, installedVersion }] of this.#components.packages.statuses.list()) {
      if (installedVersion > 0) counts.set(dpId, (counts.get(dpId) ?? 0) + 1);
    }
    return counts;
  }

  async *#readLog(
    request: { component: string; lines: number; follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<{ line: string }> {
    const { logs } = this.#components;
    const lineCount = checkedCount('lines', request.lines, logLinesDefault);
    const { component, follow: isFollowed } = request;
    if (component === '') for (const line of await logs.components()) yield { line };
    else
      for await (const line of logs.read({ component, lineCount, isFollowed }, signal))
        yield { line };
  }
}
