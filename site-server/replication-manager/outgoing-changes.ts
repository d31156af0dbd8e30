import type { OriginState } from '../../shared/domain/change-log.ts';
import type { ReplicatedRow } from '../../shared/rpc/generated/waybill/v1/ReplicatedRow.ts';
import type { ReplicationCursor__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationCursor.ts';
import type { ReplicationMessage } from '../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import { invalid, requireCount } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import type { LoggedRow, LogPart } from './change-log-reader.ts';
import { FullCopySender } from './full-copy-sender.ts';
import type { MessageLog } from './message-log.ts';
import type { Neighbour } from './neighbour.ts';
import type { RowName } from './replicated-rows.ts';
import { changesBytesMax, unacknowledgedMax } from './replication-config.ts';

/** What a neighbour, or this site, has of an origin, as its Hello says. */
export type Cursors = ReadonlyMap<string, Pick<OriginState, 'sequence' | 'messageSerial'>>;

/** What sending to one neighbour needs. */
export interface OutgoingChangesNeeds {
  readonly log: ChangeLog;
  readonly messages: MessageLog;
  readonly neighbour: Neighbour;
  /** What it has. */
  readonly theirs: Cursors;
  /** What this site told it that it has of the neighbour's own changes. */
  readonly refillUntil: number;
  /** Whether it has given back all it had of this site's own changes. */
  readonly isRefilled: () => boolean;
  readonly messageCountMax: number;
}

/** Where the neighbour stands with one origin. */
interface Position {
  /** By its own word. */
  acknowledged: number;
  /** Looked at; what was for it is acknowledged or on its way. */
  scanned: number;
  /** The last number on its way. */
  sent: number | undefined;
  /** What was sent was not taken: nothing more is sent for a while. */
  isHeld?: boolean;
}

/**
 * What is to be sent to one neighbour next, on one stream: of each origin one message at a time, a few
 * of all. Reads the log when there is something in it that the neighbour has not; what is not for the
 * neighbour is passed over, and told with the next row, or by `nextAdvance`.
 */
export class OutgoingChanges {
  readonly #needs: OutgoingChangesNeeds;
  readonly #positions = new Map<string, Position>();
  readonly #serials = new Map<string, { acknowledged: number; sent: number | undefined }>();
  /** Origins of which there may be something to send: not all are looked at for each change. */
  readonly #dirty = new Set<string>();
  /** Origins that wait for something of another one. */
  readonly #blocked = new Set<string>();
  #copy: FullCopySender | undefined;
  #isDeciding = false;

  constructor(needs: OutgoingChangesNeeds) {
    this.#needs = needs;
    this.noteAll();
  }

  /** There may be more of an origin. */
  noteChanged(origin: string): void {
    this.#dirty.add(origin);
    for (const blocked of this.#blocked) this.#dirty.add(blocked);
    this.#blocked.clear();
  }

  /** There may be more of any origin, such as when the hierarchy has changed. */
  noteAll(): void {
    for (const origin of this.#needs.log.origins()) this.noteChanged(origin);
  }

  /** The number up to which it has an origin's changes, by its own word. */
  acknowledgedOf(origin: string): number {
    return this.#position(origin).acknowledged;
  }

  /** What it has of each origin, by its own word. */
  acknowledged(): Record<string, number> {
    const entries = [...this.#positions].map(([origin, { acknowledged }]) => [
      origin,
      acknowledged,
    ]);
    return Object.fromEntries(entries);
  }

  /** The next message; undefined when there is none, or enough are on their way. */
  async next(): Promise<ReplicationMessage | undefined> {
    this.#isDeciding = true;
    try {
      return await this.#next();
    } finally {
      this.#isDeciding = false;
    }
  }

  /** A message that says only that there was nothing for the neighbour; at leisure. */
  nextAdvance(): ReplicationMessage | undefined {
    // Of an origin that is just being read, a message may be about to go.
    const isBusy = this.#copy !== undefined || this.#isDeciding;
    if (isBusy || this.#onTheWay >= unacknowledgedMax) return undefined;
    for (const [origin, position] of this.#positions) {
      const { acknowledged, scanned, sent } = position;
      if (sent !== undefined || scanned <= acknowledged || !this.#isSent(origin)) continue;
      position.sent = scanned;
      return toMessage(origin, { after: acknowledged, through: scanned, rows: [] });
    }
    return undefined;
  }

  /** The neighbour has something on disk. @throws MESSAGE_INVALID when that was not sent */
  took(cursor: ReplicationCursor__Output): void {
    const { originSiteCode: origin } = cursor;
    const serial = requireCount('message_serial', cursor.messageSerial);
    const sequence = requireCount('sequence', cursor.sequence);
    const isMessage = serial > 0;
    this.noteChanged(origin);
    if (!isMessage && this.#copy) {
      this.#tookOfCopy(this.#copy, origin, sequence);
      return;
    }
    const position = isMessage ? this.#serials.get(origin) : this.#positions.get(origin);
    const acknowledged = isMessage ? serial : sequence;
    if (!isMessage && this.#isNotTaken(origin, sequence)) return;
    if (position?.sent !== acknowledged) {
      throw invalid('cursor', `${origin} ${position?.sent}`, `${origin} ${acknowledged}`);
    }
    position.acknowledged = acknowledged;
    position.sent = undefined;
  }

  /** Sends again what was not taken. */
  retryHeld(): void {
    for (const position of this.#positions.values()) position.isHeld = false;
    this.noteAll();
  }

  /** Whether the answer says that the neighbour stands where it stood; then the origin is held. */
  #isNotTaken(origin: string, sequence: number): boolean {
    const position = this.#positions.get(origin);
    if (position?.sent === undefined || position.sent === sequence) return false;
    if (position.acknowledged !== sequence) return false;
    position.scanned = sequence;
    position.sent = undefined;
    position.isHeld = true;
    return true;
  }

  async #next(): Promise<ReplicationMessage | undefined> {
    if (this.#copy) return this.#nextOfCopy(this.#copy);
    for (const origin of this.#dirty) {
      if (this.#onTheWay >= unacknowledgedMax) return undefined;
      // Before it is looked at: what is written meanwhile is not missed.
      this.#dirty.delete(origin);
      const message = (await this.#nextOf(origin)) ?? (await this.#nextMessages(origin));
      if (message) {
        this.#dirty.add(origin);
        return message;
      }
      if (this.#copy) return this.#nextOfCopy(this.#copy);
    }
    return undefined;
  }

  get #onTheWay(): number {
    let count = this.#copy?.isWaiting ? 1 : 0;
    for (const { sent } of this.#positions.values()) if (sent !== undefined) count += 1;
    for (const { sent } of this.#serials.values()) if (sent !== undefined) count += 1;
    return count;
  }

  async #nextOf(origin: string): Promise<ReplicationMessage | undefined> {
    const { log, neighbour } = this.#needs;
    if (!this.#isSent(origin)) return undefined;
    const position = this.#position(origin);
    const isWaiting = position.sent !== undefined || position.isHeld === true;
    if (isWaiting || position.scanned >= this.#headOf(origin)) return undefined;
    if (!(await this.#isAnnounced(origin))) return this.#block(origin);
    const isRefill = origin === neighbour.siteCode;
    const isBehind = () => !isRefill && log.originState(origin).floor > position.acknowledged;
    const part = isBehind() ? undefined : await this.#read(origin, position.scanned);
    // A sweep may have passed while this read.
    if (!part || isBehind()) {
      this.#beginCopy();
      return this.#block(origin);
    }
    position.scanned = part.through;
    if (part.rows.length === 0 && !isRefill) return part.isLast ? undefined : this.#nextOf(origin);
    position.sent = part.through;
    return toMessage(origin, { after: position.acknowledged, ...part });
  }

  async #read(origin: string, after: number): Promise<LogPart> {
    const { log, neighbour } = this.#needs;
    const isRefill = origin === neighbour.siteCode;
    const until = isRefill ? this.#headOf(origin) : await log.syncedHeadOf(origin);
    const isWanted = (name: RowName) => neighbour.isFor(name, origin);
    return log.reader.read({ origin, after, until, bytesMax: changesBytesMax, isWanted });
  }

  async #nextMessages(origin: string): Promise<ReplicationMessage | undefined> {
    const { messages, neighbour, log, messageCountMax } = this.#needs;
    const isUp = neighbour.isParent && !neighbour.isOnItsSide(origin);
    if (!isUp || !(origin === log.capture.siteCode || this.#isSent(origin))) return undefined;
    const position = this.#serial(origin);
    if (position.sent !== undefined || messages.headOf(origin) <= position.acknowledged) {
      return undefined;
    }
    if (!(await this.#isAnnounced(origin))) return this.#block(origin);
    const limits = { countMax: messageCountMax, bytesMax: changesBytesMax };
    const part = await messages.read(origin, position.acknowledged, limits);
    position.sent = part.through;
    const { after, through } = part;
    return {
      messages: { originSiteCode: origin, after, through, messages: [...part.messages] },
    };
  }

  #block(origin: string): undefined {
    this.#blocked.add(origin);
  }

  /** Whether an origin's changes go to this neighbour. */
  #isSent(origin: string): boolean {
    const { log, neighbour, isRefilled } = this.#needs;
    // Numbers of a new life may follow only what there was of those before.
    if (origin === log.capture.siteCode) return isRefilled();
    return origin === neighbour.siteCode || !neighbour.isOnItsSide(origin);
  }

  #headOf(origin: string): number {
    const { log, neighbour, refillUntil } = this.#needs;
    return origin === neighbour.siteCode ? refillUntil : log.headOf(origin);
  }

  /** A parent takes changes of sites it knows: first the row that makes a site known must be there. */
  async #isAnnounced(origin: string): Promise<boolean> {
    const { log, neighbour } = this.#needs;
    const { siteCode } = log.capture;
    if (!neighbour.isParent || origin === siteCode || origin === neighbour.siteCode) return true;
    const [version] = await log.versionsOf([`sites/${origin}`]);
    if (!version || version.isDeleted) return false;
    const by = version.changedAt.siteCode;
    return neighbour.isOnItsSide(by) || this.#position(by).acknowledged >= version.sequence;
  }

  #beginCopy(): void {
    const { log, neighbour } = this.#needs;
    const origins = log.origins();
    const isTheirs = (origin: string) => neighbour.isOnItsSide(origin);
    const theirs = origins.filter(isTheirs);
    const ours = origins.filter((origin) => !theirs.includes(origin));
    const isReady = ours.every(
      (origin) => this.#isSent(origin) && log.headOf(origin) >= this.#position(origin).acknowledged,
    );
    // What this site has to learn first, it would have the neighbour forget.
    if (!isReady || this.#onTheWay > 0) return;
    const isBehind = (origin: string) =>
      log.originState(origin).floor > this.#position(origin).acknowledged;
    this.#copy = new FullCopySender({ log, neighbour }, { theirs, ours, isTheirs, isBehind });
  }

  async #nextOfCopy(copy: FullCopySender): Promise<ReplicationMessage | undefined> {
    const part = await copy.next();
    return part && toMessage(part.origin, part);
  }

  #tookOfCopy(copy: FullCopySender, origin: string, sequence: number): void {
    const isEnded = copy.took(origin, sequence);
    if (isEnded && !this.#needs.neighbour.isOnItsSide(origin)) {
      const acknowledged = Math.max(sequence, this.#position(origin).acknowledged);
      this.#positions.set(origin, { acknowledged, scanned: acknowledged, sent: undefined });
    }
    if (copy.isOver) this.stop();
  }

  /** The stream, or the full copy on it, is over. */
  stop(): void {
    this.#copy?.stop();
    this.#copy = undefined;
    this.noteAll();
  }

  #position(origin: string): Position {
    const known = this.#positions.get(origin);
    if (known) return known;
    const acknowledged = this.#needs.theirs.get(origin)?.sequence ?? 0;
    const position = { acknowledged, scanned: acknowledged, sent: undefined };
    this.#positions.set(origin, position);
    return position;
  }

  #serial(origin: string) {
    const known = this.#serials.get(origin);
    if (known) return known;
    const acknowledged = this.#needs.theirs.get(origin)?.messageSerial ?? 0;
    const position = { acknowledged, sent: undefined };
    this.#serials.set(origin, position);
    return position;
  }
}

interface SentPart {
  readonly after: number;
  readonly through: number;
  readonly rows: readonly LoggedRow[];
  readonly isFullCopy?: boolean;
  readonly isFullCopyEnd?: boolean;
}

function toMessage(origin: string, part: SentPart): ReplicationMessage {
  const { after, through, isFullCopy = false, isFullCopyEnd = false } = part;
  return {
    changes: {
      ...{ originSiteCode: origin, after, through, rows: part.rows.map(toRow) },
      ...{ fullCopy: isFullCopy, fullCopyEnds: isFullCopyEnd },
    },
  };
}

function toRow({ name, version, json }: LoggedRow): ReplicatedRow {
  const { changedAt, sequence, isDeleted: deleted, isRenumbered: renumbered = false } = version;
  return { ...name, value: json, deleted, changedAt, sequence, renumbered };
}
