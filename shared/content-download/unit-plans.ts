import type { DownloadSources } from './download-sources.ts';
import type { SourceConnection } from './source-connection.ts';
import type { SourceField } from './source-field.ts';
import type { UnitRange } from './source-holdings.ts';
import { ownUnits } from './unit-owner.ts';
import { type UnitPick, UnitPlan, type UnitStretch } from './unit-plan.ts';

export interface UnitPlansNeeds {
  readonly sources: Pick<DownloadSources, 'connections'>;
  readonly field: SourceField;
  readonly random: () => number;
  /** The identity of this agent, by which those who fetch at once share the work; if it has one. */
  readonly self?: string | undefined;
  /** Another stretch was taken up, or there is none left. */
  readonly onTaken: () => void;
  /** What the stretches have thrown. */
  readonly onFailed: (error: unknown) => void;
}

/** What a source is asked for, and the plan it is of. */
export interface PlannedPick {
  readonly plan: UnitPlan<SourceConnection>;
  readonly pick: UnitPick<SourceConnection>;
}

/** Stretches that are worked on at once: the next one begins while the last of one are on their way. */
const plansMax = 2;

/** The plans of the stretches that are worked on now: what they would have of whom. */
export class UnitPlans {
  readonly #needs: UnitPlansNeeds;
  #plans: readonly UnitPlan<SourceConnection>[] = [];
  #taking: Promise<void> | undefined;
  #areAllTaken = false;

  constructor(needs: UnitPlansNeeds) {
    this.#needs = needs;
  }

  /** Whether there is something to fetch yet. */
  get hasWork(): boolean {
    return this.#plans.length > 0;
  }

  /** Whether all stretches were taken up, and are done. */
  get areDone(): boolean {
    return this.#areAllTaken && this.#plans.length === 0;
  }

  /** Drops the plans that are done, and begins with the next stretch when there is room for it. */
  next(stretches: AsyncGenerator<UnitStretch>): void {
    this.#plans = this.#plans.filter((plan) => !plan.isDone);
    if (this.#areAllTaken || this.#plans.length >= plansMax) return;
    this.#taking ??= this.#take(stretches);
  }

  /** Resolves when no stretch is being taken up. */
  async whenTaken(): Promise<void> {
    await this.#taking;
  }

  /** What a source should be asked for now; first what nobody is asked for, then what is overdue. */
  pickFor(source: SourceConnection, nowMs: number): PlannedPick | undefined {
    const { self, field } = this.#needs;
    const crowd = self === undefined ? 0 : field.crowdAt(source, nowMs);
    for (const plan of this.#plans) {
      const pick = plan.next(source, nowMs, crowd);
      if (pick) return { plan, pick };
    }
    const isEnd = this.#plans.every(({ missingCount }) => missingCount === 0);
    for (const plan of this.#plans) {
      const pick = plan.overdue(source, nowMs, (other) => isEnd || !other.state.isProven);
      if (pick) return { plan, pick };
    }
    return undefined;
  }

  /** A source has more than before. */
  holdingsGrew(connection: SourceConnection, range: UnitRange): void {
    for (const plan of this.#plans) plan.holdingsGrew(connection, range);
  }

  /** The plans know who may be asked. */
  refreshField(): void {
    if (!this.#needs.field.refresh()) return;
    const { connections } = this.#needs.field;
    const isOwn = this.#ownership();
    for (const plan of this.#plans) {
      plan.setSources(connections);
      if (isOwn) plan.share(isOwn);
    }
  }

  /** Never rejects. */
  async #take(stretches: AsyncGenerator<UnitStretch>): Promise<void> {
    const { field, random, onTaken, onFailed } = this.#needs;
    try {
      const { done, value } = await stretches.next();
      if (done) this.#areAllTaken = true;
      else this.#plans = [...this.#plans, new UnitPlan(value, random)];
      field.invalidate();
    } catch (error) {
      onFailed(error);
    } finally {
      this.#taking = undefined;
      onTaken();
    }
  }

  /** With those that do not hold all, and fetch the same, the units are shared out. */
  #ownership(): ((unit: number) => boolean) | undefined {
    const { self, sources } = this.#needs;
    if (self === undefined) return undefined;
    const peers = sources.connections.filter(({ holdings }) => !holdings.isComplete);
    return ownUnits(
      self,
      peers.map(({ name }) => name),
    );
  }
}
