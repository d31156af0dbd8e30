import type { DistributionJob } from '../../shared/domain/distribution-job.ts';
import {
  isLater,
  type MessagePlace,
  type StateMessage,
  toPullResponse,
} from '../../shared/domain/state-message.ts';
import { KeyedTurns } from '../../shared/runtime/keyed-turns.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { ChangeNotifier } from '../../shared/state-store/change-notifier.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import type { StateStore } from '../../shared/state-store/state-store.ts';

/** What State System needs. */
export interface StateSystemComponents {
  readonly store: Pick<StateStore, 'records' | 'write'>;
  readonly notifier: Pick<ChangeNotifier, 'notification'>;
  /** The open jobs: each knows the newest message of it that was taken. */
  readonly jobs: { get(jobSerial: number): DistributionJob | undefined };
  readonly logger: Logger;
}

/**
 * Applies state messages (PULL-9): the newest of a job becomes its row of "pull DP response", with a
 * notification for Distribution Manager. Called by the management point. What was heard already, or is
 * older, changes nothing: the place of the newest stands in the row while that waits to be taken, and
 * then, from the same batch on, on the job itself until the job ends. A crash leaves a message whole,
 * or not there; then it was not answered and comes again.
 */
export class StateSystem {
  readonly #components: StateSystemComponents;
  readonly #turns = new KeyedTurns();

  constructor(components: StateSystemComponents) {
    this.#components = components;
  }

  /** The message is on disk, or was no news, when this resolves. Of a job that was checked. */
  apply(message: StateMessage): Promise<void> {
    return this.turn(message, async () => {
      const { store, notifier, jobs, logger } = this.#components;
      const { dpId, packageId, jobSerial, state } = message;
      const rows = store.records(keySpaces.pullDpResponse);
      const key = joinKey(dpId, jobSerial);
      const row = await rows.get(key);
      const taken = jobs.get(jobSerial)?.heardPlace;
      const isNews = isLater(message.place, later(row?.place, taken));
      logger.debug({ dpId, packageId, jobSerial, state, isNews }, 'State message came');
      if (!isNews) return;
      const changes = [
        rows.put(key, toPullResponse(message, row)),
        notifier.notification('pull-response', `${dpId},${jobSerial}`),
      ];
      await store.write(changes, { sync: true });
    });
  }

  /** Runs `work` while no message of the job is applied: for whoever takes its row away. */
  turn<T>(
    { dpId, jobSerial }: { readonly dpId: string; readonly jobSerial: number },
    work: () => Promise<T>,
  ): Promise<T> {
    return this.#turns.run(joinKey(dpId, jobSerial), work);
  }
}

function later(a: MessagePlace | undefined, b: MessagePlace | undefined): MessagePlace | undefined {
  return a && b ? (isLater(a, b) ? a : b) : (a ?? b);
}
