import { isErrorWithCode } from '../domain/errors.ts';
import { decodeAnswer } from '../rpc/service-definitions.ts';
import { MessageAssembly } from '../transfer-arbiter/message-fragments.ts';
import { type FetchResponse, misfit } from './content-messages.ts';

/** Shortest fragment that is not the last: shorter ones only keep somebody waiting. */
const fragmentBytesMin = 1024;

/** One answer of a source, which comes at once or in fragments. */
export class AnswerAssembly {
  readonly #assembly = new MessageAssembly();
  #receivedBytes = 0;

  /** Bytes that have come in fragments. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /**
   * Takes what came next.
   *
   * @returns the answer when it is whole, unchecked; undefined when more is to come
   * @throws MESSAGE_INVALID when it is no part of an answer: no honest source sends that
   */
  add(response: FetchResponse): FetchResponse | undefined {
    const { fragment } = response;
    if (!fragment) {
      if (this.#assembly.isUnderWay) throw misfit('the next fragment', 'something else');
      return response;
    }
    const { length } = fragment.data;
    if (length < fragmentBytesMin && !fragment.last) {
      throw misfit(`fragments of ${fragmentBytesMin} bytes at least`, `${length} bytes`);
    }
    this.#receivedBytes += length;
    const whole = this.#whole(fragment);
    return whole && decoded(whole);
  }

  #whole(fragment: NonNullable<FetchResponse['fragment']>): Buffer | undefined {
    try {
      return this.#assembly.add(fragment);
    } catch (error) {
      if (!isErrorWithCode(error, 'MESSAGE_INVALID')) throw error;
      throw misfit('fragments of one message', 'something else');
    }
  }
}

function decoded(bytes: Buffer): FetchResponse {
  let answer: FetchResponse;
  try {
    answer = decodeAnswer('Content', 'fetch', bytes);
  } catch {
    throw misfit('fragments of an answer', 'something else');
  }
  if (!answer.fragment) return answer;
  throw misfit('fragments of an answer', 'fragments of a fragment');
}
