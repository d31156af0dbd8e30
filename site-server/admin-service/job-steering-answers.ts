import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import type { JobSelection, SteeringVerb } from '../../shared/domain/job-steering.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import type { QueueTarget } from '../../shared/domain/queue-order.ts';
import { requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { Job } from '../../shared/rpc/generated/waybill/v1/Job.ts';
import type { JobSelection__Output } from '../../shared/rpc/generated/waybill/v1/JobSelection.ts';
import type { MoveJobsRequest__Output } from '../../shared/rpc/generated/waybill/v1/MoveJobsRequest.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import { GroupRows } from '../hierarchy-manager/group-rows.ts';
import type { JobSteering } from '../package-transfer-manager/job-steering.ts';
import type { AdminScopes } from './admin-scopes.ts';
import { checkedNumber } from './request-text.ts';

/** What steering jobs needs. */
export interface JobSteeringAnswersComponents {
  readonly store: Pick<StateStore, 'records'>;
  readonly steering: Pick<
    JobSteering,
    'select' | 'move' | 'suspend' | 'resume' | 'runNow' | 'cancel'
  >;
  readonly jobs: { toMessage(job: DistributionJob): Job };
  /** @throws PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN, REQUEST_INVALID */
  readonly requireKnown: (names: { packageId: string; dpId: string }) => Promise<void>;
  readonly scopes: Pick<AdminScopes, 'checkOf'>;
}

/** A command, and whether only what it means is asked for. */
interface Asked {
  readonly verb: SteeringVerb;
  readonly selection: JobSelection__Output | null;
  readonly context: CallContext;
}

/** Answers what administrators say about the jobs of this site: which are meant, and what is done. */
export class JobSteeringAnswers {
  readonly #components: JobSteeringAnswersComponents;

  constructor(components: JobSteeringAnswersComponents) {
    this.#components = components;
  }

  methods() {
    const { steering } = this.#components;
    return {
      moveJobs: (request, context) => {
        const target = toTarget(request);
        return this.#act({ verb: 'move', selection: request.jobs, context }, (jobs) =>
          steering.move(jobs, target),
        );
      },
      suspendJobs: (selection, context) =>
        this.#act({ verb: 'suspend', selection, context }, (jobs) => steering.suspend(jobs)),
      resumeJobs: (selection, context) =>
        this.#act({ verb: 'resume', selection, context }, (jobs) => steering.resume(jobs)),
      runJobs: (selection, context) =>
        this.#act({ verb: 'run', selection, context }, (jobs) => steering.runNow(jobs)),
      cancelJobs: (selection, context) => this.#cancel(selection, context),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#act(
    asked: Asked,
    change: (jobs: readonly DistributionJob[]) => Promise<DistributionJob[]>,
  ): AsyncGenerator<Job> {
    const meant = await this.#meant(asked);
    const jobs = asked.selection?.lookOnly ? meant : await change(meant);
    const isMadeDue = jobs !== meant && (asked.verb === 'resume' || asked.verb === 'run');
    for (const job of jobs) {
      const message = this.#components.jobs.toMessage(job);
      yield isMadeDue ? toDue(message, job) : message;
    }
  }

  async *#cancel(selection: JobSelection__Output, context: CallContext): AsyncGenerator<Job> {
    const { jobs, steering } = this.#components;
    const meant = await this.#meant({ verb: 'cancel', selection, context });
    if (selection.lookOnly) {
      for (const job of meant) yield jobs.toMessage(job);
      return;
    }
    for await (const job of steering.cancel(meant, context.signal)) yield jobs.toMessage(job);
  }

  /** Also when it is only looked at what is meant: then the administrator knows before he says yes. */
  async #meant({ verb, selection, context }: Asked): Promise<DistributionJob[]> {
    const { steering, scopes } = this.#components;
    if (!selection) throw noSelection();
    const meant = await steering.select(verb, await this.#toSelection(selection));
    await scopes.checkOf(context)({ dpIds: meant.map(({ dpId }) => dpId) });
    return meant;
  }

  /** @throws REQUEST_INVALID, PACKAGE_UNKNOWN, DISTRIBUTION_POINT_UNKNOWN */
  async #toSelection(message: JobSelection__Output): Promise<JobSelection> {
    const { packageId, dpId, groupName, failedOnly, all } = message;
    const olderThanMs = checkedNumber('older_than_ms', message.olderThanMs);
    const isCondition = [packageId, dpId, groupName].some((text) => text !== '') || failedOnly;
    const jobSerials = toSerials(message.jobSerials);
    if (jobSerials) {
      const expected = 'jobs by number, or by what they have in common, not both';
      if (!isCondition && !all && olderThanMs === 0) return { jobSerials };
      throw requestInvalid('job_serials', { expected, actual: 'both' });
    }
    if (!isCondition && !all && olderThanMs === 0) throw noSelection();
    await this.#components.requireKnown({ packageId, dpId });
    const dpIds = await this.#dpIdsOf(dpId, groupName);
    return {
      ...(packageId !== '' && { packageId }),
      ...(dpIds && { dpIds }),
      ...(failedOnly && { failedOnly }),
      ...(olderThanMs > 0 && { olderThanMs }),
    };
  }

  async #dpIdsOf(dpId: string, groupName: string): Promise<ReadonlySet<string> | undefined> {
    if (groupName === '') return dpId === '' ? undefined : new Set([dpId]);
    const groups = new GroupRows(this.#components.store);
    if (!parseObjectName(groupName) || !(await groups.groups.get(groupName))) {
      throw new WaybillError({ code: 'GROUP_UNKNOWN', groupName });
    }
    const members = await groups.membersOf(groupName);
    return new Set(members.filter((one) => dpId === '' || one === dpId));
  }
}

/** Whether it has to wait for a slot is decided only now: until then nobody says that it does. */
function toDue(message: Job, { reason }: DistributionJob): Job {
  const isUndecided = message.waitingReason === 'slot' && message.reason === reason;
  return isUndecided ? { ...message, waitingReason: '', reason: 'due now' } : message;
}

function noSelection() {
  const expected = 'jobs by number, package, distribution point, group, age or failure, or all';
  return requestInvalid('jobs', { expected, actual: 'none' });
}

function toSerials(texts: readonly string[]): readonly number[] | undefined {
  if (texts.length === 0) return undefined;
  const { jobCountMax } = requestLimits;
  if (texts.length > jobCountMax) {
    throw requestInvalid('job_serials', {
      expected: `at most ${jobCountMax}`,
      actual: `${texts.length}`,
    });
  }
  return [...new Set(texts.map((text) => checkedNumber('job_serials', text)))];
}

function toTarget({ place, ...request }: MoveJobsRequest__Output): QueueTarget {
  if (place === 'first' && request.first) return { kind: 'first' };
  if (place === 'last' && request.last) return { kind: 'last' };
  if (place === 'beforeJobSerial') {
    const jobSerial = checkedNumber('before_job_serial', request.beforeJobSerial ?? '0');
    return { kind: 'before', jobSerial };
  }
  throw requestInvalid('place', { expected: 'first, last, or a job to go before', actual: 'none' });
}
