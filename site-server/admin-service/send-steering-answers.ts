import { quoted, requestInvalid } from '../../shared/domain/request-invalid.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import type { SendRequest } from '../../shared/domain/send-request.ts';
import type { CallContext, Conversation } from '../../shared/rpc/conversation.ts';
import type { SendRequest as SendRequestMessage } from '../../shared/rpc/generated/waybill/v1/SendRequest.ts';
import type { SendSteering__Output as SteeringName } from '../../shared/rpc/generated/waybill/v1/SendSteering.ts';
import type { SteerSendRequestsRequest__Output as SteeringRequest } from '../../shared/rpc/generated/waybill/v1/SteerSendRequestsRequest.ts';
import type {
  SendSelection,
  SendSteering,
  SendSteeringVerb,
  SendTarget,
} from '../sender/send-steering.ts';
import type { AdminScopes } from './admin-scopes.ts';
import { requirePackageId, requireSiteCode } from './package-requests.ts';
import { checkedNumber } from './request-text.ts';
import { toSendRequestMessage } from './site-messages.ts';

/** What steering send requests needs. */
export interface SendSteeringAnswersComponents {
  /** None: this site sends nothing. */
  readonly sendSteering?: Pick<SendSteering, 'select' | 'steer'>;
  readonly scopes: Pick<AdminScopes, 'checkOf'>;
}

const verbs: Record<SteeringName, SendSteeringVerb['kind'] | undefined> = {
  SEND_STEERING_UNSPECIFIED: undefined,
  SEND_STEERING_MOVE: 'move',
  SEND_STEERING_SUSPEND: 'suspend',
  SEND_STEERING_RESUME: 'resume',
  SEND_STEERING_RUN: 'run',
  SEND_STEERING_CANCEL: 'cancel',
};

/** Answers what administrators say about the send requests of this site. */
export class SendSteeringAnswers {
  readonly #components: SendSteeringAnswersComponents;

  constructor(components: SendSteeringAnswersComponents) {
    this.#components = components;
  }

  methods() {
    return {
      steerSendRequests: (request, context) => this.#steer(request, context),
    } satisfies Partial<Conversation<'Admin'>>;
  }

  async *#steer(
    request: SteeringRequest,
    context: CallContext,
  ): AsyncGenerator<SendRequestMessage> {
    const verb = toVerb(request);
    const selection = toSendSelection(request);
    const { sendSteering, scopes } = this.#components;
    const meant = (await sendSteering?.select(verb.kind, selection)) ?? [];
    await scopes.checkOf(context)({ packageIds: meant.map(({ packageId }) => packageId) });
    const isDone = !request.lookOnly && sendSteering;
    const told: readonly SendRequest[] = isDone ? await sendSteering.steer(verb, meant) : meant;
    for (const one of told) yield toSendRequestMessage(one);
  }
}

function toVerb(request: SteeringRequest): SendSteeringVerb {
  const kind = Object.hasOwn(verbs, request.steering) ? verbs[request.steering] : undefined;
  if (kind === undefined) {
    const expected = `one of ${Object.keys(verbs).slice(1).join(', ')}`;
    throw requestInvalid('steering', { expected, actual: quoted(String(request.steering)) });
  }
  return kind === 'move' ? { kind, target: toTarget(request) } : { kind };
}

function toTarget({ place, first, last, beforeRequestId = '' }: SteeringRequest): SendTarget {
  if (place === 'first' && first) return { kind: 'first' };
  if (place === 'last' && last) return { kind: 'last' };
  if (place === 'beforeRequestId') {
    return { kind: 'before', requestId: requireRequestId('before_request_id', beforeRequestId) };
  }
  const expected = 'first, last, or a send request to go before';
  throw requestInvalid('place', { expected, actual: 'none' });
}

/** @throws REQUEST_INVALID */
function toSendSelection(request: SteeringRequest): SendSelection {
  const { packageId, destinationSiteCode: siteCode, failedOnly, all, requestIds } = request;
  const olderThanMs = checkedNumber('older_than_ms', request.olderThanMs);
  const isCondition = packageId + siteCode !== '' || failedOnly || all || olderThanMs > 0;
  if (requestIds.length > requestLimits.jobCountMax) {
    const expected = `at most ${requestLimits.jobCountMax}`;
    throw requestInvalid('request_ids', { expected, actual: `${requestIds.length}` });
  }
  if (isCondition === requestIds.length > 0) {
    const expected = 'send requests by name, or by package, site, age or failure, or all';
    throw requestInvalid('request_ids', { expected, actual: isCondition ? 'both' : 'none' });
  }
  if (!isCondition) {
    return { requestIds: requestIds.map((id) => requireRequestId('request_ids', id)) };
  }
  return {
    ...(packageId !== '' && { packageId: requirePackageId(packageId) }),
    ...(siteCode !== '' && { siteCode: requireSiteCode('destination_site_code', siteCode) }),
    ...(failedOnly && { failedOnly }),
    ...(olderThanMs > 0 && { olderThanMs }),
  };
}

/** Serial and site code, such as 0000002ACS1. */
function requireRequestId(field: string, text: string): string {
  if (/^[0-9A-F]{8,16}[A-Z0-9]{3}$/.test(text)) return text;
  const expected = 'the name of a send request, such as 0000002ACS1';
  throw requestInvalid(field, { expected, actual: quoted(text) });
}
