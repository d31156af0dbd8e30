import type { OriginState, RowVersion } from '../../shared/domain/change-log.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import type { ReplicationChanges__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import type { ReplicationMessages__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationMessages.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import {
  type CheckedChanges,
  type CheckedMessages,
  type CheckedRow,
  checkedChanges,
  checkedMessages,
  type RowChecks,
  requireOrigin,
} from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import type { FullCopyReceiver } from './full-copy-receiver.ts';
import { noticesOf, placeOf, type RowName, rowIdOf } from './replicated-rows.ts';
import type { ReplicationConfig } from './replication-config.ts';

/** What applying needs. */
export interface ChangeApplierComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly log: ChangeLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** @default none */
  readonly checks?: RowChecks;
  /** @default none */
  readonly rollbacks?: RowRollbacks;
}

/**
 * By table: whether a row, undefined when it is deleted, would take back what its writer said after
 * it. Such a row is passed over: somebody in between remembers, or pretends, something old.
 */
export type RowRollbacks = Partial<
  Record<ReplicatedTable, (key: string, value: unknown) => boolean>
>;

/** Who sends, as far as it matters what is taken of it. */
export interface Sender {
  readonly siteCode: string;
  /** Whether an origin is on the sender's side of the hierarchy. */
  readonly isOnItsSide: (origin: string) => boolean;
  /** Whether it may pass on status messages. */
  readonly isBelow: boolean;
  /** Up to where it has given back this site's own changes, on this stream. */
  refilledThrough: number;
  readonly copy: FullCopyReceiver;
}

/** Status messages over the limit that are deleted in one batch. */
const trimBatchCount = 2_000;

/**
 * Applies what neighbours send: a message whole, in one synced batch, or not at all. Everything is
 * checked first; of two changes of a row the later one stands, whoever sends it. What is applied stands
 * in the log of its origin, and so reaches the other neighbours. One message after another, whoever
 * sends. A crash leaves all of a message or nothing, and the cursor says which.
 */
export class ChangeApplier {
  readonly #components: ChangeApplierComponents;
  readonly #config: ReplicationConfig;

  constructor(components: ChangeApplierComponents, config: ReplicationConfig) {
    this.#components = components;
    this.#config = config;
  }

