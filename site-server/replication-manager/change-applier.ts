import {
  type OriginState,
  type RowVersion,
  unknownOrigin,
} from '../../shared/domain/change-log.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { compareHybridTimes } from '../../shared/domain/hybrid-time.ts';
import type { ReplicatedTable } from '../../shared/domain/replicated-tables.ts';
import type { ReplicationChanges__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import type { ReplicationMessages__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationMessages.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';
import {
  type ApplyRule,
  inTurn,
  type Judged,
  plainRule,
  type Raised,
  type RowValues,
  refillRule,
  rowRefused,
  ruleOf,
  type Sender,
  type Verdict,
} from './apply-rule.ts';
import {
  type CheckedChanges,
  type CheckedMessages,
  type CheckedRow,
  checkedChanges,
  checkedMessages,
  type RowChecks,
  requireCount,
  requireOrigin,
} from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import { justAfter } from './hybrid-clock.ts';
import { isRanked, type RaisedRow, rowsToJudge } from './owned-row-authority.ts';
import { noticesOf, placeOf, type RowName, rowIdOf } from './replicated-rows.ts';
import { originCountMax, type ReplicationConfig } from './replication-config.ts';
import { RowFacts } from './row-facts.ts';

/** What applying needs. */
export interface ChangeApplierComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly log: ChangeLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** @default none */
  readonly checks?: RowChecks;
  /** @default none */
  readonly rollbacks?: RowRollbacks;
  /** @default there is room for all */
  readonly rooms?: RowRooms;
}

/**
 * By table: whether a row, undefined when it is deleted, would take back what its writer said after
 * it. Such a row is passed over: somebody in between remembers, or pretends, something old.
 */
export type RowRollbacks = Partial<
  Record<ReplicatedTable, (key: string, value: unknown) => boolean>
>;

/** Asked for each row of one message that would be put, in turn: why there is no room for it; undefined, and it is counted. */
export type RowRoom = (key: string, value: unknown) => string | undefined;

/**
 * By table: the room there is for the rows of a message. A row without is passed over and reported, and all else
 * goes on: to refuse it would hold up all that its writer says, and end a full copy again and again.
 */
export type RowRooms = Partial<Record<ReplicatedTable, () => RowRoom>>;

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
   * @returns how many rows became what the message says; undefined when its origin is a site that was
   *   deleted: nothing was applied, and is not to be sent soon again
   * @throws MESSAGE_INVALID, REPLICATION_ROW_REFUSED, CLOCK_AHEAD, REPLICATION_GAP,
   *   REPLICATION_ORIGIN_REFUSED; DISK_FULL
   */
  apply(message: ReplicationChanges__Output, sender: Sender): Promise<number | undefined> {
    return this.#components.log.turn(async () => {
      const { log, checks = {} } = this.#components;
      const { clockAheadMsMax } = this.#config;
      const { clock } = log.capture;
      const origin = requireOrigin(message.originSiteCode);
      // A full copy goes on without it, and its rows stay for the site that says them anew.
      if (await this.#isGone(origin)) return message.fullCopy ? 0 : undefined;
      this.#requireSide(message, sender);
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
      if (await this.#isGone(origin)) return;
      const isTaken = sender.isBelow && sender.isOnItsSide(origin);
      if (!isTaken) throw originRefused(origin, sender);
      const state = this.#components.log.originState(origin);
      requireNext(checked, state.messageSerial);
      await this.#keepMessages(checked, state);
    });
  }

  #requireSide(message: ReplicationChanges__Output, sender: Sender): void {
    const { originSiteCode: origin, fullCopy: isOfCopy, through } = message;
    const { log } = this.#components;
    const isOwn = origin === log.capture.siteCode;
    const isRefill = isOwn && isWantedOf(sender, requireCount('through', through));
    const isNew = log.originState(origin) === unknownOrigin;
    const isKnowable = isOwn || !isNew || log.origins().length < originCountMax;
    const isTheirs = !isOwn && sender.isOnItsSide(origin);
    // A full copy also tells which of this side's rows the sender knows.
    const isTaken = isRefill || isOfCopy || isTheirs;
    if (!isTaken || !isKnowable) throw originRefused(origin, sender);
  }

  /** Whether a site was deleted: of what a neighbour sends that has not heard of it, nothing is taken. */
  async #isGone(origin: string): Promise<boolean> {
    const { log } = this.#components;
    if (origin === log.capture.siteCode) return false;
    const [version] = await log.versionsOf([rowIdOf({ table: 'sites', key: origin })]);
    return version?.isDeleted ?? false;
  }

  #expectedAfter(changes: CheckedChanges, sender: Sender): number {
    const { origin, isFullCopy } = changes;
    if (isFullCopy) return sender.copy.expectedAfter(changes);
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
      const given = rows.filter(({ name }) => sender.mayRefill(name));
      const { ownedProblemOf } = ruleOf(sender);
      const count = await this.#changeRows(given, [], { ...refillRule, ownedProblemOf });
      sender.refilledThrough = through;
      return count;
    }
    const state = { ...log.originState(origin), sequence: through };
    const rule = { ...plainRule, ...ruleOf(sender) };
    const count = await this.#changeRows(rows, [log.putOrigin(origin, state)], rule);
    log.noteOrigin(origin, state);
    return count;
  }

  /** A part of a full copy; rows of this site's side are only known to be there. */
  async #applyCopy(changes: CheckedChanges, sender: Sender): Promise<number> {
    const { origin, rows } = changes;
    const marks = sender.copy.marksOf(changes);
    const isTaken = origin !== this.#components.log.capture.siteCode && sender.isOnItsSide(origin);
    const had = this.#components.log.originState(origin).sequence;
    // What was here once and is not any more was deleted since.
    const isGone = (version: RowVersion) => version.sequence <= had;
    const rule = { ...plainRule, isGone, ...ruleOf(sender, { isFullCopy: true }) };
    const count = await this.#changeRows(isTaken ? rows : [], marks, rule);
    await sender.copy.took(changes, isTaken);
    return count;
  }

  async #changeRows(
    rows: readonly CheckedRow[],
    others: readonly Change[],
    rule: ApplyRule,
  ): Promise<number> {
    const { log, store } = this.#components;
    let judged: Judged[] = [];
    let overRoom = new Map<CheckedRow, string>();
    const facts = await RowFacts.read(log, rows);
    await log.changeRows(
      rows.map(({ name }) => rowIdOf(name)),
      (versions, values) => {
        judged = inTurn(rows).map((row) => {
          const before = versions.get(rowIdOf(row.name));
          const verdict = this.#verdictOf(row, { before, values, facts }, rule);
          if (verdict === 'taken') rule.onTaken(row);
          else if (isRaised(verdict)) rule.onTaken({ ...row, value: verdict.raised.value });
          return { row, before, verdict };
        });
        overRoom = this.#overRoom(judged.filter(({ verdict }) => verdict === 'taken').map(rowOf));
        const written = judged.flatMap((one) => {
          return overRoom.has(one.row) ? [] : this.#writtenBy(one, rule);
        });
        const clock = store.records(keySpaces.hybridClock).put('clock', log.capture.clock.latest);
        const clockChanges = rows.length > 0 ? [clock] : [];
        const notices = this.#notifications(this.#changed(judged, overRoom), rule);
        return [...written, ...notices, ...clockChanges, ...others];
      },
      rows.flatMap(({ name }) => rowsToJudge(name)),
    );
    for (const { row, verdict } of judged) {
      if (typeof verdict === 'object' && 'problem' in verdict)
        rule.onOverruled(row, verdict.problem);
    }
    // One stands for all: of a message they may be thousands.
    const [first] = overRoom;
    if (first) rule.onOverruled(first[0], `${first[1]}; ${overRoom.size} are not taken`);
    return this.#changed(judged, overRoom).length;
  }

  #changed(judged: readonly Judged[], overRoom: ReadonlyMap<CheckedRow, string>): CheckedRow[] {
    const isChanged = ({ row, verdict }: Judged) =>
      (verdict === 'taken' && !overRoom.has(row)) || isRaised(verdict);
    return judged.filter(isChanged).map(rowOf);
  }

  #verdictOf(row: CheckedRow, known: KnownOfRow, rule: ApplyRule): Verdict {
    const { rollbacks = {} } = this.#components;
    const { before, values, facts } = known;
    if (rollbacks[row.name.table]?.(row.name.key, row.value)) return 'passed-over';
    if (!before && rule.isGone(row.version)) return 'passed-over';
    const order = before ? compareHybridTimes(row.version.changedAt, before.changedAt) : 1;
    if (before && order < 0) return rule.raisedOf(row, before, values) ?? 'passed-over';
    if (order === 0 && !facts.isOther(row)) return 'passed-over';
    if (rule.isPassedOver(row, before)) return 'passed-over';
    const kept = before && rule.keptOf(row, before, values);
    if (kept) return kept;
    const held = { by: before?.changedAt.siteCode, isOwnerGone: facts.isOwnerGone(row) };
    const problem = rule.problemOf(row) ?? rule.ownedProblemOf(row, values, held);
    return problem === undefined ? 'taken' : { problem };
  }

  #writtenBy({ row, before, verdict }: Judged, rule: ApplyRule): Change[] {
    if (verdict === 'passed-over') return [];
    if (verdict === 'taken') return this.#written(row, before, rule);
    if (isRaised(verdict)) return this.#raised(row.name, before, verdict.raised);
    if (rule.isRefill || rule.isUnanswered(row, before)) return [];
    // What goes on now would be later than what the parent knows better.
    if (before && rule.isUnjudged(before))
      throw rowRefused(row, `${verdict.problem}; what is here may be outdated, and is asked above`);
    return this.#saidAnew(row.name, before);
  }

  /** The rows for which there is no room, and why. Those before take some from those after them. */
  #overRoom(rows: readonly CheckedRow[]): Map<CheckedRow, string> {
    const { rooms = {} } = this.#components;
    const ofTable = new Map<ReplicatedTable, RowRoom | undefined>();
    const over = new Map<CheckedRow, string>();
    for (const row of rows) {
      const { table, key } = row.name;
      if (!ofTable.has(table)) ofTable.set(table, rooms[table]?.());
      const isPut = !row.version.isDeleted;
      const reason = isPut ? ofTable.get(table)?.(key, row.value) : undefined;
      if (reason !== undefined) over.set(row, reason);
    }
    return over;
  }

  /** What is here of a row stands, later than what another site made of it; nothing is a deletion. */
  #saidAnew(name: RowName, before: RowVersion | undefined): Change[] {
    const changedAt = this.#components.log.capture.clock.now();
    return this.#renewed(name, before, { changedAt, isDeleted: before?.isDeleted ?? true });
  }

  /** What a site with a say says of a row, later than what another site made of it. */
  #raised(name: RowName, before: RowVersion | undefined, { value, isGivenBack }: RaisedRow) {
    const { log, store } = this.#components;
    const { siteCode, clock } = log.capture;
    const { space, key } = placeOf(name, siteCode);
    const records = store.records(space);
    const isDeleted = value === undefined;
    const row = isDeleted ? records.delete(key) : records.put(key, value);
    const since = isGivenBack && before && { ...justAfter(before.changedAt), siteCode };
    const changedAt = since ?? clock.now();
    return [row, ...this.#renewed(name, before, { changedAt, isDeleted })];
  }

  /** This site's own version of a row in the place of the one that is here. That nothing was here stays known. */
  #renewed(name: RowName, before: RowVersion | undefined, said: Omit<RowVersion, 'sequence'>) {
    const { log } = this.#components;
    const voided = before ? [log.deleteEntry(before)] : [];
    const asBefore = said.isDeleted && isNothing(before) && ofNothing;
    return [...voided, ...log.capture.renumbered(name, { ...said, sequence: 0, ...asBefore })];
  }

  #written({ name, value, version }: CheckedRow, before: RowVersion | undefined, rule: ApplyRule) {
    const { log, store } = this.#components;
    const { space, key } = placeOf(name, log.capture.siteCode);
    const records = store.records(space);
    const row = version.isDeleted ? records.delete(key) : records.put(key, value);
    const isUnheardOf = rule.isFromBelow && version.isDeleted && isNothing(before);
    const kept = isUnheardOf && isRanked(name) ? { ...version, ...ofNothing } : version;
    if (!rule.isRefill) return [row, ...log.putVersion(name, kept, before)];
    // A new number: neighbours that are past the old one may not have it.
    const voided = before ? [log.deleteEntry(before)] : [];
    return [row, ...voided, ...log.capture.renumbered(name, { ...version, isRenumbered: true })];
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

/** Whether this site's own changes are taken back from it, up to this number. */
function isWantedOf({ refilledThrough, refillUntil }: Sender, through: number): boolean {
  return refilledThrough < refillUntil && through <= refillUntil;
}

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

/** What a row is judged by, besides itself and the rule. */
interface KnownOfRow {
  readonly before: RowVersion | undefined;
  readonly values: RowValues;
  readonly facts: Pick<RowFacts, 'isOther' | 'isOwnerGone'>;
}

const ofNothing = { isOfNothing: true } as const;

/** Whether nothing is here of a row that anybody with a say has made. */
function isNothing(before: RowVersion | undefined): boolean {
  return before === undefined || before.isOfNothing === true;
}

function isRaised(verdict: Verdict): verdict is Raised {
  return typeof verdict === 'object' && 'raised' in verdict;
}

function rowOf({ row }: Judged): CheckedRow {
  return row;
}
