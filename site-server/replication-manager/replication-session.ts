import type { RowVersion } from '../../shared/domain/change-log.ts';
import { type ErrorCode, isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import { fromErrorDetail, toErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { ReplicationApplied__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationApplied.ts';
import type { ReplicationChanges__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationChanges.ts';
import type {
  ReplicationMessage,
  ReplicationMessage__Output,
} from '../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import { AbortError, throwIfAborted, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { WakeSignal } from '../../shared/runtime/wake-signal.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { Sender } from './apply-rule.ts';
import type { ChangeApplier } from './change-applier.ts';
import { invalid, requireCount } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import { FullCopyReceiver } from './full-copy-receiver.ts';
import type { NeighbourHello } from './hello.ts';
import type { MessageLog } from './message-log.ts';
import type { Neighbour } from './neighbour.ts';
import { OutgoingChanges } from './outgoing-changes.ts';
import { keptRow, type OwnedRow, ownedRowProblem, raisedRow } from './owned-row-authority.ts';
import {
  claimedNumberMax,
  heldMs,
  type ReplicationConfig,
  refillMs,
} from './replication-config.ts';
import type { ReplicationLink } from './replication-link.ts';
import { siteRowProblem } from './site-row-authority.ts';

/** Acknowledgements a neighbour may leave unread; of our own kind none sends so much without them. */
const answersWaitingMax = 64;

/** What may stand against the changes of one origin, and not of others. */
const heldCodes = [
  ...(['CLOCK_AHEAD', 'REPLICATION_ROW_REFUSED', 'REPLICATION_ORIGIN_REFUSED'] as const),
] satisfies ErrorCode[];

/** What a session needs of its site. */
export interface SessionComponents {
  readonly store: StateStore;
  readonly log: ChangeLog;
  readonly applier: ChangeApplier;
  readonly messages: MessageLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Whom a session is with. */
export interface SessionPeer {
  readonly link: ReplicationLink;
  readonly neighbour: Neighbour;
  readonly theirs: NeighbourHello;
  /** What this site said that it has of its own changes, and of the neighbour's. */
  readonly said: { readonly ownSequence: number; readonly theirSequence: number };
  /** Something was heard. */
  readonly onHeard: () => void;
  /** Changes of one origin were not taken, here or there; the stream goes on. */
  readonly onHeld: (error: WaybillError) => Promise<void>;
  /** What stands about it: why something is not taken, or nothing any more. */
  readonly onReason: (reason: string) => void;
  /** A row was not taken: this site's was said anew, or there was no room for it. */
  readonly onOverruled: (error: WaybillError) => void;
  /**
   * It knows later changes of this site than this site. @param isTrusted all of it is taken back.
   * @returns whether it is believed
   */
  readonly onForgotten: (isTrusted: boolean) => Promise<boolean>;
}

/** A failure of what a neighbour sent, found here. */
export class Refusal extends Error {
  readonly error: WaybillError;

  constructor(error: WaybillError) {
    super(error.message, { cause: error });
    this.name = 'Refusal';
    this.error = error;
  }
}

/**
 * One stream with a neighbour, after the Hellos; the same at both ends. Sends what the neighbour lacks
 * as soon as it is written, applies what comes, says now and then that it is alive. Ends with the
 * stream, with its signal, or with a `Refusal` of what came.
 */
export class ReplicationSession {
  readonly #components: SessionComponents;
  readonly #config: ReplicationConfig;
  readonly #peer: SessionPeer;
  readonly #wake = new WakeSignal();
  readonly #sender: Sender;
  readonly #outgoing: OutgoingChanges;
  readonly #answers: ReplicationMessage[] = [];
  #isRefilled = false;
  #sentCount = 0;
  /** What the neighbour sent is being worked on. */
  isApplying = false;
  /** Origins whose changes were not taken. */
  readonly #held = new Set<string>();
  #refusedByPeer: RefusedByPeer | undefined;
  /** What is being applied; waited for, so that the next stream begins where this one ended. */
  #applying: Promise<unknown> = Promise.resolve();

  constructor(components: SessionComponents, config: ReplicationConfig, peer: SessionPeer) {
    this.#components = components;
    this.#config = config;
    this.#peer = peer;
    const { neighbour, theirs, said } = peer;
    const { siteCode } = neighbour;
    const { isParent } = neighbour;
    this.#sender = {
      siteCode,
      isOnItsSide: (origin) => neighbour.isOnItsSide(origin),
      isBelow: !isParent,
      refilledThrough: said.ownSequence,
      refillUntil: this.#ownCursorOfTheirs.sequence,
      mayRefill: ({ table }) =>
        this.#isTrusted || (table !== 'sites' && replicatedTables[table].writer === 'any site'),
      tree: () => components.directory.tree,
      isHeardAnew: () => this.#isTrusted,
      siteRowProblem: (tree, row) => (isParent ? undefined : siteRowProblem(tree, row)),
      ownedRowProblem: (tree, row) => this.#ownedRowProblem(tree, row),
      raisedRow: (tree, row) => (isParent ? undefined : raisedRow(tree, row)),
      isUnjudged: (held) => this.#isUnjudged(held),
      keptRow: (tree, row) => (this.#isUnheard(row.held) ? keptRow(tree, row) : undefined),
      onOverruled: peer.onOverruled,
      copy: new FullCopyReceiver({
        ...components,
        ...{ neighbour: siteCode, isParent },
        ownedRowProblem: (row) => this.#ownedRowProblem(components.directory.tree, row),
      }),
    };
    this.#outgoing = new OutgoingChanges({
      ...components,
      neighbour,
      theirs: theirs.cursors,
      refillUntil: said.theirSequence,
      isRefilled: () => this.#isRefilled,
      messageCountMax: config.siteStatusMessageCountMax,
    });
  }

  /** @throws Refusal; what the link throws; AbortError */
  async run(signal: AbortSignal): Promise<void> {
    await this.#begin();
    const { log, messages } = this.#components;
    const wake = (origin: string) => {
      this.#outgoing.noteChanged(origin);
      this.#wake.wake();
    };
    const { siteCode: own } = log.capture;
    const ends = [log.onChanged(wake), messages.onWritten(() => wake(own))];
    try {
      await firstToEnd(signal, [
        (over) => this.#receiveAll(over),
        (over) => this.#sendAll(over),
        (over) => this.#stayAlive(over),
        (over) => this.#retryHeld(over),
      ]);
    } catch (error) {
      // The last word of a child that ends the stream; how it ended tells less.
      throw error instanceof Refusal ? error : (this.#refusedByPeer ?? error);
    } finally {
      for (const end of ends) end();
      this.#outgoing.stop();
      await this.#applying.catch(() => {});
      // Only for the lag to be known: a full disk must not hide how the stream ended.
      await this.#keepAcknowledged().catch(() => {});
    }
  }

  async #begin(): Promise<void> {
    const { log, messages } = this.#components;
    await this.#sender.copy.begin();
    const known = this.#ownCursorOfTheirs;
    requireClaimable('message_serial', known.messageSerial, messages.headOf(log.capture.siteCode));
    const isNew = known.sequence > log.capture.lastSequence;
    const { ownSequence } = this.#peer.said;
    if (log.capture.hasForgotten(known.sequence) && (isNew || ownSequence > 0)) {
      requireClaimable('sequence', known.sequence, log.capture.lastSequence);
      const isBelieved = await this.#peer.onForgotten(this.#isTrusted);
      if (!isBelieved)
        throw new Refusal(tooHigh('sequence', log.capture.lastSequence, known.sequence));
      await log.beginAnew(known.sequence);
      // What this site said of its own changes is not so: the next Hello asks for them.
      if (ownSequence > 0) throw new AbortError('this site has forgotten changes of its own');
    }
    const { isParent, siteCode } = this.#peer.neighbour;
    if (isParent) await messages.raiseAbove(known.messageSerial);
    this.#noteHeard(known.sequence, this.#peer.theirs.cursors.get(siteCode)?.sequence ?? 0);
    await this.#noteRefill();
  }

  /**
   * Whether this site's own rows are taken back from the neighbour, whoever may write them. From a site
   * below only at the top, and only for a while after the store was lost: for a site below could say at
   * any time that it knows later ones. Of others, what it could write itself is taken.
   */
  get #isTrusted(): boolean {
    const { log, directory } = this.#components;
    if (this.#peer.neighbour.isParent) return true;
    return !directory.own.parent && log.capture.wasLost(refillMs);
  }

  /** Of what it remembers of this site, a site below may only say what it could write itself. */
  #ownedRowProblem(tree: SiteTree, row: OwnedRow): string | undefined {
    const { log } = this.#components;
    const { siteCode, isParent } = this.#peer.neighbour;
    const isOwn = row.origin === log.capture.siteCode;
    if (isParent || (isOwn && this.#isTrusted)) return undefined;
    return ownedRowProblem(tree, isOwn ? { ...row, origin: siteCode } : row);
  }

  /** Whether the neighbour is the parent, and has not heard of a change of this side. */
  #isUnheard({ changedAt: { siteCode: origin }, sequence }: RowVersion): boolean {
    const { neighbour } = this.#peer;
    if (!neighbour.isParent || neighbour.isOnItsSide(origin)) return false;
    return sequence > this.#outgoing.acknowledgedOf(origin);
  }

  /** Whether what is here was said before the store was lost, and the parent has not had its word about it since. */
  #isUnjudged({ changedAt: { siteCode: origin }, sequence, isRenumbered }: RowVersion): boolean {
    const { log, directory } = this.#components;
    const { parent } = directory.own;
    if (!parent || !isRenumbered || origin !== log.capture.siteCode) return false;
    return !log.parentWord.isOn(sequence, log.originState(parent.siteCode).sequence);
  }

  /** What the neighbour has of this site's own changes and messages. */
  get #ownCursorOfTheirs() {
    const { siteCode } = this.#components.log.capture;
    return this.#peer.theirs.cursors.get(siteCode) ?? { sequence: 0, messageSerial: 0 };
  }

  /** Once the neighbour has given back all it had, this site's own changes go to it. */
  async #noteRefill(): Promise<void> {
    if (this.#isRefilled) return;
    if (this.#sender.refilledThrough < this.#ownCursorOfTheirs.sequence) return;
    const { log } = this.#components;
    const { siteCode } = this.#peer.neighbour;
    const refilledLife = log.capture.life;
    const before = log.neighbourState(siteCode);
    if (before.refilledLife !== refilledLife) {
      await log.setNeighbour(siteCode, { ...before, refilledLife }, { sync: true });
    }
    this.#isRefilled = true;
    this.#outgoing.noteAll();
    this.#wake.wake();
  }

  async #receiveAll(over: AbortSignal): Promise<void> {
    for (;;) {
      const message = await this.#peer.link.receive();
      throwIfAborted(over);
      if (!message) return;
      this.#peer.onHeard();
      this.isApplying = true;
      const applying = this.#take(message).finally(() => {
        this.isApplying = false;
      });
      this.#applying = applying;
      const answer = await applying;
      throwIfAborted(over);
      this.#peer.onHeard();
      if (!answer) continue;
      // Not sent here: two sides that both wait for their answers to be read would read nothing.
      const { writtenSequence: ownSequence } = this.#components.log.capture;
      this.#answers.push({ applied: { cursor: answer, ownSequence } });
      if (this.#answers.length > answersWaitingMax) throw new Refusal(tooManyUnread());
      this.#wake.wake();
    }
  }

  /** @returns what to acknowledge. @throws Refusal */
  async #take(message: ReplicationMessage__Output) {
    try {
      return await this.#handle(message);
    } catch (error) {
      const isPassing = !(error instanceof WaybillError) || isErrorWithCode(error, 'DISK_FULL');
      throw isPassing ? error : new Refusal(error);
    }
  }

  async #handle({ message, changes, messages, applied, refused }: ReplicationMessage__Output) {
    const { applier, logger } = this.#components;
    const { siteCode } = this.#peer.neighbour;
    switch (message) {
      case 'changes': {
        if (!changes) return undefined;
        const { originSiteCode, through } = changes;
        const rowCount = await this.#apply(changes);
        if (rowCount === undefined) {
          return { originSiteCode, sequence: changes.after, messageSerial: 0 };
        }
        logger.debug({ siteCode, origin: originSiteCode, through, rowCount }, 'Applied changes');
        await this.#noteRefill();
        return { originSiteCode, sequence: through, messageSerial: 0 };
      }
      case 'messages': {
        if (!messages) return undefined;
        const { originSiteCode, through } = messages;
        await applier.applyMessages(messages, this.#sender);
        return { originSiteCode, sequence: 0, messageSerial: through };
      }
      case 'applied':
        if (applied) this.#took(applied);
        this.#wake.wake();
        return undefined;
      case 'alive':
        return undefined;
      case 'refused':
        this.#refusedByPeer = toRefusedByPeer(refused && fromErrorDetail(refused), this.#peer);
        this.#peer.onReason(this.#refusedByPeer.message);
        return undefined;
      default:
        throw invalid('message', 'changes, messages, applied or alive', `${message}`);
    }
  }

  #took({ cursor, ownSequence }: ReplicationApplied__Output): void {
    if (!cursor) return;
    this.#outgoing.took(cursor);
    if (cursor.originSiteCode !== this.#components.log.capture.siteCode) return;
    const answeredBy = requireCount('own_sequence', ownSequence);
    this.#noteHeard(requireCount('sequence', cursor.sequence), answeredBy);
  }

  /** What a parent has heard of this site's own changes, and by when it has answered. */
  #noteHeard(sequence: number, answeredBy: number): void {
    const { log } = this.#components;
    const { siteCode, isParent } = this.#peer.neighbour;
    if (!isParent) return;
    log.parentWord.note({ sequence, answeredBy }, log.originState(siteCode).sequence);
  }

  /**
   * @returns how many rows became so; undefined when this origin's changes are not taken now, which
   *   those of the others do not wait for
   */
  async #apply(changes: ReplicationChanges__Output): Promise<number | undefined> {
    const { originSiteCode, fullCopy } = changes;
    const { applier, log } = this.#components;
    try {
      const rowCount = await applier.apply(changes, this.#sender);
      if (this.#held.delete(originSiteCode) && this.#held.size === 0) this.#peer.onReason('');
      return rowCount;
    } catch (error) {
      const isOfOrigin = !fullCopy && originSiteCode !== log.capture.siteCode;
      if (!isOfOrigin || !isErrorWithCode(error, ...heldCodes)) throw error;
      const isNew = !this.#held.has(originSiteCode);
      this.#held.add(originSiteCode);
      this.#peer.onReason(error.message);
      if (isNew) await this.#peer.onHeld(error);
      this.#answers.push({ refused: toErrorDetail(error.details) });
      return undefined;
    }
  }

  async #retryHeld(over: AbortSignal): Promise<void> {
    for (;;) {
      await this.#components.clock.sleep(heldMs, over);
      if (this.#refusedByPeer) this.#peer.onReason('');
      this.#refusedByPeer = undefined;
      this.#outgoing.retryHeld();
      this.#wake.wake();
    }
  }

  async #sendAll(over: AbortSignal): Promise<void> {
    for (;;) {
      throwIfAborted(over);
      const message = this.#answers.shift() ?? (await this.#outgoing.next());
      throwIfAborted(over);
      if (message) await this.#send(message);
      else await this.#wake.wait(over);
    }
  }

  async #stayAlive(over: AbortSignal): Promise<void> {
    const { clock } = this.#components;
    for (;;) {
      const before = this.#sentCount;
      await clock.sleep(this.#config.aliveMs, over);
      this.#outgoing.noteAll();
      this.#wake.wake();
      const advance = this.#outgoing.nextAdvance();
      if (advance) await this.#send(advance);
      else if (this.#sentCount === before) await this.#send({ alive: { nowMs: clock.nowMs() } });
      await this.#keepAcknowledged();
    }
  }

  async #send(message: Parameters<ReplicationLink['send']>[0]): Promise<void> {
    this.#sentCount += 1;
    await this.#peer.link.send(message);
  }

  /** For the lag to be known while the neighbour is away. */
  async #keepAcknowledged(): Promise<void> {
    const { log } = this.#components;
    const { siteCode } = this.#peer.neighbour;
    const before = log.neighbourState(siteCode);
    const now = this.#outgoing.acknowledged();
    const isNews = Object.keys(now).some((origin) => now[origin] !== before.acknowledged[origin]);
    if (!isNews) return;
    const acknowledged = { ...before.acknowledged, ...now };
    await log.setNeighbour(siteCode, { ...before, acknowledged }, { sync: false });
  }

  /** What it has of each origin, as far as this stream knows. */
  acknowledged(): Readonly<Record<string, number>> {
    return this.#outgoing.acknowledged();
  }
}

