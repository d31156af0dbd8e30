import { randomUUID } from 'node:crypto';
import { joinKey, keySpaces } from './key-space.ts';
import type { Change, StateStore } from './state-store.ts';

/** The tables components react to. */
export type NotificationTopic = 'package' | 'distribution-job' | 'transfer-result';

/** That something about `subject` changed and is not handled yet. */
export interface Notification {
  readonly topic: NotificationTopic;
  /** What changed, such as a package ID. */
  readonly subject: string;
  readonly key: string;
}

/**
 * Write-and-notify (DM-1; SMSDBMON in Configuration Manager): a change and its notification are one
 * batch, so a component is told of every change, also after a crash. It handles a notification
 * idempotently and deletes it in the batch that holds the effects; until then it stays pending and
 * is delivered again after every start. Writes the table "package notifications".
 */
export class ChangeNotifier {
  readonly #store: StateStore;
  readonly #wakers = new Map<NotificationTopic, Set<() => void>>();

  constructor(needs: { store: StateStore }) {
    this.#store = needs.store;
    needs.store.onWritten((changes) => this.#onWritten(changes));
  }

  /** Put this in the batch of the change; the write wakes the topic's subscribers. */
  notification(topic: NotificationTopic, subject: string): Change {
    // Each has a key of its own: one that comes while its predecessor is handled stays pending.
    return this.#records.put(joinKey(topic, subject, randomUUID()), {});
  }

  /** What is not handled yet, by subject. */
  async *pending(topic: NotificationTopic): AsyncIterable<Notification> {
    for await (const [key] of this.#records.list({ prefix: `${topic}/` })) {
      yield { topic, subject: key.split('/')[1] ?? '', key };
    }
  }

  /** Put this in the batch that holds the effects. */
  handled(notification: Notification): Change {
    return this.#records.delete(notification.key);
  }

  /**
   * Calls `wake` soon when something is pending already, and after each write that notifies.
   *
   * @returns ends the subscription
   */
  subscribe(topic: NotificationTopic, wake: () => void): () => void {
    const wakers = this.#wakers.get(topic) ?? new Set();
    this.#wakers.set(topic, wakers.add(wake));
    // Waking for nothing costs one look; not waking would lose work. So no look is needed here.
    setImmediate(() => {
      if (wakers.has(wake)) wake();
    });
    return () => wakers.delete(wake);
  }

  #onWritten(changes: readonly Change[]): void {
    for (const [topic, wakers] of this.#wakers) {
      if (changes.some((change) => notifies(change, topic))) for (const wake of wakers) wake();
    }
  }

  get #records() {
    return this.#store.records(keySpaces.packageNotifications);
  }
}

function notifies(change: Change, topic: NotificationTopic): boolean {
  return (
    change.type === 'put' &&
    change.space === keySpaces.packageNotifications.name &&
    change.key.startsWith(`${topic}/`)
  );
}
