import type { SiteTree } from '../../shared/domain/site-tree.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type {
  ReplicationMessage,
  ReplicationMessage__Output,
} from '../../shared/rpc/generated/waybill/v1/ReplicationMessage.ts';
import type { PeerCredentials } from '../../shared/rpc/peer-credentials.ts';
import type { PeerTrust } from '../../shared/rpc/peer-trust.ts';
import type { RpcChannel, RpcChannelOptions } from '../../shared/rpc/rpc-channel.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { AuditTrail } from '../audit-trail/audit-trail.ts';
import type { SiteDirectory } from '../hierarchy-manager/site-directory.ts';
import type { StatusReporter } from '../status-manager/status-manager.ts';
import { ChangeApplier, type RowRollbacks, type RowRooms } from './change-applier.ts';
import type { ChangeCapture } from './change-capture.ts';
import type { RowChecks } from './change-check.ts';
import { ChangeLog } from './change-log.ts';
import { GoneSites } from './gone-sites.ts';
import { LogSweep } from './log-sweep.ts';
import { MessageLog } from './message-log.ts';
import { isNeighbour, Neighbour } from './neighbour.ts';
import {
  type NeighbourConnection,
  type NeighbourDelay,
  type NeighbourLag,
  NeighbourStates,
} from './neighbour-states.ts';
import { ParentDialler } from './parent-dialler.ts';
import { defaultReplicationConfig, type ReplicationConfig } from './replication-config.ts';
import { delayMsOf, type LagQuestion, lagOf } from './replication-lag.ts';
import { AnswerLink } from './replication-link.ts';
import { ReplicationStreams } from './replication-streams.ts';
import { toEnd } from './stream-ends.ts';

/** A channel to the parent. */
export type ReplicationChannel = Pick<RpcChannel<'Replication'>, 'duplex' | 'close'>;

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
  /** Whose certificates count. @default everybody */
  readonly trust?: PeerTrust;
  /** Further checks of rows that come, by table. @default none */
  readonly checks?: RowChecks;
  /** Rows that would take something back, by table. @default none */
  readonly rollbacks?: RowRollbacks;
  /** How much there is room for, by table. @default for all */
  readonly rooms?: RowRooms;
  /** How a channel to the parent is made. @default over the network */
  readonly openChannel?: (options: RpcChannelOptions<'Replication'>) => ReplicationChannel;
}

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
  readonly #messages: MessageLog;
  readonly #sweep: LogSweep;
  readonly #gone: GoneSites;
  readonly #states: NeighbourStates;
  readonly #streams: ReplicationStreams;
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
    this.#messages = new MessageLog({ ...components, log });
    this.#sweep = new LogSweep({ ...components, log }, config);
    this.#tree = components.directory.tree;
    const onForgotten = () => this.#streams.endUnless(() => false);
    this.#gone = new GoneSites({ ...components, log, onForgotten });
    this.#states = new NeighbourStates(components.clock, config.aliveMs);
    const applier = new ChangeApplier({ ...components, log }, config);
    const parts = { log, applier, messages: this.#messages, states: this.#states };
    this.#streams = new ReplicationStreams({ ...components, ...parts }, config);
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
    if (!parent) return;
    const needs = { ...this.#components, streams: this.#streams, states: this.#states };
    const dialler = new ParentDialler(needs, this.#config, parent);
    this.#running.push(dialler.run(this.#stopping.signal));
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

  /** Whether each neighbour is connected, and for how long it has lacked something; costs little. */
  async delays(): Promise<NeighbourDelay[]> {
    return Promise.all(
      this.connections().map(async ({ siteCode, connected }) => {
        const behindMs = await delayMsOf(this.#log, this.#lagQuestion(siteCode));
        return { siteCode, connected, behindMs };
      }),
    );
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

  /** Calls `listener` once the parent has given back all; never, when it has already. @returns ends it */
  onCaughtUp(listener: () => void): () => void {
    if (this.hasCaughtUp()) return () => {};
    const end = this.#components.store.onWritten((changes) => {
      const isOfNeighbour = changes.some(({ space }) => space === keySpaces.neighbourStates.name);
      if (!isOfNeighbour || !this.hasCaughtUp()) return;
      end();
      listener();
    });
    return end;
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
    const { connected, reason, heardAtMs } = this.#states.of(siteCode);
    const lag = await lagOf(this.#log, this.#lagQuestion(siteCode));
    return { siteCode, connected, reason, ...lag, heardAtMs };
  }

  #lagQuestion(siteCode: string): LagQuestion {
    const { clock, directory } = this.#components;
    const neighbour = new Neighbour(siteCode, directory);
    const acknowledged = {
      ...this.#log.neighbourState(siteCode).acknowledged,
      ...this.#streams.acknowledged(siteCode),
    };
    return { neighbour, acknowledged, nowMs: clock.nowMs() };
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
    const running = this.#streams.withChild({ link, siteCode, address, signal: signals }).then(
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
}
