import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import type { TransferControls } from '../../shared/domain/transfer-controls.ts';
import { fetchingPassage, servingPassage } from '../../shared/domain/transfer-passage.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import type { SetControlsRequest__Output } from '../../shared/rpc/generated/waybill/v1/SetControlsRequest.ts';
import { StateStore } from '../../shared/state-store/state-store.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { TemporaryDirectory } from '../../shared/testing/temporary-directory.ts';
import { TransferArbiter } from '../../shared/transfer-arbiter/transfer-arbiter.ts';
import { toTransferControlsMessage } from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { ToldControls } from './told-controls.ts';
import { toldControlsConversation } from './told-controls-conversation.ts';

const slow: TransferControls = { limit: { kind: 'rate', bytesPerSecond: 4096 } };
const slower: TransferControls = { limit: { kind: 'rate', bytesPerSecond: 1024 } };
const context = {} as CallContext;

describe('told controls (PULL-10, PTM-6)', () => {
  let directory: TemporaryDirectory;
  let store: StateStore;
  let arbiter: TransferArbiter;
  let told: ToldControls;
  let packagesMax: number[];

  beforeEach(async () => {
    directory = await TemporaryDirectory.create();
    const { logger } = new CapturedLog();
    ({ store } = await StateStore.open({ directory: directory.path, logger }));
    packagesMax = [];
    await restart();
  });
  afterEach(async () => {
    await told.stop();
    await store.close();
    await directory[Symbol.asyncDispose]();
  });

  async function restart(siteCode = 'PS1'): Promise<void> {
    arbiter = new TransferArbiter(new FakeClock());
    const { logger } = new CapturedLog();
    told = new ToldControls({ store, arbiter, siteCode, logger });
    await told.start();
  }

  function say(request: object): Promise<object> {
    const pullDp = {
      setPackagesMax: async (count: number) => {
        packagesMax.push(count);
      },
    };
    const nothing = { fetching: null, serving: null, settings: null };
    const whole = { ...nothing, ...request } as SetControlsRequest__Output;
    return toldControlsConversation(told, pullDp).setControls(whole, context);
  }

  const obeyed = () => [arbiter.controlsOf(fetchingPassage), arbiter.controlsOf(servingPassage)];
  it('are obeyed at once, and after a restart while the site is away', async () => {
    await say({
      fetching: received(slow),
      serving: received(slower),
      settings: { packagesMax: 3 },
    });
    assert.deepEqual(obeyed(), [slow, slower]);
    assert.deepEqual(packagesMax, [3]);
    await restart();
    assert.deepEqual(obeyed(), [slow, slower]);
  });

  it('replace those before: what is absent is not set any more', async () => {
    await say({ fetching: received(slow), serving: received(slower) });
    await say({ serving: received(slow) });
    assert.deepEqual(obeyed(), [{}, slow]);
    assert.deepEqual(packagesMax, []);
    await restart();
    assert.deepEqual(obeyed(), [{}, slow]);
  });

  it('count for nothing when the DP was given to another site', async () => {
    await say({ fetching: received(slow) });
    await restart('PS2');
    assert.deepEqual(obeyed(), [{}, {}]);
  });

  it('are refused as a whole when one of them cannot be (SEC-4)', async () => {
    await say({ fetching: received(slow), settings: { packagesMax: 3 } });
    const tooLow = received({ limit: { kind: 'rate', bytesPerSecond: 1 } });
    const wrong = [
      { fetching: tooLow, serving: received(slow) },
      { fetching: received(slower), serving: tooLow },
      { fetching: received(slower), settings: { packagesMax: 51 } },
    ];
    for (const request of wrong) {
      await assert.rejects(say(request), (error) =>
        isErrorWithCode(error, 'REQUEST_INVALID', 'MESSAGE_INVALID'),
      );
    }
    assert.deepEqual(obeyed(), [slow, {}]);
    assert.deepEqual(packagesMax, [3]);
  });
});

/** Controls as they come from the wire. */
function received(controls: TransferControls) {
  const { limit } = toTransferControlsMessage(controls);
  const bytesPerSecond = String(limit?.bytesPerSecond);
  return { schedule: null, limit: { kind: 'bytesPerSecond', bytesPerSecond } };
}
