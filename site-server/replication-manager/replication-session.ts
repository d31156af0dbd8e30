import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import { fromErrorDetail } from '../../shared/rpc/error-detail.ts';
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
import type { ChangeApplier, Sender } from './change-applier.ts';
import { invalid, isNumberOfNow } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import { FullCopyReceiver } from './full-copy-receiver.ts';
import type { NeighbourHello } from './hello.ts';
import type { MessageLog } from './message-log.ts';
import type { Neighbour } from './neighbour.ts';
import { OutgoingChanges } from './outgoing-changes.ts';
import type { ReplicationConfig } from './replication-config.ts';
import type { ReplicationLink } from './replication-link.ts';

/** Acknowledgements a neighbour may leave unread; of our own kind none sends so much without them. */
const answersWaitingMax = 64;

/** What a session needs of its site. */
export interface SessionComponents {
  readonly store: StateStore;
  readonly log: ChangeLog;
  readonly applier: ChangeApplier;
  readonly messages: MessageLog;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
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
  /** What is being applied; waited for, so that the next stream begins where this one ended. */
  #applying: Promise<unknown> = Promise.resolve();

  constructor(components: SessionComponents, config: ReplicationConfig, peer: SessionPeer) {
    this.#components = components;
    this.#config = config;
    this.#peer = peer;
    const { neighbour, theirs, said } = peer;
    const { siteCode } = neighbour;
    this.#sender = {
      siteCode,
      isOnItsSide: (origin) => neighbour.isOnItsSide(origin),
      isBelow: !neighbour.isParent,
      refilledThrough: said.ownSequence,
      refillUntil: this.#ownCursorOfTheirs.sequence,
      copy: new FullCopyReceiver({ ...components, neighbour: siteCode }),
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
    const wake = () => this.#wake.wake();
    const ends = [log.onChanged(wake), messages.onWritten(wake)];
    try {
      await firstToEnd(signal, [
        (over) => this.#receiveAll(over),
        (over) => this.#sendAll(over),
        (over) => this.#stayAlive(over),
      ]);
    } finally {
      for (const end of ends) end();
      await this.#applying.catch(() => {});
      // Only for the lag to be known: a full disk must not hide how the stream ended.
      await this.#keepAcknowledged().catch(() => {});
    }
  }

  async #begin(): Promise<void> {
    const { log, messages } = this.#components;
    await this.#sender.copy.begin();
    const known = this.#ownCursorOfTheirs;
    this.#requireOfNow(known.sequence, log.capture.lastSequence);
    this.#requireOfNow(known.messageSerial, messages.headOf(log.capture.siteCode));
    const isNew = known.sequence > log.capture.lastSequence;
    const { ownSequence } = this.#peer.said;
    if (log.capture.hasForgotten(known.sequence) && (isNew || ownSequence > 0)) {
      await log.beginAnew(known.sequence);
      // What this site said of its own changes is not so: the next Hello asks for them.
      if (ownSequence > 0) throw new AbortError('this site has forgotten changes of its own');
    }
    if (this.#peer.neighbour.isParent) await messages.raiseAbove(known.messageSerial);
    await this.#noteRefill();
  }

  /** This site's own numbers will go on above what a neighbour knows, so that must be possible. */
  #requireOfNow(known: number, newest: number): void {
    const { clock, siteCode } = this.#components.log.capture;
    if (known <= newest || isNumberOfNow(known, clock)) return;
    throw new Refusal(invalid('cursors', `at most ${newest} of ${siteCode}`, `${known}`));
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
    this.#wake.wake();
  }

  async #receiveAll(over: AbortSignal): Promise<void> {
    for (;;) {
      const message = await this.#peer.link.receive();
      throwIfAborted(over);
      if (!message) return;
      this.#peer.onHeard();
      const applying = this.#take(message);
      this.#applying = applying;
      const answer = await applying;
      throwIfAborted(over);
      this.#peer.onHeard();
      if (!answer) continue;
      // Not sent here: two sides that both wait for their answers to be read would read nothing.
      this.#answers.push({ applied: { cursor: answer } });
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
    switch (message) {
      case 'changes': {
        if (!changes) return undefined;
        const { originSiteCode, through } = changes;
        const rowCount = await applier.apply(changes, this.#sender);
        const { siteCode } = this.#peer.neighbour;
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
        if (applied?.cursor) this.#outgoing.took(applied.cursor);
        this.#wake.wake();
        return undefined;
      case 'alive':
        return undefined;
      case 'refused':
        throw toRefusedByPeer(refused ? fromErrorDetail(refused) : undefined, this.#peer);
      default:
        throw invalid('message', 'changes, messages, applied or alive', `${message}`);
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

function tooManyUnread(): WaybillError {
  return invalid('message', `at most ${answersWaitingMax} before their answers are read`, 'more');
}

function toRefusedByPeer(error: WaybillError | undefined, { neighbour }: SessionPeer): Error {
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
