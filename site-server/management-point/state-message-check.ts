import { parseHash } from '../../shared/domain/content.ts';
import type { ErrorDetails } from '../../shared/domain/errors.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import { fromIdentityUri } from '../../shared/domain/peer-identity.ts';
import {
  type PullState,
  pullTopicType,
  type StateMessage,
} from '../../shared/domain/state-message.ts';
import { invalidMessage } from '../../shared/package-info/package-version.ts';
import { fromErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { StateMessage__Output } from '../../shared/rpc/generated/waybill/v1/StateMessage.ts';

const states: Readonly<Record<string, PullState>> = {
  PULL_STATE_SUCCESS: 'success',
  PULL_STATE_WARNING: 'warning',
  PULL_STATE_FAILURE: 'failure',
  PULL_STATE_STARTED: 'started',
  PULL_STATE_PROGRESS: 'progress',
  PULL_STATE_DOWNLOADED: 'downloaded',
  PULL_STATE_CANCELLED: 'cancelled',
};

/**
 * A state message as it came, checked field by field; that its sender may speak of the job is for
 * others to see.
 *
 * @throws MESSAGE_INVALID
 */
export function requireStateMessage(message: StateMessage__Output): StateMessage {
  const { dpId, topicType } = message;
  if (topicType !== pullTopicType) {
    throw invalidMessage('topic_type', `${pullTopicType}`, `${topicType}`);
  }
  const packageId = parsePackageId(message.packageId);
  if (packageId === undefined) {
    throw invalidMessage('package_id', 'a package ID such as PS100001', message.packageId);
  }
  const state = requireState(message.state);
  const bytes = requireBytes(message);
  const error = errorOf(message, state);
  return {
    dpId,
    packageId,
    state,
    jobSerial: requireCount('job_serial', message.jobSerial, 1),
    sourceVersion: requireCount('source_version', message.sourceVersion, 1),
    place: {
      outboxMadeAtMs: requireCount('outbox_made_at_ms', message.outboxMadeAtMs),
      serial: requireCount('serial', message.serial),
    },
    percent: requirePercent(message.percent),
    ...bytes,
    packageHash: state === 'success' ? requirePackageHash(message.packageHash) : '',
    ...(error && { error }),
    source: requireSource(message.source),
    timeMs: requireCount('time_ms', message.timeMs),
  };
}

function requireState(name: string): PullState {
  const state = Object.hasOwn(states, name) ? states[name] : undefined;
  if (state) return state;
  // A number no proto of ours knows comes as it is, whatever the type says.
  throw invalidMessage('state', Object.keys(states).join(', '), String(name));
}

function requireBytes(message: StateMessage__Output) {
  const doneBytes = requireCount('done_bytes', message.doneBytes);
  const totalBytes = requireCount('total_bytes', message.totalBytes);
  if (doneBytes > totalBytes) {
    throw invalidMessage('done_bytes', 'not more than total_bytes', `${doneBytes}`);
  }
  const receivedBytes = requireCount('received_bytes', message.receivedBytes);
  return { doneBytes, totalBytes, receivedBytes };
}

function requirePercent(percent: number): number {
  if (percent <= 100) return percent;
  throw invalidMessage('percent', '0 to 100', `${percent}`);
}

function requirePackageHash(bytes: Uint8Array): string {
  const hash = parseHash(Buffer.from(bytes).toString('hex'));
  if (hash !== undefined) return hash;
  throw invalidMessage('package_hash', '32 bytes', `${bytes.length} bytes`);
}

function requireSource(uri: string): string {
  if (uri === '' || fromIdentityUri(uri)) return uri;
  throw invalidMessage('source', 'the identity of a source, or nothing', uri);
}

/** An agent that is newer may know errors that are not known here: they are told as its failure. */
function errorOf(
  { error, dpId }: StateMessage__Output,
  state: PullState,
): ErrorDetails | undefined {
  if (state !== 'warning' && state !== 'failure') return undefined;
  if (!error) throw invalidMessage('error', 'an error, with a warning or failure', 'nothing');
  const known = fromErrorDetail(error);
  if (known) return known.details;
  const reason = 'its agent told of an error that this site does not know';
  return { code: 'PEER_FAILED', peer: `distribution point ${dpId}`, reason };
}

function requireCount(field: string, value: string | number, min = 0): number {
  const count = Number(value);
  if (Number.isSafeInteger(count) && count >= min) return count;
  throw invalidMessage(field, `${min} to ${Number.MAX_SAFE_INTEGER}`, String(value));
}
