import { WaybillError } from '../../shared/domain/errors.ts';
import type { ReplicationHello__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationHello.ts';
import { AbortError } from '../../shared/runtime/abort-error.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import type { ChangeApplier } from './change-applier.ts';
import { invalid } from './change-check.ts';
import type { ChangeLog } from './change-log.ts';
import {
  checkedChildHello,
  checkedParentHello,
  type NeighbourHello,
  ownCursor,
  ownHello,
} from './hello.ts';
import type { MessageLog } from './message-log.ts';
import { Neighbour } from './neighbour.ts';
import type { NeighbourStates } from './neighbour-states.ts';
import type { ReplicationConfig } from './replication-config.ts';
import { orAborted, type ReplicationLink } from './replication-link.ts';
import type { ReplicationManagerComponents } from './replication-manager.ts';
import { Refusal, ReplicationSession } from './replication-session.ts';
import { RunningStreams } from './running-streams.ts';
import { endedByOther, StreamEnds, silent } from './stream-ends.ts';

/** Who is at the other end of a stream, before it has said so. */
export interface StreamEnd {
  readonly link: ReplicationLink;
  readonly siteCode: string;
  readonly address: string;
  readonly signal: AbortSignal;
}

/** What the streams need. */
export interface ReplicationStreamsNeeds extends ReplicationManagerComponents {
  readonly log: ChangeLog;
  readonly applier: ChangeApplier;
  readonly messages: MessageLog;
  readonly states: NeighbourStates;
}

/**
 * The streams that run with neighbours, one with each: from the Hello to the end, which is noted. Called
 * by whoever has a connection to one. In memory; a crash leaves whole messages.
 */
export class ReplicationStreams {
  readonly #needs: ReplicationStreamsNeeds;
  readonly #config: ReplicationConfig;
  readonly #running = new RunningStreams();
  readonly #sessions = new Map<string, ReplicationSession>();
  readonly #ends: StreamEnds;

  constructor(needs: ReplicationStreamsNeeds, config: ReplicationConfig) {
    this.#needs = needs;
    this.#config = config;
    const isConnected = (siteCode: string) => this.#sessions.has(siteCode);
    this.#ends = new StreamEnds({ ...needs, isConnected }, { retryDelayMs: config.retryDelayMs });
  }

  /** Ends the streams with all sites but these. */
  endUnless(isKept: (siteCode: string) => boolean): void {
    this.#running.endUnless(isKept);
  }

  /** Resolves when none runs any more. */
  ended(): Promise<void> {
    return this.#running.ended();
  }

  /** What a site that is connected has said it has, by origin. */
  acknowledged(siteCode: string) {
    return this.#sessions.get(siteCode)?.acknowledged();
  }

  /** Writes to the audit trail that something of this site was refused. */
  audit(siteCode: string, address: string, error: WaybillError): void {
    this.#ends.audit(siteCode, address, error);
  }

  /** One stream of a child, from its Hello on. @throws Refusal, and whatever ended it */
  async withChild(end: StreamEnd): Promise<void> {
    await this.#guarded(end, async (signal, onHeard) => {
      const { siteCode } = end;
      const { directory } = this.#needs;
      const theirs = await this.#theirHello(end, signal, (hello) =>
        checkedChildHello(hello, siteCode, directory),
      );
      const held = this.#needs.states.heldRefusal(siteCode);
      if (held !== undefined) throw held;
      await this.#running.alone(siteCode, signal, async (alone) => {
        await this.#askNewcomer(siteCode);
        const said = await this.#sayHello(end, alone);
        await this.#converse({ ...end, signal: alone }, { theirs, said, onHeard });
      });
    });
  }

  /** Of a site that was elsewhere, not all came here that is to be here now (REP-8). */
  async #askNewcomer(siteCode: string): Promise<void> {
    if (this.#needs.log.neighbours().includes(siteCode)) return;
    const { tree } = this.#needs.directory;
    const origins = this.#needs.log.origins().filter((origin) => tree.isUnder(origin, siteCode));
    await this.#needs.log.askAnew(origins);
  }

  /** One stream with the parent, from this site's Hello on. @throws Refusal, and whatever ended it */
  async withParent(end: StreamEnd): Promise<void> {
    await this.#guarded(end, async (signal, onHeard) => {
      const { siteCode } = end;
      const { directory } = this.#needs;
      await this.#running.alone(siteCode, signal, async (alone) => {
        const said = await this.#sayHello(end, alone);
        const theirs = await this.#theirHello(end, alone, (hello) =>
          checkedParentHello(hello, directory),
        );
        await this.#converse({ ...end, signal: alone }, { theirs, said, onHeard });
      });
    });
  }

  /** Runs one stream, ends it when nothing is heard any more, and notes how it ended. */
  async #guarded(
    { siteCode, address, signal }: StreamEnd,
    work: (signal: AbortSignal, onHeard: () => void) => Promise<void>,
  ): Promise<void> {
    let heardCount = 0;
    const onHeard = () => {
      heardCount += 1;
      this.#needs.states.heard(siteCode);
    };
    const { stallMs } = this.#config;
    try {
      await unlessStalled((watched) => work(watched, onHeard), {
        signal,
        stallMs,
        sleep: (ms, over) => this.#needs.clock.sleep(ms, over),
        progressCount: () => {
          // What takes long here is no silence of the other side.
          if (this.#sessions.get(siteCode)?.isApplying) heardCount += 1;
          return heardCount;
        },
        toFailure: () => silent(siteCode, address, stallMs),
      });
      await this.#ends.note(siteCode, new AbortError(endedByOther));
    } catch (error) {
      await this.#ends.note(siteCode, error);
      throw error;
    }
  }

  async #theirHello(
    { link }: Pick<StreamEnd, 'link'>,
    signal: AbortSignal,
    check: (hello: ReplicationHello__Output) => NeighbourHello,
  ): Promise<NeighbourHello> {
    const message = await orAborted(link.receive(), signal);
    if (!message) throw new AbortError(endedByOther);
    try {
      if (message.message !== 'hello' || !message.hello) {
        throw invalid('message', 'hello', `${message.message}`);
      }
      return check(message.hello);
    } catch (error) {
      throw error instanceof WaybillError ? new Refusal(error) : error;
    }
  }

  async #sayHello({ link, siteCode }: Pick<StreamEnd, 'link' | 'siteCode'>, signal: AbortSignal) {
    const { clock, directory } = this.#needs;
    const neighbour = this.#needs.log.neighbourState(siteCode);
    const said = {
      ownSequence: ownCursor(this.#needs.log, neighbour),
      theirSequence: this.#needs.log.headOf(siteCode),
    };
    const needs = {
      directory,
      log: this.#needs.log,
      messages: this.#needs.messages,
      nowMs: clock.nowMs(),
    };
    await orAborted(link.send({ hello: ownHello(needs, neighbour) }), signal);
    return said;
  }

  async #converse(
    { link, siteCode, address, signal }: StreamEnd,
    {
      theirs,
      said,
      onHeard,
    }: {
      theirs: NeighbourHello;
      said: { ownSequence: number; theirSequence: number };
      onHeard: () => void;
    },
  ): Promise<void> {
    const neighbour = new Neighbour(siteCode, this.#needs.directory);
    const components = this.#needs;
    const session = new ReplicationSession(components, this.#config, {
      ...{ link, neighbour, theirs, said, onHeard },
      onHeld: (error) => this.#ends.noteNotTaken(siteCode, address, error),
      onReason: (reason) => this.#needs.states.refused(siteCode, reason),
      onOverruled: (error) => void this.#ends.noteNotTaken(siteCode, address, error),
      onForgotten: (isTrusted) => this.#ends.noteForgotten(siteCode, address, isTrusted),
    });
    this.#sessions.set(siteCode, session);
    this.#needs.logger.info({ siteCode, address }, 'Replication connected');
    this.#needs.states.connected(siteCode);
    try {
      await session.run(signal);
    } finally {
      this.#sessions.delete(siteCode);
    }
  }
}
