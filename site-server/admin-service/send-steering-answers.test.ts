import assert from 'node:assert/strict';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { SteerSendRequestsRequest__Output as Request } from '../../shared/rpc/generated/waybill/v1/SteerSendRequestsRequest.ts';
import type { SendSelection, SendSteeringVerb } from '../sender/send-steering.ts';
import { SendSteeringAnswers } from './send-steering-answers.ts';

const none: Request = {
  steering: 'SEND_STEERING_SUSPEND',
  requestIds: [],
  packageId: '',
  destinationSiteCode: '',
  failedOnly: false,
  olderThanMs: '0',
  all: false,
  lookOnly: false,
};
const id = '0000002ACS1';
const context: CallContext = {
  caller: { identity: { kind: 'admin', role: 'full', name: 'alice' }, address: '::1' },
  signal: new AbortController().signal,
};

describe('what administrators say about send requests (ADM-2)', () => {
  let selections: SendSelection[];
  let verbs: SendSteeringVerb[];

  beforeEach(() => {
    selections = [];
    verbs = [];
  });

  async function steer(request: Partial<Request>): Promise<unknown[]> {
    const { steerSendRequests } = new SendSteeringAnswers({
      sendSteering: {
        select: async (_, selection) => {
          selections.push(selection);
          return [];
        },
        steer: async (verb) => {
          verbs.push(verb);
          return [];
        },
      },
      scopes: { checkOf: () => async () => {} },
    }).methods();
    const items: unknown[] = [];
    for await (const item of steerSendRequests({ ...none, ...request }, context)) items.push(item);
    return items;
  }

  it('says what is meant, and what is done', async () => {
    await steer({ requestIds: [id] });
    await steer({ packageId: 'CS100001', destinationSiteCode: 'PS1', olderThanMs: '7' });
    const steering = 'SEND_STEERING_MOVE';
    await steer({ steering, all: true, place: 'beforeRequestId', beforeRequestId: id });
    await steer({ steering: 'SEND_STEERING_CANCEL', all: true, lookOnly: true });
    assert.deepEqual(selections, [
      { requestIds: [id] },
      { packageId: 'CS100001', siteCode: 'PS1', olderThanMs: 7 },
      {},
      {},
    ]);
    const target = { kind: 'before', requestId: id };
    const suspend = { kind: 'suspend' };
    assert.deepEqual(verbs, [suspend, suspend, { kind: 'move', target }]);
  });

  const refusals: [what: string, request: Partial<Request>][] = [
    ['nothing', {}],
    ['names and a condition', { requestIds: [id], all: true }],
    ['a name that is none', { requestIds: ['../1'] }],
    ['too many names', { requestIds: Array.from({ length: 1_001 }, () => id) }],
    ['an unknown verb', { all: true, steering: 9 as never }],
    ['no verb', { all: true, steering: 'SEND_STEERING_UNSPECIFIED' }],
    ['a move to no place', { all: true, steering: 'SEND_STEERING_MOVE' }],
    ['a package that is none', { packageId: 'x' }],
    ['a site that is none', { destinationSiteCode: 'x' }],
    ['an age that is none', { olderThanMs: '-1' }],
  ];
  for (const [what, request] of refusals) {
    it(`refuses ${what} (bad input)`, async () => {
      await assert.rejects(steer(request), { code: 'REQUEST_INVALID' });
      assert.deepEqual(selections, []);
    });
  }
});
