import { throwIfAborted } from '../../shared/runtime/abort-error.ts';
import type { ChangeNotifier, Notification } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';
import type { PackageTransferManager } from '../package-transfer-manager/package-transfer-manager.ts';
import type { StateSystem } from '../state-system/state-system.ts';

/** What the taking of pull responses needs. */
export interface PullResponsesComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'pending' | 'handled'>;
  readonly stateSystem: Pick<StateSystem, 'turn'>;
  readonly transfers: Pick<PackageTransferManager, 'heard'>;
}

/**
 * Takes what State System has heard of pull DPs (PULL-9): the job and the package's status follow, in
 * the batch that deletes the row and its notification. So each message counts once, whatever crashes.
 */
export class PullResponses {
  readonly #components: PullResponsesComponents;

  constructor(components: PullResponsesComponents) {
    this.#components = components;
  }

  /**
   * Takes all responses that wait.
   *
   * @throws AbortError when the signal fires
   */
  async take(signal: AbortSignal): Promise<void> {
    for await (const notification of this.#components.notifier.pending('pull-response')) {
      throwIfAborted(signal);
      await this.#takeOne(notification);
    }
  }

  async #takeOne(notification: Notification): Promise<void> {
    const { store, notifier, stateSystem, transfers } = this.#components;
    const [dpId = '', serial = ''] = notification.subject.split(',');
    const jobSerial = Number(serial);
    await stateSystem.turn({ dpId, jobSerial }, async () => {
      const rows = store.records(keySpaces.pullDpResponse);
      const key = joinKey(dpId, jobSerial);
      const response = await rows.get(key);
      const handled = notifier.handled(notification);
      // Several messages share the row: the first of their notifications has taken it.
      if (!response) return store.write([handled], { sync: false });
      await transfers.heard(response, [rows.delete(key), handled]);
    });
  }
}
