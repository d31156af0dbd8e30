import { isErrorWithCode, WaybillError } from '../../shared/domain/errors.ts';
import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import { toErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { ReplicationHello__Output } from '../../shared/rpc/generated/waybill/v1/ReplicationHello.ts';
import type {
  ReplicationMessage,
  ReplicationMessage__Output,
} from '../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import { RpcChannel, type RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import { AbortError, workIsOver } from '../../shared/runtime/abort-error.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import { retryDelayMs } from '../../shared/runtime/retry-schedule.ts';
import { unlessStalled } from '../../shared/runtime/stall-watch.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { ChangeApplier, type RowRollbacks } from './change-applier.ts';
import type { ChangeCapture } from './change-capture.ts';
import { invalid, type RowChecks } from './change-check.ts';
import { ChangeLog } from './change-log.ts';
import { GoneSites } from './gone-sites.ts';
import {
  checkedChildHello,
  checkedParentHello,
  type NeighbourHello,
  ownCursor,
  ownHello,
} from './hello.ts';
import { LogSweep } from './log-sweep.ts';
import { MessageLog } from './message-log.ts';
import { isNeighbour, Neighbour } from './neighbour.ts';
import {
  type NeighbourConnection,
  type NeighbourLag,
  NeighbourStates,
} from './neighbour-states.ts';
import { defaultReplicationConfig, type ReplicationConfig } from './replication-config.ts';
import { lagOf } from './replication-lag.ts';
import { AnswerLink, orAborted, type ReplicationLink } from './replication-link.ts';
import { Refusal, ReplicationSession } from './replication-session.ts';
import { RunningStreams } from './running-streams.ts';
import { StreamEnds, silent, toEnd } from './stream-ends.ts';

type ReplicationChannel = Pick<RpcChannel<'Replication'>, 'duplex' | 'close'>;

/** What Replication Manager needs. */
export interface ReplicationManagerComponents {
  readonly store: StateStore;
  /** Opened before any component wrote to the store. */
  readonly capture: ChangeCapture;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  readonly directory: Pick<SiteDirectory, 'own' | 'tree' | 'addressesOf'>;
  readonly status: StatusReporter;
  readonly auditTrail: Pick<AuditTrail, 'record'>;
  readonly clock: Clock;
  /** A number from 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly credentials: PeerCredentials;
  /** Further checks of rows that come, by table. @default none */
  readonly checks?: RowChecks;
  /** Rows that would take something back, by table. @default none */
  readonly rollbacks?: RowRollbacks;
  /** How a channel to the parent is made. @default over the network */
  readonly openChannel?: (options: RpcChannelOptions<'Replication'>) => ReplicationChannel;
}

/** Who is at the other end of a stream, before it has said so. */
interface StreamEnd {
  readonly link: ReplicationLink;
  readonly siteCode: string;
  readonly address: string;
  readonly signal: AbortSignal;
}

/** How long a parent may take to hear why it is refused. */
const lastWordMs = 1_000;

/**
 * Keeps the replicated rows of this site and of its neighbours the same (REP-1): dials the parent and
 * keeps one stream with it, answers the streams of the children. Called by the wiring, by whoever shows
 * how sites stand (`neighbours`), and by the Sender (`onConnected`). Writes what its parts write:
 * replicated rows of other sites, and the tables of the change log. A crash leaves whole messages; the
 * next stream goes on from there.
 */
export class ReplicationManager implements Component {
  readonly #components: ReplicationManagerComponents;
  readonly #config: ReplicationConfig;
  readonly #log: ChangeLog;
  readonly #applier: ChangeApplier;
  readonly #messages: MessageLog;
  readonly #sweep: LogSweep;
  readonly #gone: GoneSites;
  readonly #states: NeighbourStates;
  readonly #streams = new RunningStreams();
  readonly #sessions = new Map<string, ReplicationSession>();
  readonly #ends: StreamEnds;
  readonly #stopping = new AbortController();
  #running: Promise<void>[] = [];
  #unsubscribe = () => {};
  /** The hierarchy as it was when streams were last ended for it. */
  #tree: SiteTree;

  private constructor(
    components: ReplicationManagerComponents,
    config: ReplicationConfig,
    log: ChangeLog,
  ) {
    this.#components = components;
    this.#config = config;
    this.#log = log;
    this.#applier = new ChangeApplier({ ...components, log }, config);
    this.#messages = new MessageLog({ ...components, log });
    this.#sweep = new LogSweep({ ...components, log }, config);
    this.#tree = components.directory.tree;
    const onForgotten = () => this.#streams.endUnless(() => false);
    this.#gone = new GoneSites({ ...components, log, onForgotten });
    this.#states = new NeighbourStates(components.clock, config.aliveMs);
    const isConnected = (siteCode: string) => this.#sessions.has(siteCode);
    this.#ends = new StreamEnds(
      { ...components, states: this.#states, isConnected },
      { retryDelayMs: config.retryDelayMs },
    );
  }

  static async open(
    components: ReplicationManagerComponents,
    config = defaultReplicationConfig,
  ): Promise<ReplicationManager> {
    const log = await ChangeLog.open(components);
    return new ReplicationManager(components, config, log);
  }

  async start(): Promise<void> {
    await this.#messages.start();
    this.#tree = this.#components.directory.tree;
    await this.#gone.start();
    this.#unsubscribe = this.#components.store.onWritten((changes) => {
      // The directory may be told after this.
      if (changes.some(({ space }) => space === keySpaces.sites.name)) {
        queueMicrotask(() => this.#endStreams());
      }
    });
    const { parent } = this.#components.directory.own;
    this.#running = [this.#sweep.run(this.#stopping.signal)];
    if (parent) this.#running.push(this.#keepDialling(parent.siteCode, parent.address));
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort();
    await Promise.all(this.#running);
    await this.#streams.ended();
    await this.#gone.stop();
    this.#messages.stop();
  }

  /** What answers the children of this site. */
  conversation(): Conversation<'Replication'> {
    return { synchronise: (requests, context) => this.#synchronise(requests, context) };
  }

  /** How replication with each neighbour stands. */
  async neighbours(): Promise<NeighbourLag[]> {
    return Promise.all(this.#neighbourCodes().map((siteCode) => this.#lagOf(siteCode)));
  }

  /** Whether each neighbour is connected; of what it lacks nothing is counted. */
  connections(): NeighbourConnection[] {
    return this.#neighbourCodes().map((siteCode) => {
      const { connected, reason } = this.#states.of(siteCode);
      return { siteCode, connected, reason };
    });
  }

  /** The parent first. */
  #neighbourCodes(): string[] {
    const { own, tree } = this.#components.directory;
    const siteCodes = tree.childrenOf(own.siteCode);
    if (own.parent) siteCodes.unshift(own.parent.siteCode);
    return siteCodes;
  }

  /** Whether the parent has given back all it had of this site's own rows, if there is one. */
  hasCaughtUp(): boolean {
    const { parent } = this.#components.directory.own;
    const { capture } = this.#log;
    return !parent || this.#log.neighbourState(parent.siteCode).refilledLife === capture.life;
  }

  /** Calls `listener` each time the stream with a neighbour has come up. @returns ends it */
  onConnected(siteCode: string, listener: () => void): () => void {
    return this.#states.onConnected(siteCode, listener);
  }

  /** Takes what is out of date out of the change log, now. */
  sweep(): Promise<void> {
    return this.#sweep.sweep();
  }

  /**
   * Ends streams with sites that are no neighbours any more, and forgets how they stood. When a site was
   * moved, all of them: what was said in their Hellos was of the sides as they were.
   */
  #endStreams(): void {
    const { directory } = this.#components;
    const before = this.#tree;
    this.#tree = directory.tree;
    for (const siteCode of this.#states.siteCodes()) {
      if (!isNeighbour(siteCode, directory)) this.#states.forget(siteCode);
    }
    const isMoved = before.list().some(({ siteCode, parentSiteCode }) => {
      const now = this.#tree.get(siteCode);
      return now !== undefined && now.parentSiteCode !== parentSiteCode;
    });
    this.#streams.endUnless((siteCode) => !isMoved && isNeighbour(siteCode, directory));
  }

  async #lagOf(siteCode: string): Promise<NeighbourLag> {
    const { clock, directory } = this.#components;
    const neighbour = new Neighbour(siteCode, directory);
    const acknowledged = {
      ...this.#log.neighbourState(siteCode).acknowledged,
      ...this.#sessions.get(siteCode)?.acknowledged(),
    };
    const { connected, reason, heardAtMs } = this.#states.of(siteCode);
    const lag = await lagOf(this.#log, { neighbour, acknowledged, nowMs: clock.nowMs() });
    return { siteCode, connected, reason, ...lag, heardAtMs };
  }

  async *#synchronise(
    requests: AsyncIterable<ReplicationMessage__Output>,
    { caller, signal }: CallContext,
  ): AsyncGenerator<ReplicationMessage> {
    const { identity, address } = caller;
    if (identity.kind !== 'site') throw new Error('The call policy let somebody else in');
    const { siteCode } = identity;
    const link = new AnswerLink(requests);
    const over = new AbortController();
    const signals = AbortSignal.any([signal, over.signal, this.#stopping.signal]);
    const running = this.#answer({ link, siteCode, address, signal: signals }).then(
      () => link.end(),
      (error: unknown) => link.end(toEnd(error)),
    );
    try {
      yield* link.answers();
    } finally {
      over.abort();
      link.end();
      await running;
    }
  }

  /** One stream of a child, from its Hello on. */
  async #answer(end: StreamEnd): Promise<void> {
    await this.#guarded(end, async (signal, onHeard) => {
      const { siteCode } = end;
      const { directory } = this.#components;
      const theirs = await this.#theirHello(end, signal, (hello) =>
        checkedChildHello(hello, siteCode, directory),
      );
      const held = this.#states.heldRefusal(siteCode);
      if (held !== undefined) throw held;
      await this.#streams.alone(siteCode, signal, async (alone) => {
        await this.#askNewcomer(siteCode);
        const said = await this.#sayHello(end, alone);
        await this.#converse({ ...end, signal: alone }, { theirs, said, onHeard });
      });
    });
  }

  /** Of a site that was elsewhere, not all came here that is to be here now (REP-8). */
  async #askNewcomer(siteCode: string): Promise<void> {
    if (this.#log.neighbours().includes(siteCode)) return;
    const { tree } = this.#components.directory;
    const origins = this.#log.origins().filter((origin) => tree.isUnder(origin, siteCode));
    await this.#log.askAnew(origins);
  }

  /** Dials the parent for ever: at once after a stream that was well, else less and less often. */
  async #keepDialling(siteCode: string, configured: string): Promise<void> {
    const { clock, directory, random } = this.#components;
    const { signal } = this.#stopping;
    const { retryDelayMs: firstMs, retryDelayMsMax: capMs } = this.#config;
    let tryCount = 0;
    while (!signal.aborted) {
      // A route that leads nowhere must not part a site from whoever could correct it.
      const addresses = new Set([...directory.addressesOf(siteCode), configured]);
      const address = [...addresses][tryCount % addresses.size] ?? configured;
      const wasWell = await this.#dial(siteCode, address);
      tryCount = wasWell ? 0 : tryCount + 1;
      if (wasWell) continue;
      const waitMs = retryDelayMs({ tryCount, firstMs, capMs, random });
      await clock.sleep(waitMs, signal).catch(() => {});
    }
  }

  /** @returns whether the stream lasted, and nothing was refused */
  async #dial(siteCode: string, address: string): Promise<boolean> {
    const { credentials, openChannel = (options) => new RpcChannel(options) } = this.#components;
    const channel = openChannel({
      conversation: 'Replication',
      address,
      expected: (peer) => peer.kind === 'site' && peer.siteCode === siteCode,
      expectedText: `site ${siteCode}`,
      credentials,
    });
    const startedMs = this.#components.clock.monotonicMs();
    const { signal } = this.#stopping;
    try {
      await this.#call(channel, { siteCode, address, signal });
      return this.#components.clock.monotonicMs() - startedMs >= this.#config.aliveMs;
    } catch (error) {
      const isOurs = error instanceof Refusal;
      if (isOurs) this.#ends.audit(siteCode, address, error.error);
      const isLost = isErrorWithCode(error, 'PEER_UNREACHABLE', 'DEADLINE_EXCEEDED');
      const lastedMs = this.#components.clock.monotonicMs() - startedMs;
      return isLost && lastedMs >= this.#config.aliveMs && this.#states.of(siteCode).heardAtMs > 0;
    } finally {
      channel.close();
    }
  }

  async #call(channel: ReplicationChannel, end: Omit<StreamEnd, 'link'>): Promise<void> {
    const call = channel.duplex('synchronise', {});
    const link: ReplicationLink = {
      send: (message) => call.write(message),
      receive: () => call.read(),
    };
    try {
      await this.#guarded({ ...end, link }, async (signal, onHeard) => {
        const { siteCode } = end;
        const { directory } = this.#components;
        await this.#streams.alone(siteCode, signal, async (alone) => {
          const said = await this.#sayHello({ link, siteCode }, alone);
          const theirs = await this.#theirHello({ ...end, link }, alone, (hello) =>
            checkedParentHello(hello, directory),
          );
          await this.#converse({ ...end, link, signal: alone }, { theirs, said, onHeard });
        });
      });
      call.end();
    } catch (error) {
      if (error instanceof Refusal) await this.#sayRefused(link, error.error);
      throw error;
    } finally {
      call.cancel();
    }
  }

  /** The parent hears why, if it still listens: it ends the stream then. */
  async #sayRefused(link: ReplicationLink, error: WaybillError): Promise<void> {
    const over = new AbortController();
    const untilEnd = async () => {
      await link.send({ refused: toErrorDetail(error.details) });
      while (await link.receive());
    };
    const tooLong = this.#components.clock.sleep(lastWordMs, over.signal).catch(() => {});
    await Promise.race([untilEnd().catch(() => {}), tooLong]);
    over.abort(workIsOver);
  }

  /** Runs one stream, ends it when nothing is heard any more, and notes how it ended. */
  async #guarded(
    { siteCode, address, signal }: StreamEnd | Omit<StreamEnd, 'link'>,
    work: (signal: AbortSignal, onHeard: () => void) => Promise<void>,
  ): Promise<void> {
    let heardCount = 0;
    const onHeard = () => {
      heardCount += 1;
      this.#states.heard(siteCode);
    };
    const { stallMs } = this.#config;
    try {
      await unlessStalled((watched) => work(watched, onHeard), {
        signal,
        stallMs,
        sleep: (ms, over) => this.#components.clock.sleep(ms, over),
        progressCount: () => {
          // What takes long here is no silence of the other side.
          if (this.#sessions.get(siteCode)?.isApplying) heardCount += 1;
          return heardCount;
        },
        toFailure: () => silent(siteCode, address, stallMs),
      });
      await this.#ends.note(siteCode, new AbortError('the other side ended the stream'));
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
    if (!message) throw new AbortError('the other side ended the stream');
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
    const { clock, directory } = this.#components;
    const neighbour = this.#log.neighbourState(siteCode);
    const said = {
      ownSequence: ownCursor(this.#log, neighbour),
      theirSequence: this.#log.headOf(siteCode),
    };
    const needs = { directory, log: this.#log, messages: this.#messages, nowMs: clock.nowMs() };
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
    const neighbour = new Neighbour(siteCode, this.#components.directory);
    const components = { ...this.#components, log: this.#log, applier: this.#applier };
    const session = new ReplicationSession(
      { ...components, messages: this.#messages },
      this.#config,
      {
        ...{ link, neighbour, theirs, said, onHeard },
        onHeld: (error) => this.#ends.noteNotTaken(siteCode, address, error),
        onReason: (reason) => this.#states.refused(siteCode, reason),
        onOverruled: (error) => void this.#ends.noteNotTaken(siteCode, address, error),
        onForgotten: (isTrusted) => this.#ends.noteForgotten(siteCode, address, isTrusted),
      },
    );
    this.#sessions.set(siteCode, session);
    this.#components.logger.info({ siteCode, address }, 'Replication connected');
    this.#states.connected(siteCode);
    try {
      await session.run(signal);
    } finally {
      this.#sessions.delete(siteCode);
    }
  }
}
