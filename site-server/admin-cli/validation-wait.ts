import { answersWish } from '../../shared/domain/validation-request.ts';
import { isLoss } from './admin.ts';
import { showWhile, type View } from './display.ts';
import { type JobRecord, toJobRecord, toProgress } from './job-record.ts';
import { toTenths } from './progress.ts';
import type { Session } from './session.ts';
import {
  droppedRecord,
  toFoundText,
  toValidationRecord,
  unsoundCountOf,
  type ValidationRecord,
} from './validation-record.ts';

/** What is waited for. */
export interface AwaitedValidation {
  readonly packageId: string;
  /** See `answersWish`. */
  readonly wishId: string;
  /** Whether it is over only when what was damaged is whole again, or is not to be. */
  readonly repair: boolean;
  /** An empty one: the copy of the site itself. */
  readonly dpIds: readonly string[];
  /** The site that is asked, where it is its own copy. */
  readonly siteCode?: string;
}

const lookMs = 500;

/** The results, once every DP has come to an end, with progress meanwhile. */
export async function whenValidated(
  session: Session,
  wish: AwaitedValidation,
): Promise<ValidationRecord[]> {
  const view = new ValidationView(wish);
  return showWhile(session, { view, keep: false }, async (changed) => {
    for (;;) {
      try {
        await look(session, wish, view);
      } catch (error) {
        // The site server is away: it goes on when it is back.
        if (session.signal.aborted || !isLoss(error)) throw error;
      }
      changed();
      if (view.hasEnded) return view.results;
      await session.clock.sleep(lookMs, session.signal);
    }
  });
}

async function look({ admin, signal }: Session, wish: AwaitedValidation, view: ValidationView) {
  const { packageId, repair } = wish;
  const rows = await admin.list('listValidationResults', { packageId }, signal);
  const jobs = (await admin.list('listJobs', { packageId }, signal)).map(toJobRecord);
  const statuses = await admin.list('listPackageStatus', { packageId }, signal);
  const failed = new Set(
    statuses.filter(({ state }) => state.endsWith('_FAILED')).map(({ dpId }) => dpId),
  );
  const results = rows.map(toValidationRecord);
  const own = results.filter((record) => answersWish(record.wishId, wish.wishId));
  const found = new Set(own.map(({ dpId }) => dpId));
  for (const job of jobs) view.say(job.dpId, toStepText(job, found.has(job.dpId)));
  for (const record of own) {
    const isOfSite = (row: { dpId: string; siteCode: string }) =>
      row.dpId === '' && row.siteCode === record.siteCode;
    // How what is damaged at a site itself comes again, the status of the site says.
    if (record.dpId === '') view.say('', statuses.find(isOfSite)?.reason || 'waits');
    // Of a site's own copy its result says why it is not brought again.
    const isOver =
      !repair || unsoundCountOf(record) === 0 || (record.dpId !== '' && failed.has(record.dpId));
    view.found(record, isOver || record.failure !== '');
  }
  for (const dpId of wish.dpIds) {
    const isMeant = statuses.some((row) => row.dpId === dpId);
    if (!isMeant) view.found(droppedRecord(packageId, dpId), true);
  }
}

/** What a job is to who waits for a validation: only after that has found something it is a repair. */
export function toStepText(job: JobRecord, hasFound: boolean): string {
  const progress = toTenths(toProgress(job));
  const why = job.reason === '' ? '' : `: ${job.reason}`;
  if (job.action === 'validate') return `validating ${progress}${why}`;
  if (hasFound) return `repair ${progress}${why}`;
  return `waits for job ${job.jobSerial} (${job.action}) to end${why}`;
}

/** One line for each DP. */
class ValidationView implements View {
  readonly #wish: AwaitedValidation;
  readonly #texts = new Map<string, string>();
  readonly #told = new Map<string, string>();
  readonly #results = new Map<string, { record: ValidationRecord; isOver: boolean }>();

  constructor(wish: AwaitedValidation) {
    this.#wish = wish;
    for (const dpId of wish.dpIds) this.#texts.set(dpId, 'waits');
  }

  say(dpId: string, text: string): void {
    if (this.#texts.has(dpId)) this.#texts.set(dpId, text.trim());
  }

  found(record: ValidationRecord, isOver: boolean): void {
    if (!this.#texts.has(record.dpId)) return;
    this.#results.set(record.dpId, { record, isOver });
    if (isOver) this.say(record.dpId, toFoundText(record));
  }

  get hasEnded(): boolean {
    return this.#wish.dpIds.every((dpId) => this.#results.get(dpId)?.isOver);
  }

  get results(): ValidationRecord[] {
    return [...this.#results.values()].map(({ record }) => record);
  }

  liveLines(): readonly string[] {
    return [...this.#texts].map(([dpId, text]) => `${dpId || this.#siteText}  ${text}`);
  }

  newLines(): readonly string[] {
    const news = [...this.#texts].filter(([dpId, text]) => this.#told.get(dpId) !== text);
    for (const [dpId, text] of news) this.#told.set(dpId, text);
    const { packageId } = this.#wish;
    return news.map(([dpId, text]) => `${packageId} on ${dpId || this.#siteText}: ${text}`);
  }

  get #siteText(): string {
    return `site ${this.#wish.siteCode ?? ''}`.trimEnd();
  }
}