/** @throws Refusal of a number that is new here, and leaves too few above it */
function requireClaimable(field: string, claimed: number, known: number): void {
  if (claimed <= known || claimed <= claimedNumberMax) return;
  throw new Refusal(tooHigh(field, known, claimed));
}

function tooHigh(field: string, known: number, claimed: number): WaybillError {
  return invalid(field, `at most ${known}, which this site has reached`, `${claimed}`);
}

function tooManyUnread(): WaybillError {
  return invalid('message', `at most ${answersWaitingMax} before their answers are read`, 'more');
}

function toRefusedByPeer(
  error: WaybillError | undefined | null,
  { neighbour }: SessionPeer,
): RefusedByPeer {
  const reason = error?.message ?? 'for a reason this program does not know';
  return new RefusedByPeer(`site ${neighbour.siteCode} refused what it was sent: ${reason}`);
}

/** The neighbour ended the stream for what this site sent; it has told its administrators. */
export class RefusedByPeer extends Error {}

/** Runs loops side by side until one ends, well or not; the others are aborted, not waited for. */
async function firstToEnd(
  signal: AbortSignal,
  loops: readonly ((over: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
  });
  try {
    await Promise.race([...loops.map((loop) => loop(either)), aborted]);
    throwReason(signal);
  } catch (error) {
    throwReason(signal);
    throw error;
  } finally {
    over.abort(workIsOver);
  }
}

/** Why the stream was to end tells more than what its loops met by that. */
function throwReason(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw signal.reason instanceof Error ? signal.reason : new AbortError('The stream was ended');
}
