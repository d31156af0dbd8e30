import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import type { PackageProperties } from '../../shared/domain/package.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { Job } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import type { JobFilter__Output } from '../../shared/rpc/generated/waybill/v1/JobFilter.ts';
import type { AuditHeads } from '../audit-trail/audit-heads.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { PackageStore } from '../distribution-manager/package-store.ts';
import { AdminScopes } from './admin-scopes.ts';
import { CertificateAnswers, type CertificateAnswersComponents } from './certificate-answers.ts';
import type { DistributionCommands } from './distribution-commands.ts';
import {
  DistributionPointAnswers,
  type DistributionPointAnswersComponents,
} from './distribution-point-answers.ts';
import type { DistributionPointLibraries } from './distribution-point-libraries.ts';
import { EnrollmentAnswers, type EnrollmentAnswersComponents } from './enrollment-answers.ts';
import { siteKindNames } from './enum-tables.ts';
import { GroupAnswers, type GroupAnswersComponents } from './group-answers.ts';
import { JobSteeringAnswers, type JobSteeringAnswersComponents } from './job-steering-answers.ts';
import { LinkAnswers, type LinkAnswersComponents } from './link-answers.ts';
import type { LogReader } from './log-reader.ts';
import type { PackageCommands } from './package-commands.ts';
import {
  requireDistributionPointId,
  requirePackageId,
  requireSiteCode,
  toPackageProperties,
  toPackageStatusQuery,
  toTargets,
  withPatch,
} from './package-requests.ts';
import type { PackageStatusView } from './package-status-view.ts';
import type { PackageView } from './package-view.ts';
import { PrestagedAnswers, type PrestagedAnswersComponents } from './prestaged-answers.ts';
import type { PreviewAnswers } from './preview-answers.ts';
import {
  toAuditHeadMessage,
  toAuditQuery,
  toAuditRecordMessage,
  toStatusMessageMessage,
  toStatusMessageQuery,
  toTrailMessages,
} from './report-messages.ts';
import { checkedCount } from './request-text.ts';
import { RevocationAnswers, type RevocationAnswersComponents } from './revocation-answers.ts';
import {
  SendSteeringAnswers,
  type SendSteeringAnswersComponents,
} from './send-steering-answers.ts';
import type { SettingCommands } from './setting-commands.ts';
import { SiteAnswers, type SiteAnswersComponents } from './site-answers.ts';
import { checkedSources, checkedSourcesElsewhere } from './source-check.ts';
import type { StatusMessageView } from './status-message-view.ts';
import type { ValidationAnswers } from './validation-answers.ts';

/** Jobs as administrators see them: Package Transfer Manager's side of the conversation. */
export interface AdminJobs {
  list(filter: JobFilter__Output): AsyncIterable<Job>;
  watch(filter: JobFilter__Output, signal: AbortSignal): AsyncIterable<Job>;
  toMessage(job: DistributionJob): Job;
}

/** What jobs are asked for by. */
type JobNames = Pick<JobFilter__Output, 'packageId' | 'dpId'>;

/** What the site says of itself. */
export interface AdminSite {
  readonly agentVersion: string;
  readonly startedAtMs: number;
  /** Where the site keeps its own files: no source may be there, or hold it. */
  readonly ownPlaces: readonly string[];
}

