import { invalidMessage } from '../package-info/package-version.ts';
import type { FetchRequest__Output } from '../rpc/generated/waybill/v1/FetchRequest.ts';
import { encodeAnswer } from '../rpc/service-definitions.ts';
import type { ServedCall } from './serving-gate.ts';

/** However little a caller asks for: what stands around a part on the wire counts against no limit. */
const askedBytesMin = 1024;

/**
 * An answer in the parts in which it may leave, each when it may: at once where there is no limit, and
 * the caller has none of its own. Otherwise in fragments, if the caller knows of them.
 *
 * @param requests where the caller asks for more of it
 * @throws CONTENT_WINDOW_CLOSED when it closes on the way; MESSAGE_INVALID; AbortError
 */
export async function* answerParts(
  answer: Buffer,
  { inFragments, firstBytes }: Pick<FetchRequest__Output, 'inFragments' | 'firstBytes'>,
  { call, requests }: { call: ServedCall; requests: AsyncIterator<FetchRequest__Output> },
): AsyncGenerator<Buffer> {
  if (!inFragments) {
    await call.takeAll(answer.length);
    yield answer;
    return;
  }
  let allowedBytes = firstBytes === 0 ? answer.length : Math.max(firstBytes, askedBytesMin);
  for (let offset = 0; offset < answer.length; ) {
    if (allowedBytes === 0) allowedBytes = await moreBytes(requests);
    // It has gone.
    if (allowedBytes === 0) return;
    const leftBytes = answer.length - offset;
    const partBytes = await call.takePart(Math.min(leftBytes, allowedBytes));
    yield partBytes === answer.length ? answer : fragment(answer, offset, partBytes);
    offset += partBytes;
    allowedBytes -= partBytes;
  }
}

/** How much more the caller gets, 1 KiB at least; 0 when it wants nothing any more. */
async function moreBytes(requests: AsyncIterator<FetchRequest__Output>): Promise<number> {
  const { done, value } = await requests.next();
  if (done) return 0;
  if (value.body === 'moreBytes' && value.moreBytes) {
    return Math.max(value.moreBytes, askedBytesMin);
  }
  throw invalidMessage('body', 'more bytes of the answer', value.body ?? 'nothing');
}

/** Encoded here: then its memory is not needed when the transport has it. */
function fragment(answer: Buffer, offset: number, bytes: number): Buffer {
  const end = offset + bytes;
  const part = { data: answer.subarray(offset, end), last: end === answer.length };
  return encodeAnswer('Content', 'fetch', { fragment: part });
}
