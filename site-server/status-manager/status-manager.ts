import {
  parseStatusMessageId,
  type Severity,
  type StatusMessage,
  type StatusMessageId,
  statusMessageKind,
} from '../../shared/domain/status-message.ts';
import type { Clock } from '../../shared/runtime/clock.ts';
import type { Component } from '../../shared/runtime/component.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import { SerialTable } from '../../shared/state-store/serial-table.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** What Status Manager needs. */
export interface StatusManagerComponents {
  readonly store: StateStore;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly siteCode: string;
}

/** How Status Manager is tuned. */
export interface StatusManagerConfig {
  /** Status messages kept; the oldest go first. @default 100_000 */
  readonly statusMessageCountMax: number;
}

export const defaultStatusManagerConfig: StatusManagerConfig = { statusMessageCountMax: 100_000 };

/** What happened, before it has a serial and a time. */
export interface StatusFacts {
  readonly messageId: StatusMessageId;
  readonly insertionStrings: readonly string[];
  readonly packageId?: string;
  readonly sourceVersion?: number;
  readonly dpId?: string;
}

/** Which messages are wanted; what is absent does not matter. */
export interface StatusMessageQuery {
  readonly packageId?: string;
  readonly dpId?: string;
  /** The lowest severity wanted. */
  readonly severity?: Severity;
  readonly sinceMs?: number;
  readonly messageId?: number;
  /** Of this site. */
  readonly siteCode?: string;
  /** At most so many, the newest. */
  readonly countMax: number;
}

const severityOrder: Record<Severity, number> = { information: 0, warning: 1, error: 2 };

/** A component of the site, as far as reporting goes. */
export type StatusReporter = Pick<StatusManager, 'message'>;

/**
 * Keeps status messages: what happened, as an ID of Configuration Manager with its strings (ADM-4).
 * Every component of the site asks it for the changes that record a message and puts them into the
 * batch of the very change they report, so a message is there if and only if it is true. Writes the
 * table "status messages"; a crash leaves nothing behind.
 */
export class StatusManager implements Component {
  readonly #components: StatusManagerComponents;
  readonly #messages: SerialTable<StatusMessage>;

  private constructor(components: StatusManagerComponents, messages: SerialTable<StatusMessage>) {
    this.#components = components;
    this.#messages = messages;
  }

  static async open(
    components: StatusManagerComponents,
    config = defaultStatusManagerConfig,
  ): Promise<StatusManager> {
    const messages = await SerialTable.open(
      { store: components.store, space: keySpaces.statusMessages },
      { rowCountMax: config.statusMessageCountMax },
    );
    return new StatusManager(components, messages);
  }

  async start(): Promise<void> {
    await this.#messages.start();
  }

  async stop(): Promise<void> {
    await this.#messages.stop();
  }

  /** The changes that record a message. Write them in the same turn, in the batch they report. */
  message(facts: StatusFacts): Change[] {
    const { siteCode, clock } = this.#components;
    return this.#messages.append((serial) => ({
      serial,
      messageId: facts.messageId,
      timeMs: clock.nowMs(),
      siteCode,
      insertionStrings: facts.insertionStrings,
      packageId: facts.packageId ?? '',
      sourceVersion: facts.sourceVersion ?? 0,
      dpId: facts.dpId ?? '',
    }));
  }

  /**
   * The newest messages that match, oldest of them first.
   *
   * @throws AbortError once nobody waits for them any more
   */
  query(query: StatusMessageQuery, signal?: AbortSignal): Promise<StatusMessage[]> {
    const isWanted = (message: StatusMessage) => isWantedMessage(message, query);
    return this.#messages.newest(isWanted, query.countMax, signal);
  }
}

/** Whether a message is wanted. */
export function isWantedMessage(message: StatusMessage, query: StatusMessageQuery): boolean {
  return (
    (query.packageId === undefined || message.packageId === query.packageId) &&
    (query.dpId === undefined || message.dpId === query.dpId) &&
    (query.messageId === undefined || message.messageId === query.messageId) &&
    (query.siteCode === undefined || message.siteCode === query.siteCode) &&
    message.timeMs >= (query.sinceMs ?? 0) &&
    severityOf(message) >= severityOrder[query.severity ?? 'information']
  );
}

function severityOf(message: StatusMessage): number {
  // A message of a newer program, from before a step back, is still a message.
  const messageId = parseStatusMessageId(message.messageId);
  return messageId === undefined ? 0 : severityOrder[statusMessageKind(messageId).severity];
}
