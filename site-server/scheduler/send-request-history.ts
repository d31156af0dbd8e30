import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import { serialOfSendRequest, toSendRequestId } from '../../shared/domain/send-request-moves.ts';
import { keySpaces } from '../../shared/state-store/key-space.ts';
import type { Change, StateStore } from '../../shared/state-store/state-store.ts';

/** Rows deleted at once, and rows added after which it is looked again. */
const trimBatchCount = 100;

/** The table "send request history": requests that ended, of which the oldest are cut off. */
export class SendRequestHistory {
  readonly #store: Pick<StateStore, 'records' | 'write'>;
  readonly #countMax: number;
  #addedCount = trimBatchCount;

  constructor(needs: { store: Pick<StateStore, 'records' | 'write'> }, countMax: number) {
    this.#store = needs.store;
    this.#countMax = countMax;
  }

  /** Put this in the batch that ends the request. */
  add(request: SendRequest): Change {
    this.#addedCount += 1;
    return this.#rows.put(request.requestId, request);
  }

  /** Cuts off the oldest rows, when it is time to. A full disk is no failure: a later call does it. */
  async trim(): Promise<void> {
    if (this.#addedCount < trimBatchCount) return;
    this.#addedCount = 0;
    const changes: Change[] = [];
    const lt = await this.#firstKeptKey();
    for await (const [key] of this.#rows.list({ lt, limit: trimBatchCount })) {
      changes.push(this.#rows.delete(key));
    }
    if (changes.length === trimBatchCount) this.#addedCount = trimBatchCount;
    await this.#store.write(changes, { sync: false }).catch((error) => {
      if (!isErrorWithCode(error, 'DISK_FULL')) throw error;
    });
  }

  /** Serials have gaps, so this keeps at most as many rows as the limit says. */
  async #firstKeptKey(): Promise<string> {
    for await (const [newest] of this.#rows.list({ reverse: true, limit: 1 })) {
      return toSendRequestId('', Math.max(0, serialOfSendRequest(newest) - this.#countMax + 1));
    }
    return toSendRequestId('', 0);
  }

  get #rows() {
    return this.#store.records(keySpaces.sendRequestHistory);
  }
}