/** What the admin service needs. */
export interface AdminServiceComponents
  extends Omit<DistributionPointAnswersComponents, 'scopes'>,
    Omit<JobSteeringAnswersComponents, 'requireKnown' | 'scopes'>,
    Omit<SendSteeringAnswersComponents, 'scopes'>,
    Omit<GroupAnswersComponents, 'scopes'>,
    Omit<EnrollmentAnswersComponents, 'scopes' | 'hierarchy' | 'certificates'>,
    LinkAnswersComponents,
    CertificateAnswersComponents,
    RevocationAnswersComponents,
    Omit<PrestagedAnswersComponents, 'scopes'>,
    Omit<SiteAnswersComponents, 'agentVersion' | 'hierarchy'> {
  readonly site: AdminSite;
  readonly packages: Pick<PackageStore, 'require' | 'statuses'>;
  readonly packageCommands: PackageCommands;
  readonly distributionCommands: DistributionCommands;
  readonly validationAnswers: ValidationAnswers;
  readonly distributionPointLibraries: DistributionPointLibraries;
  readonly previews: Pick<PreviewAnswers, 'methods'>;
  readonly packageView: PackageView;
  readonly packageStatusView: PackageStatusView;
  readonly statusMessageView: StatusMessageView;
  readonly jobs: AdminJobs;
  readonly settingCommands: SettingCommands;
  readonly auditTrail: Pick<AuditTrail, 'query' | 'read'>;
  readonly auditHeads: Pick<AuditHeads, 'told'>;
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
  readonly #scopes: AdminScopes;
  readonly #distributionPoints: DistributionPointAnswers;
  readonly #sites: SiteAnswers;
  readonly #steering: JobSteeringAnswers;
  readonly #prestaged: PrestagedAnswers;
  readonly #links: LinkAnswers;

  constructor(components: AdminServiceComponents) {
    this.#components = components;
    const scopes = new AdminScopes(components);
    this.#scopes = scopes;
    this.#distributionPoints = new DistributionPointAnswers({ ...components, scopes });
    this.#links = new LinkAnswers(components);
    const { agentVersion } = components.site;
    this.#sites = new SiteAnswers({ ...components, agentVersion });
    const requireKnown = (names: JobNames) => this.#requireKnown(names);
    this.#steering = new JobSteeringAnswers({ ...components, scopes, requireKnown });
    this.#prestaged = new PrestagedAnswers({ ...components, scopes });
  }

  /** The functions that answer the conversation. */
  conversation(): Conversation<'Admin'> {
    const parts = { ...this.#components, scopes: this.#scopes };
    return {
      getSite: async () => this.#site(),
      ...this.#packageMethods(),
      ...this.#distributionMethods(),
      ...this.#components.validationAnswers.methods(),
      ...this.#components.distributionPointLibraries.methods(),
      ...this.#distributionPoints.methods(),
      ...this.#sites.methods(),
      ...this.#steering.methods(),
      ...new SendSteeringAnswers(parts).methods(),
      ...new GroupAnswers(parts).methods(),
      ...new EnrollmentAnswers(parts).methods(),
      ...this.#components.settingCommands.methods(),
      ...this.#prestaged.methods(),
      ...this.#links.methods(),
      ...new CertificateAnswers(this.#components).methods(),
      ...new RevocationAnswers(this.#components).methods(),
      ...this.#components.previews.methods(),
      ...this.#reportMethods(),
    };
  }

  #site() {
    const { site, sites } = this.#components;
    const { siteCode, kind, parent } = sites.own;
    return {
      siteCode,
      kind: siteKindNames[kind],
      agentVersion: site.agentVersion,
      startedAtMs: site.startedAtMs,
      parentSiteCode: parent?.siteCode ?? '',
    };
  }

  #packageMethods() {
    const { packageCommands, packageView, site } = this.#components;
    const own = site.ownPlaces;
    return {
      createPackage: async ({ properties, sourceDirectories }, context) => {
        await this.#scopes.requireOwnSite(context);
        const checked = toPackageProperties(properties);
        const directories = await checkedSources(sourceDirectories, own);
        return packageView.toMessage(await packageCommands.create(checked, directories));
      },
      setPackage: async (request, context) => {
        const packageId = await this.#requireOursToChange(request.packageId, context);
        const { properties: patch, sourceDirectories } = request;
        const isMove = sourceDirectories.length > 0;
        const isOwn = this.#components.hierarchyPackages.isOwn(packageId);
        const isCheckable = isMove && isOwn;
        const directories = isCheckable
          ? await checkedSources(sourceDirectories, own)
          : checkedSourcesElsewhere(sourceDirectories);
        const change = (before: PackageProperties) =>
          patch || !isMove ? withPatch(before, patch) : before;
        return packageView.toMessage(await packageCommands.set(packageId, change, directories));
      },
      updatePackage: async (request, context) => {
        const packageId = await this.#requireOursToChange(request.packageId, context);
        return packageView.toMessage(await packageCommands.update(packageId));
      },
      deletePackage: async (request, context) => {
        const packageId = await this.#requireOursToChange(request.packageId, context);
        return packageView.toMessage(await packageCommands.delete(packageId));
      },
      getPackage: async ({ packageId }) => packageView.get(requirePackageId(packageId)),
      listPackages: () => packageView.list(),
      watchPackage: ({ packageId }, { signal }) => {
        return packageView.watch(requirePackageId(packageId), signal);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  /** A package that the caller may change. @throws REQUEST_INVALID, SCOPE_EXCEEDED */
  async #requireOursToChange(text: string, context: CallContext): Promise<string> {
    const packageId = requirePackageId(text);
    await this.#scopes.checkOf(context)({ packageIds: [packageId] });
    return packageId;
  }

  #distributionMethods() {
    const { distributionCommands, packageStatusView } = this.#components;
    return {
      distributePackage: async (request, context) => {
        const check = this.#scopes.checkOf(context);
        return { dpIds: await distributionCommands.distribute(toTargets(request), check) };
      },
      redistributePackage: async (request, context) => {
        const check = this.#scopes.checkOf(context);
        return { dpIds: await distributionCommands.redistribute(toTargets(request), check) };
      },
      removePackage: async (request, context) => {
        const check = this.#scopes.checkOf(context);
        return { dpIds: await distributionCommands.remove(toTargets(request), check) };
      },
      retryFailed: async (filter, context) => {
        const query = toPackageStatusQuery(filter);
        return await distributionCommands.retryFailed(query, this.#scopes.checkOf(context));
      },
      listPackageStatus: (filter) => packageStatusView.list(toPackageStatusQuery(filter)),
      watchPackageStatus: (filter, { signal }) => {
        return packageStatusView.watch(toPackageStatusQuery(filter), signal);
      },
    } satisfies Partial<Conversation<'Admin'>>;
  }

  #reportMethods() {
    const { statusMessageView, auditTrail, auditHeads, sites } = this.#components;
    return {
      listJobs: (filter) => this.#listJobs(filter),
      watchJobs: (filter, { signal }) => this.#watchJobs(filter, signal),
      listStatusMessages: async function* (filter, { signal }) {
        const messages = await statusMessageView.query(toStatusMessageQuery(filter), signal);
        for (const message of messages) yield toStatusMessageMessage(message);
      },
      readLog: (request, { signal }) => this.#readLog(request, signal),
      listAuditRecords: async function* (filter, { signal }) {
        const records = await auditTrail.query(toAuditQuery(filter), signal);
        for (const record of records) yield toAuditRecordMessage(record);
      },
      readAuditTrail: () => toTrailMessages(auditTrail.read()),
      listAuditHeads: async function* ({ siteCode }) {
        const ofSite =
          siteCode === '' ? sites.own.siteCode : requireSiteCode('site_code', siteCode);
        for await (const head of auditHeads.told(ofSite)) yield toAuditHeadMessage(head);
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
  async #requireKnown({ packageId, dpId }: JobNames): Promise<void> {
    const { packageView } = this.#components;
    if (packageId !== '') await packageView.get(requirePackageId(packageId));
    if (dpId === '') return;
    await this.#distributionPoints.requireOwn(requireDistributionPointId('dp_id', dpId));
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
