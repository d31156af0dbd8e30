import { type PullContentState, pullContentStateNumbers } from '../../shared/domain/pull-job.ts';
import {
  type PullState,
  pullTopicType,
  type StateMessage,
} from '../../shared/domain/state-message.ts';
import { toErrorDetail } from '../../shared/rpc/error-detail.ts';
import type { PullState as PullStateName } from '../../shared/rpc/generated/waybill/v1/PullState.ts';
import type { StateMessage as StateMessageWire } from '../../shared/rpc/generated/waybill/v1/StateMessage.ts';
import type { StateReport as StateReportWire } from '../../shared/rpc/generated/waybill/v1/StateReport.ts';

const pullStateNames = {
  success: 'PULL_STATE_SUCCESS',
  warning: 'PULL_STATE_WARNING',
  failure: 'PULL_STATE_FAILURE',
  started: 'PULL_STATE_STARTED',
  progress: 'PULL_STATE_PROGRESS',
  downloaded: 'PULL_STATE_DOWNLOADED',
  cancelled: 'PULL_STATE_CANCELLED',
} as const satisfies Record<PullState, PullStateName>;

/** A state message as it travels to the management point. */
export function toStateMessageWire(message: StateMessage): StateMessageWire {
  const { place, state, packageHash, error, ...rest } = message;
  return {
    ...rest,
    topicType: pullTopicType,
    outboxMadeAtMs: place.outboxMadeAtMs,
    serial: place.serial,
    state: pullStateNames[state],
    packageHash: Buffer.from(packageHash, 'hex'),
    ...(error && { error: toErrorDetail(error) }),
  };
}

/** How far a job is, or how it ended. */
export interface PullReport
  extends Pick<
    StateMessage,
    'doneBytes' | 'totalBytes' | 'receivedBytes' | 'packageHash' | 'error'
  > {
  readonly state: PullContentState;
}

/** What a site is told when it asks for a job. */
export function toStateReportWire({
  state,
  packageHash,
  error,
  ...rest
}: PullReport): StateReportWire {
  return {
    ...rest,
    // A number is as good as the name: the wire has the numbers of the domain.
    state: pullContentStateNumbers[state],
    packageHash: Buffer.from(packageHash, 'hex'),
    ...(error && { error: toErrorDetail(error) }),
  };
}
