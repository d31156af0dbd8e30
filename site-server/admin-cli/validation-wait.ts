import { isLoss } from './admin.ts';
import { showWhile, type View } from './display.ts';
import { toJobRecord, toProgress } from './job-record.ts';
import { toTenths } from './progress.ts';
import type { Session } from './session.ts';
import {
  toFoundText,
  toValidationRecord,
  unsoundCountOf,
  type ValidationRecord,
} from './validation-record.ts';

/** What is waited for. */
export interface AwaitedValidation {
  readonly packageId: string;
  /** What the results of this wish begin with. */
  readonly wishId: string;
  /** Whether it is over only when what was damaged is whole again, or is not to be. */
  readonly repair: boolean;
  readonly dpIds: readonly string[];
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
  for (const job of jobs) {
    if (job.action !== 'validate') view.say(job.dpId, `repair ${toTenths(toProgress(job))}`);
    else view.say(job.dpId, `validating ${toTenths(toProgress(job))} ${job.reason}`);
  }
  for (const record of rows.map(toValidationRecord)) {
    if (!record.wishId.startsWith(wish.wishId)) continue;
    // Of a site's own copy its result says why it is not brought again.
    const isOver =
      !repair || unsoundCountOf(record) === 0 || (record.dpId !== '' && failed.has(record.dpId));
    view.found(record, isOver || record.failure !== '');
  }
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
    return [...this.#texts].map(([dpId, text]) => `${dpId || 'the site'}  ${text}`);
  }

  newLines(): readonly string[] {
    const news = [...this.#texts].filter(([dpId, text]) => this.#told.get(dpId) !== text);
    for (const [dpId, text] of news) this.#told.set(dpId, text);
    return news.map(([dpId, text]) => `${this.#wish.packageId} on ${dpId || 'the site'}: ${text}`);
  }
}