  /**
   * @returns how many rows became what the message says
   * @throws MESSAGE_INVALID, REPLICATION_ROW_REFUSED, CLOCK_AHEAD, REPLICATION_GAP,
   *   REPLICATION_ORIGIN_REFUSED; DISK_FULL
   */
  apply(message: ReplicationChanges__Output, sender: Sender): Promise<number> {
    return this.#components.log.turn(() => {
      const { log, checks = {} } = this.#components;
      const { clockAheadMsMax } = this.#config;
      const { clock } = log.capture;
      this.#requireSide(requireOrigin(message.originSiteCode), sender, message.fullCopy);
      const changes = checkedChanges(message, { clock, clockAheadMsMax, checks });
      requireNext(changes, this.#expectedAfter(changes, sender));
      return this.#apply(changes, sender);
    });
  }

  /** @throws as `apply` */
  applyMessages(message: ReplicationMessages__Output, sender: Sender): Promise<void> {
    return this.#components.log.turn(async () => {
      const checked = checkedMessages(message);
      const { origin } = checked;
      const isTaken = sender.isBelow && sender.isOnItsSide(origin);
      if (!isTaken) throw originRefused(origin, sender);
      const state = this.#components.log.originState(origin);
      requireNext(checked, state.messageSerial);
      await this.#keepMessages(checked, state);
    });
  }

  #requireSide(origin: string, sender: Sender, isFullCopy: boolean): void {
    const isOwn = origin === this.#components.log.capture.siteCode;
    // A full copy also tells which of this side's rows the sender knows.
    if (isOwn || isFullCopy || sender.isOnItsSide(origin)) return;
    throw originRefused(origin, sender);
  }

  #expectedAfter({ origin, after, isFullCopy }: CheckedChanges, sender: Sender): number {
    if (isFullCopy) return sender.copy.expectedAfter(origin, after);
    const { log } = this.#components;
    return origin === log.capture.siteCode
      ? sender.refilledThrough
      : log.originState(origin).sequence;
  }

  async #apply(changes: CheckedChanges, sender: Sender): Promise<number> {
    const { log } = this.#components;
    const { origin, through, rows } = changes;
    for (const { version } of rows) log.capture.clock.receive(version.changedAt);
    if (changes.isFullCopy) return this.#applyCopy(changes, sender);
    if (origin === log.capture.siteCode) {
      const count = await this.#changeRows(rows, [], refillRule);
      sender.refilledThrough = through;
      return count;
    }
    const state = { ...log.originState(origin), sequence: through };
    const count = await this.#changeRows(rows, [log.putOrigin(origin, state)], plainRule);
    log.noteOrigin(origin, state);
    return count;
  }

  /** A part of a full copy; rows of this site's side are only known to be there. */
  async #applyCopy(changes: CheckedChanges, sender: Sender): Promise<number> {
    const { origin, rows } = changes;
    const marks = sender.copy.marksOf(changes);
    const isTaken = sender.isOnItsSide(origin);
    const had = this.#components.log.originState(origin).sequence;
    // What was here once and is not any more was deleted since.
    const rule = { ...plainRule, isGone: (version: RowVersion) => version.sequence <= had };
    const count = await this.#changeRows(isTaken ? rows : [], marks, rule);
    await sender.copy.took(changes, isTaken);
    return count;
  }

  async #changeRows(
    rows: readonly CheckedRow[],
    others: readonly Change[],
    rule: ApplyRule,
  ): Promise<number> {
    const { log, store, rollbacks = {} } = this.#components;
    let count = 0;
    await log.changeRows(
      rows.map(({ name }) => rowIdOf(name)),
      (versions) => {
        const winners = rows.filter(({ name, value, version }) => {
          if (rollbacks[name.table]?.(name.key, value)) return false;
          const before = versions.get(rowIdOf(name));
          if (!before) return !rule.isGone(version);
          return compareHybridTimes(version.changedAt, before.changedAt) > 0;
        });
        count = winners.length;
        const written = winners.flatMap((row) =>
          this.#written(row, versions.get(rowIdOf(row.name)), rule),
        );
        const clock = store.records(keySpaces.hybridClock).put('clock', log.capture.clock.latest);
        const clockChanges = rows.length > 0 ? [clock] : [];
        const notices = this.#notifications(winners, rule);
        return [...written, ...notices, ...clockChanges, ...others];
      },
    );
    return count;
  }

  #written({ name, value, version }: CheckedRow, before: RowVersion | undefined, rule: ApplyRule) {
    const { log, store } = this.#components;
    const { space, key } = placeOf(name, log.capture.siteCode);
    const records = store.records(space);
    const row = version.isDeleted ? records.delete(key) : records.put(key, value);
    if (!rule.isRefill) return [row, ...log.putVersion(name, version, before)];
    // A new number: neighbours that are past the old one may not have it.
    const voided = before ? [log.deleteEntry(before)] : [];
    return [row, ...voided, ...log.capture.renumbered(name, version)];
  }

  #notifications(rows: readonly CheckedRow[], { isRefill }: ApplyRule): Change[] {
    const { log, notifier } = this.#components;
    const told = new Map<string, Change>();
    for (const { name } of rows) {
      for (const { topic, subject } of noticesOfApplied(name, log.capture.siteCode, isRefill)) {
        const id = `${topic}/${subject}`;
        if (!told.has(id)) told.set(id, notifier.notification(topic, subject));
      }
    }
    return [...told.values()];
  }

  async #keepMessages(checked: CheckedMessages, before: OriginState): Promise<void> {
    const { log, store } = this.#components;
    const { origin, through, messages } = checked;
    const records = store.records(keySpaces.siteStatusMessages);
    const state = { ...before, messageSerial: through };
    const changes = [log.putOrigin(origin, state)];
    for (const message of messages) {
      changes.push(records.put(joinKey(origin, message.serial), message));
    }
    const firstKept = Math.max(0, through - this.#config.siteStatusMessageCountMax + 1);
    const old = { prefix: `${origin}/`, lt: joinKey(origin, firstKept), limit: trimBatchCount };
    for await (const [key] of records.list(old)) changes.push(records.delete(key));
    await store.write(changes, { sync: true });
    log.noteOrigin(origin, state);
  }
}

/** What becomes of a row that may be applied. */
interface ApplyRule {
  /** Whether a row that is not here is known to have been deleted. */
  readonly isGone: (version: RowVersion) => boolean;
  /** The row is this site's own, which lost it. */
  readonly isRefill: boolean;
}

const plainRule: ApplyRule = { isGone: () => false, isRefill: false };
const refillRule: ApplyRule = { isGone: () => false, isRefill: true };

function noticesOfApplied(name: RowName, siteCode: string, isRefill: boolean) {
  const notices = noticesOf(name, siteCode);
  // A package of this site that a neighbour gives back is looked at like one that was just changed.
  return isRefill && name.table === 'published-packages'
    ? [...notices, { topic: 'package', subject: name.key } as const]
    : notices;
}

function requireNext({ origin, after }: { origin: string; after: number }, expected: number) {
  if (after === expected) return;
  throw new WaybillError({ code: 'REPLICATION_GAP', siteCode: origin, expected, actual: after });
}

function originRefused(siteCode: string, { siteCode: neighbour }: Sender): WaybillError {
  return new WaybillError({ code: 'REPLICATION_ORIGIN_REFUSED', siteCode, neighbour });
}
