import type { Alarm } from '../../shared/domain/alarm.ts';
import { Tally } from '../../shared/runtime/tally.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import type { StatusFacts, StatusReporter } from '../status-manager/status-manager.ts';

/** What the table needs. */
export interface AlarmTableNeeds {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly status: StatusReporter;
}

/** Something that may stand still, as it is now. */
export interface Observation {
  /** Such as `job/17`: part of the row's key. */
  readonly key: string;
  /** What it has done so far: while that stays the same, it stands still. */
  readonly mark: number;
  /** It stands still for something that ends by itself: that time does not count. */
  readonly isExcused: boolean;
  /** How long it may stand still before administrators are told. */
  readonly patienceMs: number;
  /** What they are told. @param sinceMs since when it stands still */
  readonly toFacts: (sinceMs: number) => StatusFacts;
}

/** What they are told when something that was told of is not there any more; undefined: nothing. */
export type ToBackFacts = (key: string, sinceMs: number) => StatusFacts | undefined;

interface Known extends Alarm {
  readonly isStored: boolean;
}

/** What a look leads to, before it is written. */
interface Step {
  readonly key: string;
  /** Undefined: it is forgotten. */
  readonly known: Known | undefined;
  readonly wasStored: boolean;
  readonly facts: StatusFacts | undefined;
}

/** A row is written once something has stood still for this part of the patience. */
const storedPart = 1 / 6;
/** Messages of one look; the others follow with the next. */
export const toldMax = 200;

/**
 * Since when everything that is looked at stands still, and of what administrators were told; in memory,
 * and in the table "alarms" what has stood still for a while. So a restart forgets little, and nobody is
 * told twice. A look takes time for what is looked at, once.
 */
export class AlarmTable {
  readonly #needs: AlarmTableNeeds;
  readonly #known = new Map<string, Known>();
  readonly #told = new Tally<string>();

  constructor(needs: AlarmTableNeeds) {
    this.#needs = needs;
  }

  /** Reads what was known before; once, before anything else. */
  async load(): Promise<void> {
    for await (const [key, alarm] of this.#alarms.list()) {
      this.#remember(key, { ...alarm, isStored: true });
    }
  }

  /** Of how many things of a kind, such as `job`, administrators were told, and it is not over. */
  toldCountOf(kind: string): number {
    return this.#told.of(kind);
  }

  /**
   * Takes all that is there now. What moved, or is not there any more, is forgotten.
   *
   * @throws DISK_FULL: then nothing has changed
   */
  async look(
    observations: readonly Observation[],
    nowMs: number,
    toBackFacts: ToBackFacts,
  ): Promise<void> {
    const steps: Step[] = [];
    const present = new Set<string>();
    let toldCount = 0;
    for (const observation of observations) {
      present.add(observation.key);
      const step = this.#stepOf(observation, nowMs, toldCount < toldMax);
      if (step?.facts) toldCount += 1;
      if (step) steps.push(step);
    }
    for (const [key, known] of this.#known) {
      if (!present.has(key)) steps.push(toEnd(key, known, toBackFacts));
    }
    await this.#write(steps);
  }

  #stepOf(observation: Observation, nowMs: number, mayTell: boolean): Step | undefined {
    const { key, mark, isExcused, patienceMs, toFacts } = observation;
    const before = this.#known.get(key);
    const wasStored = before?.isStored ?? false;
    if (!before || before.mark !== mark) {
      const known = { mark, sinceMs: nowMs, isTold: false, isStored: false };
      return { key, known, wasStored, facts: undefined };
    }
    if (isExcused) {
      // What was told once is not again, until it moves; else nothing of it is worth a row.
      const known = { ...before, sinceMs: nowMs, isStored: before.isTold };
      return { key, known, wasStored, facts: undefined };
    }
    const stoodMs = nowMs - before.sinceMs;
    if (stoodMs >= patienceMs && !before.isTold && mayTell) {
      const known = { ...before, isTold: true, isStored: true };
      return { key, known, wasStored, facts: toFacts(before.sinceMs) };
    }
    if (wasStored || stoodMs < patienceMs * storedPart) return undefined;
    return { key, known: { ...before, isStored: true }, wasStored, facts: undefined };
  }

  /** Without a pause between the messages and the write: serials rise in the order of the writes. */
  async #write(steps: readonly Step[]): Promise<void> {
    const { status, store } = this.#needs;
    const changes = steps.flatMap((step) => [
      ...this.#rowChanges(step),
      ...(step.facts ? status.message(step.facts) : []),
    ]);
    if (changes.length > 0) await store.write(changes, { sync: false });
    for (const { key, known } of steps) this.#remember(key, known);
  }

  #remember(key: string, known: Known | undefined): void {
    const kind = kindOf(key);
    const toldKind = (one: Known | undefined) => (one?.isTold ? kind : undefined);
    this.#told.move(toldKind(this.#known.get(key)), toldKind(known));
    if (known) this.#known.set(key, known);
    else this.#known.delete(key);
  }

  #rowChanges({ key, known, wasStored }: Step): Change[] {
    if (!known?.isStored) return wasStored ? [this.#alarms.delete(key)] : [];
    const { mark, sinceMs, isTold } = known;
    const before = this.#known.get(key);
    // The time of what is excused goes on in memory alone: no row is written at every look.
    if (before?.isStored && before.isTold === isTold) return [];
    return [this.#alarms.put(key, { mark, sinceMs, isTold })];
  }

  get #alarms() {
    return this.#needs.store.records(keySpaces.alarms);
  }
}

function toEnd(key: string, { isStored, isTold, sinceMs }: Known, toBackFacts: ToBackFacts): Step {
  const facts = isTold ? toBackFacts(key, sinceMs) : undefined;
  return { key, known: undefined, wasStored: isStored, facts };
}

function kindOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}
