import { randomUUID } from 'node:crypto';
import { joinKey, keySpaces } from './key-space.ts';
import type { Change, StateStore } from './state-store.ts';

/** The tables components react to. */
export type NotificationTopic =
  | 'package'
  | 'distribution-job'
  | 'transfer-result'
  /** Where a package can be fetched from; the subject is the package ID. */
  | 'content-location'
  /** A state message of a pull DP; the subject is `<dpId>,<jobSerial>`. */
  | 'pull-response'
  /** A site, its identity or a route changed; the subject is a site code. */
  | 'site'
  /** A DP of whatever site changed; the subject is the DP's name. */
  | 'hierarchy-distribution-point'
  /** A DP that another site added is known here now; the subject is the DP's name. */
  | 'distribution-point-added'
  /** A group, or what it is to have, changed; the subject is its name. */
  | 'distribution-point-group'
  /** What the hierarchy knows or wants of a package changed; the subject is the package ID. */
  | 'hierarchy-package'
  /** What a site holds of a package changed; the subject is the package ID. */
  | 'site-content'
  /** How a package of this site stands at another site; the subject is the package ID. */
  | 'site-package-status'
  /** A package is to be validated somewhere; the subject is the package ID. */
  | 'validation-request'
  /** The subject is the mini-job's ID. */
  | 'mini-job'
  /** An instruction of another site has arrived; the subject is its mini-job's ID. */
  | 'received-instruction';

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
 * is delivered again after every start. Writes the table "package notifications", of which it keeps
 * the keys in memory: whoever is woken looks often, and seldom finds much.
 */
export class ChangeNotifier {
  readonly #store: StateStore;
  readonly #pendingKeys = new Set<string>();
  /** Deleted before the table was read to its end. */
  readonly #handledEarly = new Set<string>();
  #loading: Promise<void> | undefined;
  #isLoaded = false;
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

  /** What was not handled yet when this was called, by subject: all that anybody could read by then. */
  async *pending(topic: NotificationTopic): AsyncIterable<Notification> {
    this.#loading ??= this.#load();
    await this.#loading;
    // A row can be read a moment before its write is told.
    await this.#store.settled();
    const keys = [...this.#pendingKeys].filter((key) => key.startsWith(`${topic}/`)).sort();
    for (const key of keys) yield { topic, subject: key.split('/')[1] ?? '', key };
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

  /**
   * Tells of each notification of a topic as it is written, to whoever only wants to know what others
   * handle.
   *
   * @returns ends it
   */
  onNotified(topic: NotificationTopic, listener: (subject: string) => void): () => void {
    return this.#store.onWritten((changes) => {
      for (const change of changes) {
        if (notifies(change, topic)) listener(change.key.split('/')[1] ?? '');
      }
    });
  }

  async #load(): Promise<void> {
    try {
      for await (const [key] of this.#records.list()) {
        if (!this.#handledEarly.has(key)) this.#pendingKeys.add(key);
      }
      this.#isLoaded = true;
    } catch (error) {
      // The next look reads it anew.
      this.#loading = undefined;
      throw error;
    }
    this.#handledEarly.clear();
  }

  #onWritten(changes: readonly Change[]): void {
    for (const change of changes) this.#note(change);
    for (const [topic, wakers] of this.#wakers) {
      if (changes.some((change) => notifies(change, topic))) for (const wake of wakers) wake();
    }
  }

  #note({ space, type, key }: Change): void {
    if (space !== keySpaces.packageNotifications.name) return;
    if (type === 'put') this.#pendingKeys.add(key);
    else this.#pendingKeys.delete(key);
    if (type === 'delete' && !this.#isLoaded) this.#handledEarly.add(key);
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
